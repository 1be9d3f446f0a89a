import Glibc
import Linux
import Model

/// Runs everything on one machine.
struct DevCommand: Subcommand {
    static let syntax = CommandSyntax(
        "dev",
        purpose: """
            run a controller, a drone and a warden on this machine, until Ctrl-C

            Three processes, the controller and the drone as an unprivileged user. When one of them ends, or on
            Ctrl-C, all end and nothing of any backend is left; keys and history stay in the database.
            Several can run side by side, with other ports and state folders.
            """,
        flags: [
            StateFolder.flag, port, proxyPort, host, AccessFlags.anonymous, user, requireControllers, pool,
            ProcessLifetime.flag,
        ] + LeaseFlags.all)

    private static let port = Flag("--port", .value("PORT", default: "8080"), "of the controller; 0 takes a free one")
    private static let proxyPort = Flag(
        "--proxy-port", .value("PORT", default: "9090"), "of the proxy; 0 takes a free one")
    private static let host = Flag("--host", .value("ADDRESS", default: "127.0.0.1"), "where both listen")
    private static let user = Flag(
        "--user", .value("UID", default: "63180"), "numeric user and group of controller and drone; needs no account")
    private static let requireControllers = Flag(
        "--require-controllers", .bare, "refuse to start when cgroup v2 lacks memory, cpu or pids")

    private static let pool = Flag(
        "--pool", .value("N", default: "2"), "sandboxes that the warden keeps ready of each image that is in use")

    private let state: StateFolder
    private let controllerAddress: SocketAddress
    private let proxyAddress: SocketAddress
    private let userID: UInt32
    private let limits: DevelopmentPlan.Limits
    private let accessWords: [String]
    private let leaseWords: [String]
    private let poolSize: Int
    private let lifetime: ProcessLifetime

    init(_ arguments: Arguments) throws(UsageError) {
        state = try StateFolder(arguments)
        controllerAddress = try AddressFlags.address(arguments, host: Self.host, port: Self.port)
        proxyAddress = try AddressFlags.address(arguments, host: Self.host, port: Self.proxyPort)
        try Self.refuseStrangers(arguments, controllerAddress)
        accessWords = arguments.isGiven(AccessFlags.anonymous) ? [AccessFlags.anonymous.name] : []
        userID = UInt32(try arguments.integer(Self.user, in: 1...2_147_483_647) ?? 1)
        limits = arguments.isGiven(Self.requireControllers) ? .required : .asOffered
        _ = try LeaseFlags.times(arguments)
        leaseWords = LeaseFlags.words(arguments)
        poolSize = Int(try arguments.integer(Self.pool, in: 0...64) ?? 2)
        lifetime = ProcessLifetime(arguments)
    }

    /// This is for trying things: with callers to be told from each other the three are started one by one.
    private static func refuseStrangers(_ arguments: Arguments, _ address: SocketAddress) throws(UsageError) {
        if arguments.isGiven(AccessFlags.anonymous) || address.host >> 24 == 127 { return }
        throw arguments.wrong(
            "on \(address) anybody who reaches this machine could start and end backends. Leave --host out, or say "
                + "--allow-anonymous. Who may call is asked by a plane controller of its own: --api-tokens FILE")
    }

    func run() throws -> Int32 {
        try CommandFailure.requireRoot(for: "the warden makes namespaces, mounts and cgroups", userID: geteuid())
        try lifetime.bind()
        let started = BootInstant.now
        umask(0o022)
        try state.prepare(userID: userID)
        let lock = try takeLock()
        defer { _ = lock.raw }
        let plan = DevelopmentPlan(
            state: state, controller: try Self.free(controllerAddress, Self.port),
            proxy: try Self.free(proxyAddress, Self.proxyPort), userID: userID, limits: limits, leaseWords: leaseWords,
            poolSize: poolSize, accessWords: accessWords)
        warnOfMissingLimits()
        sweepImages()
        return try DevelopmentSite(plan, started: started).run()
    }

    /// One at a time for each state folder; its pid is in the file for whoever comes second.
    private func takeLock() throws -> Descriptor {
        guard let lock = try File.lock(state.developmentLock) else {
            let pid = (try? File.readText(state.developmentLock))?.filter(\.isNumber) ?? ""
            throw CommandFailure(
                "another plane dev\(pid.isEmpty ? "" : " (pid \(pid))") uses \(state.path). Stop it, or give this one "
                    + "a folder and ports of its own: --state DIR --port PORT --proxy-port PORT")
        }
        ftruncate(lock.raw, 0)
        try lock.writeAll(Array("\(getpid())\n".utf8))
        return lock
    }

    /// The address, with a port chosen if 0 was asked for; a taken one is told before anything is started.
    private static func free(_ address: SocketAddress, _ flag: Flag) throws -> SocketAddress {
        do throws(SystemError) {
            let probe = try Socket.tcpListener(address)
            return SocketAddress(host: address.host, port: try Socket.localPort(probe.raw))
        } catch  where error.code == EADDRINUSE {
            throw CommandFailure(
                "port \(address.port) is taken by another program. Stop it, or choose another: \(flag.name) PORT")
        } catch {
            throw CommandFailure("cannot listen on \(address): \(error). Choose another with --host and \(flag.name)")
        }
    }

    private func warnOfMissingLimits() {
        guard limits == .asOffered else { return }
        let offered = Cgroup.mountPoint().flatMap { try? Cgroup(path: $0).controllers() } ?? []
        let missing = ["memory", "cpu", "pids"].filter { !offered.contains($0) }
        if missing.isEmpty { return }
        StandardError.say(
            """
            plane: WARNING: limits of \(missing.joined(separator: ", ")) are NOT ENFORCED on this machine: cgroup v2 does \
            not offer them.
            plane: WARNING: a backend can take all of the machine. "plane doctor" says what to do.
            """)
    }

    /// What replaced or removed images left while sandboxes of them ran; nobody minds if it stays for another time.
    private func sweepImages() {
        let store = ImageStore(state: state)
        do {
            let lock = try store.lock()
            try store.sweep()
            _ = consume lock
        } catch { StandardError.say("plane: old images were not cleared: \(error)") }
    }
}

extension StateFolder {
    /// Makes the folders that are missing. Those that the warden trusts belong to root; the database's to its user.
    func prepare(userID: UInt32) throws {
        do throws(SystemError) {
            for folder in [path, images, policies, run, controller] { try File.makeDirectories(folder, mode: 0o755) }
            // The drone passes through these to the socket, and reads nothing else there.
            for folder in [path, images, policies, run] where chmod(folder, 0o755) != 0 {
                throw SystemError(errno, "chmod \(folder)")
            }
            guard chown(controller, userID, userID) == 0, chmod(controller, 0o700) == 0 else {
                throw SystemError(errno, "chown \(controller)")
            }
            for name in try File.names(in: controller) {
                // The database of an earlier start under another user.
                guard lchown("\(controller)/\(name)", userID, userID) == 0 else {
                    throw SystemError(errno, "chown \(controller)/\(name)")
                }
            }
        } catch {
            throw CommandFailure("the state folder \(path) cannot be prepared: \(error)")
        }
    }
}

import Glibc
public import Linux
public import Model

/// One running sandbox, as its warden holds it. Its processes end with `kill`; its remains go with `finish`.
public struct Sandbox: ~Copyable {
    /// Its own cgroup: every process of it is there, and none of another.
    public let cgroup: Cgroup
    /// pid 1 of the sandbox; readable once all of the sandbox has ended.
    public let process: ProcessDescriptor
    private let range: UserRange
    private let networkNamespace: Descriptor
    private let initSocket: Descriptor

    /// Where the command's input and output go. The descriptors stay the caller's.
    public struct StandardStreams: Sendable {
        /// The descriptor that becomes 0.
        public let input: Int32
        /// The descriptor that becomes 1.
        public let output: Int32
        /// The descriptor that becomes 2.
        public let error: Int32

        /// - Parameters: open descriptors.
        public init(input: Int32, output: Int32, error: Int32) {
            self.input = input
            self.output = output
            self.error = error
        }
    }

    /// What one start needs beyond the plan.
    public struct Start: Sendable {
        /// Names the cgroup.
        public let name: String
        /// `NAME=VALUE`, complete.
        public let environment: [String]
        /// The command's streams.
        public let streams: StandardStreams

        /// - Parameters: as the properties say.
        public init(name: String, environment: [String], streams: StandardStreams) {
            self.name = name
            self.environment = environment
            self.streams = streams
        }
    }

    /// Starts a sandbox and returns once its command has been exec'ed. Whatever fails, nothing of it is left.
    /// - Parameters:
    ///   - plan: what the sandbox is.
    ///   - image: the open root folder of the image.
    ///   - start: what this start adds.
    ///   - host: what all sandboxes share.
    public static func start(
        _ plan: SandboxPlan, image: borrowing Descriptor, _ start: Start, on host: inout SandboxHost
    ) throws(SandboxFailure) -> Sandbox {
        guard let range = host.ranges.take() else {
            throw SandboxFailure(.userRange, call: "all 256 ranges of user ids are in use", code: 0)
        }
        let cgroup = host.cgroup.root.child(start.name)
        do {
            try step(.cgroup) { () throws(SystemError) in try host.cgroup.make(cgroup, plan.cgroup) }
            return try launch(plan, image: image, start, on: host, cgroup: cgroup, range: range)
        } catch {
            _ = try? cgroup.remove()
            host.ranges.giveBack(range)
            throw error
        }
    }

    private static func launch(
        _ plan: SandboxPlan, image: borrowing Descriptor, _ start: Start, on host: borrowing SandboxHost,
        cgroup: Cgroup, range: UserRange
    ) throws(SandboxFailure) -> Sandbox {
        let folder = try step(.cgroup) { () throws(SystemError) in try cgroup.open() }
        let channel = try step(.handshake) { () throws(SystemError) in try Socket.packetPair() }
        let report = try step(.handshake) { () throws(SystemError) in try Pipe() }
        switch try step(
            .clone,
            { () throws(SystemError) in
                try Clone.process(namespaces: .ofSandbox, cgroup: folder.raw)
            })
        {
        case .child:
            SandboxChild(
                plan: plan, start: start, rootMountPoint: host.scratch + "/root", channel: channel.theirs.raw,
                report: report.writing.raw, initProgram: host.initProgram.raw
            ).run()
        case .parent(let pid, let process):
            let (mine, theirs) = channel.split()
            let (reading, writing) = report.split()
            let initSocket = Descriptor(owning: mine)
            let reports = Descriptor(owning: reading)
            // Closed here, so that the ends read below are reached when the child's side is.
            _ = Descriptor(owning: theirs)
            _ = Descriptor(owning: writing)
            do {
                let network = try handOver(
                    plan, image: image, on: host, range: range, pid: pid, channel: initSocket)
                try awaitExec(reports)
                return Sandbox(
                    cgroup: cgroup, process: process, range: range, networkNamespace: network, initSocket: initSocket)
            } catch {
                // Its pid 1 takes every process of its namespace along; only then can the cgroup be removed.
                _ = try? process.signal(SIGKILL)
                _ = try? process.reap()
                throw error
            }
        }
    }

    /// Gives the child its ids and its mounts, without which it cannot go on.
    private static func handOver(
        _ plan: SandboxPlan, image: borrowing Descriptor, on host: borrowing SandboxHost, range: UserRange,
        pid: Int32, channel: borrowing Descriptor
    ) throws(SandboxFailure) -> Descriptor {
        do {
            try File.write(range.map, to: "/proc/\(pid)/uid_map")
            try File.write(range.map, to: "/proc/\(pid)/gid_map")
        } catch { throw SandboxFailure(.userRange, error) }
        let users = try step(.userRange) { () throws(SystemError) in
            try File.open("/proc/\(pid)/ns/user", O_RDONLY)
        }
        let network = try step(.network) { () throws(SystemError) in try File.open("/proc/\(pid)/ns/net", O_RDONLY) }
        let root = try host.makeRoot(plan, image: image, range: range, userNamespace: users)
        let devices = try step(.devices) { () throws(SystemError) in
            try DetachedMount(copying: host.devices)
        }
        do {
            let mounts = [root.descriptor.raw, devices.descriptor.raw]
            _ = try Socket.sendPacket(channel.raw, [1], descriptors: mounts)
        } catch { throw SandboxFailure(.handshake, error) }
        return network
    }

    /// Waits until the command is exec'ed: then the report pipe's last writing end closes without a word.
    private static func awaitExec(_ reports: borrowing Descriptor) throws(SandboxFailure) {
        var watch = pollfd(fd: reports.raw, events: Int16(POLLIN), revents: 0)
        // The child's list takes milliseconds; a child that does not finish it in this time never will.
        let startMilliseconds: Int32 = 20_000
        guard poll(&watch, 1, startMilliseconds) > 0 else {
            throw SandboxFailure(.handshake, call: "no answer from the new sandbox for 20 s", code: 0)
        }
        let bytes = try step(.handshake) { () throws(SystemError) in try reports.readAll(limit: 4096) }
        if let failure = SandboxFailure(report: bytes) { throw failure }
    }

    /// Asks the command to end: the init passes the signal on to it.
    public borrowing func forward(_ signal: Int32) throws(SystemError) { try process.signal(signal) }

    /// Ends every process of it at once, also those being forked at the moment.
    public borrowing func kill() throws(SystemError) {
        try cgroup.kill()
        try process.signal(SIGKILL)
    }

    /// A nonblocking TCP socket in its network namespace, to reach its ports with and nothing else.
    ///
    /// The calling thread must be the warden's only one: it is in the sandbox's namespace for a moment.
    public borrowing func makeSocket(home: borrowing Descriptor) throws(SystemError) -> Descriptor {
        try Namespaces.enter(networkNamespace, .network)
        let made: Result<Int32, SystemError>
        do { made = .success(try Socket.tcp().release()) } catch { made = .failure(error) }
        do { try Namespaces.enter(home, .network) } catch {
            preconditionFailure(
                "the warden cannot leave a sandbox's network namespace (\(error)); it must not go on in there")
        }
        return Descriptor(owning: try made.get())
    }

    /// How the command ended, after `process` has become readable: what the init said, or nil when it was killed
    /// before it could say anything.
    public borrowing func reap() throws(SystemError) -> ExitStatus? {
        guard try process.reapIfEnded() != nil else { throw SystemError(EAGAIN, "waitid of a running sandbox") }
        let packet = try Socket.receivePacket(initSocket.raw, capacity: InitReport.byteCount)
        guard let packet, packet.bytes.count == InitReport.byteCount else { return nil }
        return InitReport.status(of: packet.bytes)
    }

    /// Removes what is left of an ended sandbox, and gives its ids back.
    /// - Returns: nil when all is gone; the sandbox itself while the kernel still holds something of its cgroup.
    public consuming func finish(on host: inout SandboxHost) throws(SystemError) -> Sandbox? {
        guard try cgroup.remove() else { return self }
        host.ranges.giveBack(range)
        return nil
    }
}

extension Namespaces {
    /// Every kind that a sandbox has of its own.
    static let ofSandbox: Namespaces = [.user, .mount, .pid, .network, .ipc, .uts, .cgroup]
}

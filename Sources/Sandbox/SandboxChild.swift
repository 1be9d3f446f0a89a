import CLinux
import Glibc
import Linux
import Model

/// What the new process does before it is a sandbox: it is pid 1 in fresh namespaces, born in its cgroup and its network,
/// the only thread, with a copy of the warden's memory, which ends when it execs the init.
///
/// Nothing here is recovered: a step that fails is reported and the process ends, and the warden removes the rest.
/// While the warden mounts the root, this process makes /proc and /dev aside; then each is moved to its place.
struct SandboxChild {
    let plan: SandboxPlan
    /// The warden's scratch folder, of which this process has a copy in its own mount namespace.
    let scratch: String
    /// Where in it the /dev for this plan is.
    let devices: String
    let proc: ProcEntries
    /// From the warden: that the ids are mapped, the root, each mount of the policy, and the launch order.
    let control: Int32
    /// To the warden: a failure; its end.
    let report: Int32
    let initProgram: Int32
    let landlockVersion: Int
    /// Signals that the warden ignores, as its starter may have.
    let ignoredSignals: [Int32]
    let omitted: Set<SandboxLayer>

    /// The whole set-up. Order matters; each line says what would go wrong if it stood elsewhere.
    func run() -> Never {
        do throws(SandboxFailure) {
            try letGo()  // before it waits for anything: another sandbox's sockets must not live on in this one
            try stopPropagation()  // before anything is mounted: nothing of it may show on the host
            try enterOwnTime()  // as the host's root: who has changed its user may not write its own /proc files
            let places = try openPlaces()  // as the host's root: the way there may be closed to others
            let proc = try makeProc(at: places.proc, places)  // while the host's is visible: the kernel asks for that
            _ = try awaitPacket("the id maps")  // without them no file belongs to anybody
            try becomeRootInside()  // before anything is made: files made from here belong to the sandbox's ids
            let devices = try makeDevices(at: places.dev, places)
            let root = try attachRoot(at: places)  // the warden has made it meanwhile
            try move(devices, to: "dev", root)  // every target below is resolved inside the image, by openat2
            try move(proc, to: "proc", root)
            for mount in plan.mounts { try attach(mount, root) }  // after /proc and /dev: a policy cannot cover them
            try enterRoot(root)  // from here no host path has a name
            try nameHost()
            let order = try awaitLaunch()
            let terminal = try openTerminal(order)  // as long as the sandbox's root may own it
            try dropBoundingSet()  // the init and the command inherit it
            let command = try startCommand(order, terminal)  // drops everything by itself, and is exec'ed
            try InitProcess.become(
                program: initProgram, socket: control, command: command, omitted: omitted)
        } catch {
            error.send(to: report)
            CurrentProcess.exitImmediately(126)
        }
    }

    /// Folders of the scratch folder, in this process's own mount namespace.
    struct Places: ~Copyable {
        let root: Descriptor
        let proc: Descriptor
        let dev: Descriptor
        /// A /dev as the plan's sandboxes have it.
        let devices: Descriptor
    }

    /// Closes whatever the warden had open but what is needed here.
    private func letGo() throws(SandboxFailure) {
        if omitted.contains(.closedDescriptors) { return }
        do throws(SystemError) {
            var next: UInt32 = 3
            for kept in [control, report, initProgram].map(UInt32.init).sorted() {
                if kept > next { try Descriptor.closeAll(in: next...kept - 1) }
                next = kept + 1
            }
            try Descriptor.closeAll(in: next...UInt32.max)
        } catch { throw SandboxFailure(.handshake, error) }
    }

    private func stopPropagation() throws(SandboxFailure) {
        try step(.attachRoot) { () throws(SystemError) in try MountTree.makePrivate() }
    }

    private func openPlaces() throws(SandboxFailure) -> Places {
        try step(.attachRoot) { () throws(SystemError) in
            let folder = File.pathOnly | O_DIRECTORY
            return Places(
                root: try File.open(scratch + "/root", folder), proc: try File.open(scratch + "/proc", folder),
                dev: try File.open(scratch + "/dev", folder), devices: try File.open(devices, folder))
        }
    }

    /// The next packet. - Parameter what: what is waited for, for the message.
    private func awaitPacket(_ what: String) throws(SandboxFailure) -> [Int32] {
        try step(.handshake) { () throws(SystemError) in
            let packet = try Socket.receivePacket(control, capacity: 1)
            guard let packet, packet.bytes.count == 1 else {
                throw SystemError(EPIPE, "the warden ended before it sent \(what)")
            }
            return packet.descriptors
        }
    }

    /// A mount that the warden has made.
    func awaitMount(_ what: String) throws(SandboxFailure) -> DetachedMount {
        guard let number = try awaitPacket(what).first else {
            throw SandboxFailure(.handshake, call: "the warden sent \(what) without a descriptor", code: 0)
        }
        return DetachedMount(owning: Descriptor(owning: number))
    }

    private func becomeRootInside() throws(SandboxFailure) {
        try step(.identity) { () throws(SystemError) in
            if !omitted.contains(.groups) { try Identity.leaveGroups() }
            try Identity.become(user: 0, group: 0)
            if !omitted.contains(.sessionKeyring) { try Identity.joinNewSessionKeyring() }
            umask(0o022)
        }
    }

    private func nameHost() throws(SandboxFailure) {
        if omitted.contains(.utsNamespace) { return }
        if sethostname(plan.hostname, plan.hostname.utf8.count) != 0 {
            throw SandboxFailure(.identity, call: "sethostname", code: errno)
        }
    }

    /// Clocks of its own, which begin with the sandbox: how long the host has been up is nobody's business.
    ///
    /// Entered here and not left to exec: before Linux 6.3 a child that shares its parent's memory stays outside.
    private func enterOwnTime() throws(SandboxFailure) {
        if omitted.contains(.timeNamespace) { return }
        try step(.clock) { () throws(SystemError) in
            try Namespaces.unshare(.time)
            // Each then reads one second and a little: 0 means "never" to some programs.
            let offsets = [("monotonic", 1), ("boottime", 7)].map { name, clock in
                "\(name) -\(plane_clock_ns(Int32(clock)) / 1_000_000_000 - 1) 0\n"
            }
            try File.write(offsets.joined(), to: "/proc/self/timens_offsets")
            try Namespaces.enter(File.open("/proc/self/ns/time_for_children", O_RDONLY), .time)
        }
    }

    private func awaitLaunch() throws(SandboxFailure) -> LaunchOrder {
        let order = try step(.handshake) { () throws(SystemError) in try LaunchOrder.receive(from: control) }
        // The warden has no use for it any more.
        guard let order else { CurrentProcess.exitImmediately(0) }
        return order
    }

    private func dropBoundingSet() throws(SandboxFailure) {
        if omitted.contains(.boundingSet) { return }
        try step(.identity) { () throws(SystemError) in
            try Identity.dropBoundingSet(keeping: plan.capabilities.map(\.number) + [Identity.kill])
        }
    }

    private func startCommand(_ order: LaunchOrder, _ terminal: borrowing Terminal) throws(SandboxFailure) -> Int32 {
        let process = CommandProcess(
            plan: plan, environment: order.environment, streams: terminal.streams(order), report: report,
            landlock: LandlockLayer(version: landlockVersion, rules: plan.landlock),
            ignoredSignals: ignoredSignals, omitted: omitted)
        return try step(.clone) { () throws(SystemError) in try Clone.untilExec { process.run() } }
    }
}

extension SandboxFailure {
    /// Tells the warden, in one packet, before the process ends.
    func send(to report: Int32) {
        var bytes: [UInt8] = [step.rawValue]
        withUnsafeBytes(of: code.littleEndian) { bytes.append(contentsOf: $0) }
        bytes.append(contentsOf: call.utf8.prefix(1024))
        _ = try? Socket.sendPacket(report, bytes)
    }

    /// Reads what a child sent.
    init(report bytes: [UInt8]) {
        guard bytes.count >= 5, let step = Step(rawValue: bytes[0]) else {
            self.init(.handshake, call: "the new sandbox sent a report that cannot be read", code: 0)
            return
        }
        let code = bytes[1..<5].enumerated().reduce(UInt32(0)) { $0 | UInt32($1.element) << UInt32(8 * $1.offset) }
        self.init(step, call: String(decoding: bytes[5...], as: UTF8.self), code: Int32(bitPattern: code))
    }
}

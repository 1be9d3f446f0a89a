import CLinux
import Glibc
import Linux
import Model

/// What the new process does before it is a sandbox: it is pid 1 in fresh namespaces, born in its cgroup and its network,
/// the only thread, with a copy of the warden's memory, which ends when it execs the init.
///
/// All that is the same for every image is done here, so that it can be done before anybody knows which image it will be.
/// Then its child goes on with the rest, and becomes the command.
///
/// Nothing here is recovered: a step that fails is reported and the process ends, and the warden removes the rest.
struct SandboxChild {
    /// The warden's scratch folder, of which this process has a copy in its own mount namespace.
    let scratch: String
    /// Where in it the /dev of most sandboxes is.
    let devices: String
    let proc: ProcEntries
    /// The first process's: the warden says that the ids are mapped; the init says how the command ended.
    let control: Int32
    /// The command's process's: from the warden the image's plan and mounts, and the launch order; to it a failure, and
    /// by its end that the command runs.
    let orders: Int32
    /// The timer by which the sandbox ends though the warden may do nothing: the init's alone.
    let deadlineGuard: Int32
    let initProgram: Int32
    let landlockVersion: Int
    /// Signals that the warden ignores, as its starter may have.
    let ignoredSignals: [Int32]
    let omitted: Set<SandboxLayer>

    /// Order matters; each line says what would go wrong if it stood elsewhere.
    func run() -> Never {
        do throws(SandboxFailure) {
            try letGo()  // before it waits for anything: another sandbox's sockets must not live on in this one
            try stopPropagation()  // before anything is mounted: nothing of it may show on the host
            try enterOwnTime()  // as the host's root: who has changed its user may not write its own /proc files
            let places = try openPlaces()  // as the host's root: the way there may be closed to others
            let proc = try makeProc(at: places.proc, places)  // while the host's is visible: the kernel asks for that
            _ = try awaitPacket(on: control, "the id maps")  // without them no file belongs to anybody
            try becomeRootInside()  // before anything is made: files made from here belong to the sandbox's ids
            let devices = try makeDevices(places)
            try dropBoundingSet()  // the init and the command inherit it
            let null = try openNull(devices)  // before the image is there, which may have something else of that name
            let command = try bearCommand(places, proc, devices)
            throw InitProcess.become(
                InitProcess.Descriptors(
                    socket: control, deadlineGuard: deadlineGuard, program: initProgram, report: orders),
                null: null, command: command, omitted: omitted)
        } catch {
            error.send(to: orders)
            CurrentProcess.exitImmediately(126)
        }
    }

    /// The rest, in the process that becomes the command: what depends on the image, and on who asked for it.
    private func furnish(
        _ places: borrowing Places, _ proc: borrowing MovableMount, _ devices: borrowing MovableMount
    ) -> Never {
        close(deadlineGuard)  // whoever has it could put the end off
        do throws(SandboxFailure) {
            let order = try awaitFurnishing()
            let plan = order.plan
            let landlock = try attachImage(order, places, proc, devices)
            let command = CommandProcess(
                plan: plan, landlock: landlock, ignoredSignals: ignoredSignals, omitted: omitted)
            try command.prepare()  // from here it has no more rights than the command
            let launch = try awaitLaunch()
            let terminal = try openTerminal(launch)
            throw command.launch(launch, terminal)
        } catch {
            error.send(to: orders)
            CurrentProcess.exitImmediately(127)
        }
    }

    /// While the warden mounts the root, the mounts beside it are made; then each is moved to its place.
    private func attachImage(
        _ order: FurnishOrder, _ places: borrowing Places, _ proc: borrowing MovableMount,
        _ devices: borrowing MovableMount
    ) throws(SandboxFailure) -> LandlockLayer.Prepared {
        guard let number = order.devices else {
            try addSharedMemory(order.plan, to: devices)
            let root = try attachRoot(at: places)
            try move(devices, to: "dev", root)  // every target below is resolved inside the image, by openat2
            return try finishTree(order.plan, root, proc)
        }
        let special = try finishDevices(DetachedMount(owning: Descriptor(owning: number)), at: places.special)
        try addSharedMemory(order.plan, to: special)
        let root = try attachRoot(at: places)
        try move(special, to: "dev", root)
        return try finishTree(order.plan, root, proc)
    }

    private func finishTree(
        _ plan: SandboxPlan, _ root: borrowing Descriptor, _ proc: borrowing MovableMount
    ) throws(SandboxFailure) -> LandlockLayer.Prepared {
        try move(proc, to: "proc", root)
        for mount in plan.mounts { try attach(mount, root) }  // after /proc and /dev: a policy cannot cover them
        try enterRoot(root)  // from here no host path has a name
        try nameHost(plan)
        if omitted.contains(.landlock) { return .nothing }
        return try LandlockLayer(version: landlockVersion, rules: plan.landlock).prepare()
    }

    /// Folders of the scratch folder, in this process's own mount namespace.
    struct Places: ~Copyable {
        let root: Descriptor
        let proc: Descriptor
        let dev: Descriptor
        /// For a /dev with more than the usual devices.
        let special: Descriptor
        /// The /dev of most sandboxes.
        let devices: Descriptor
    }

    /// Closes whatever the warden had open but what is needed here.
    private func letGo() throws(SandboxFailure) {
        if omitted.contains(.closedDescriptors) { return }
        do throws(SystemError) {
            var next: UInt32 = 3
            for kept in [control, orders, deadlineGuard, initProgram].map(UInt32.init).sorted() {
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
                dev: try File.open(scratch + "/dev", folder), special: try File.open(scratch + "/special", folder),
                devices: try File.open(devices, folder))
        }
    }

    /// The next packet. - Parameter what: what is waited for, for the message.
    private func awaitPacket(on socket: Int32, _ what: String) throws(SandboxFailure) -> [Int32] {
        try step(.handshake) { () throws(SystemError) in
            let packet = try Socket.receivePacket(socket, capacity: 1)
            guard let packet, packet.bytes.count == 1 else {
                throw SystemError(EPIPE, "the warden ended before it sent \(what)")
            }
            return packet.descriptors
        }
    }

    /// A mount that the warden has made.
    func awaitMount(_ what: String) throws(SandboxFailure) -> DetachedMount {
        guard let number = try awaitPacket(on: orders, what).first else {
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

    private func nameHost(_ plan: SandboxPlan) throws(SandboxFailure) {
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

    private func awaitFurnishing() throws(SandboxFailure) -> FurnishOrder {
        let order = try step(.handshake) { () throws(SystemError) in try FurnishOrder.receive(from: orders) }
        // The warden has no use for it any more.
        guard let order else { CurrentProcess.exitImmediately(0) }
        return order
    }

    private func awaitLaunch() throws(SandboxFailure) -> LaunchOrder {
        let order = try step(.handshake) { () throws(SystemError) in try LaunchOrder.receive(from: orders) }
        guard let order else { CurrentProcess.exitImmediately(0) }
        return order
    }

    private func dropBoundingSet() throws(SandboxFailure) {
        if omitted.contains(.boundingSet) { return }
        try step(.identity) { () throws(SystemError) in
            // Which of these a policy keeps is not known yet.
            try Identity.dropBoundingSet(keeping: SandboxCapability.allCases.map(\.number))
        }
    }

    /// The /dev of most sandboxes.
    private func makeDevices(_ places: borrowing Places) throws(SandboxFailure) -> MovableMount {
        let copy: DetachedMount
        do {
            copy =
                omitted.contains(.ownDevices)
                ? try DetachedMount(copying: "/dev", in: places.devices) : try DetachedMount(copying: places.devices)
        } catch { throw SandboxFailure(.devices, error) }
        return try finishDevices(copy, at: places.dev)
    }

    private func openNull(_ devices: borrowing MovableMount) throws(SandboxFailure) -> Descriptor {
        do { return try File.open("null", below: devices.descriptor, O_RDWR, .beneathWithoutLinks) } catch {
            throw SandboxFailure(.initProcess, error)
        }
    }

    /// Clones the process that becomes the command.
    private func bearCommand(
        _ places: borrowing Places, _ proc: borrowing MovableMount, _ devices: borrowing MovableMount
    ) throws(SandboxFailure) -> Int32 {
        switch try step(.clone, { () throws(SystemError) in try Clone.process(namespaces: [], cgroup: nil) }) {
        case .child: furnish(places, proc, devices)
        case .parent(let pid, _): return pid
        }
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

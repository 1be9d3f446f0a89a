import Glibc
import Linux
import Model

/// Namespaces, ids, /proc, /dev and init of a sandbox that is to become one of an image. A warden keeps some of these.
public struct BlankSandbox: ~Copyable {
    let sandbox: Sandbox
    /// To the process that becomes the command; it tells of failures there, and its end says that the command runs.
    let orders: Descriptor

    /// Makes one; its own processes go on making it after this returns.
    /// - Parameter name: names the cgroup; no other sandbox of this host has it.
    public static func make(name: String, on host: inout SandboxHost) throws(SandboxFailure) -> BlankSandbox {
        guard let range = host.ranges.take() else {
            throw SandboxFailure(.userRange, call: "all ranges of user ids are in use", code: 0)
        }
        let cgroup = host.cgroup.root.child(name)
        let blank: BlankSandbox
        do {
            let devices = try host.devices(of: [])
            try step(.cgroup) { () throws(SystemError) in try cgroup.create() }
            blank = try clone(devices: devices, on: host, cgroup: cgroup, range: range)
        } catch {
            _ = try? cgroup.remove()
            host.ranges.giveBack(range)
            throw error
        }
        do { try blank.mapIDs(on: host) } catch {
            // What the child itself has to say is the cause; a broken socket is only what follows from it.
            let cause = StartingSandbox.failureTold(on: blank.orders)
            blank.discard(on: &host)
            throw cause ?? error
        }
        return blank
    }

    private init(_ sandbox: consuming Sandbox, orders: consuming Descriptor) {
        self.sandbox = sandbox
        self.orders = orders
    }

    private static func clone(
        devices: String, on host: borrowing SandboxHost, cgroup: Cgroup, range: UserRange
    ) throws(SandboxFailure) -> BlankSandbox {
        let folder = try step(.cgroup) { () throws(SystemError) in try cgroup.open() }
        let control = try step(.handshake) { () throws(SystemError) in try Socket.packetPair() }
        let orders = try step(.handshake) { () throws(SystemError) in try Socket.packetPair() }
        Socket.growSendBuffer(orders.mine.raw, bytes: FurnishOrder.bytesMax)
        let deadlineGuard = try step(.handshake) { () throws(SystemError) in try TimerDescriptor() }
        let network = try step(.network) { () throws(SystemError) in try host.networks.take() }
        let child = SandboxChild(
            scratch: host.scratch, devices: devices, proc: host.proc, control: control.theirs.raw,
            orders: orders.theirs.raw, deadlineGuard: deadlineGuard.raw, initProgram: host.initProgram.raw,
            landlockVersion: host.landlockVersion,
            ignoredSignals: host.ignoredSignals,
            omitted: host.omitted)
        let born = try bear(child, into: network, cgroup: folder, on: host)
        let (mine, theirs) = control.split()
        let (mineToo, theirsToo) = orders.split()
        // Closed here, so that the end of the child's side is seen.
        close(theirs)
        close(theirsToo)
        return BlankSandbox(
            Sandbox(
                cgroup: cgroup, born, range: range, networkNamespace: network, initSocket: Descriptor(owning: mine),
                deadlineGuard: deadlineGuard),
            orders: Descriptor(owning: mineToo))
    }

    /// The child is born where the warden is at the moment: in the sandbox's network.
    private static func bear(
        _ child: SandboxChild, into network: borrowing Descriptor, cgroup: borrowing Descriptor,
        on host: borrowing SandboxHost
    ) throws(SandboxFailure) -> FirstProcess {
        do throws(SystemError) {
            if !host.omitted.contains(.networkNamespace) { try Namespaces.enter(network, .network) }
            let namespaces = Namespaces.ofSandbox.subtracting(host.omittedNamespaces)
            switch try Clone.process(namespaces: namespaces, cgroup: cgroup.raw) {
            case .child: child.run()
            case .parent(let pid, let process):
                host.goHome()
                return FirstProcess(pid: pid, descriptor: process)
            }
        } catch {
            host.goHome()
            throw SandboxFailure(.clone, error)
        }
    }

    /// Gives the child its ids, without which it cannot go on.
    private borrowing func mapIDs(on host: borrowing SandboxHost) throws(SandboxFailure) {
        do throws(SystemError) {
            let map = ids(on: host).map
            try File.write(map, to: "/proc/\(sandbox.pid)/uid_map")
            try File.write(map, to: "/proc/\(sandbox.pid)/gid_map")
            try sandbox.tell([1])
        } catch { throw SandboxFailure(.userRange, error) }
    }

    private borrowing func ids(on host: borrowing SandboxHost) -> UserRange {
        host.omitted.contains(.idRange) ? UserRange.ofHost : sandbox.range
    }

    /// Makes it one of an image; its own process goes on with that after this returns.
    public consuming func furnish(
        _ image: SandboxImage, on host: inout SandboxHost
    ) throws(SandboxFailure) -> MadeSandbox {
        do {
            let devices = try host.specialDevices(image.plan.devices)
            defer { if let devices { close(devices) } }
            try step(.cgroup) { () throws(SystemError) in try host.cgroup.write(image.settings, to: sandbox.cgroup) }
            try send(FurnishOrder(plan: image.plan, devices: devices).bytes, devices.map { [$0] } ?? [])
            try sendMounts(image, on: host)
        } catch {
            let cause = StartingSandbox.failureTold(on: orders)
            discard(on: &host)
            throw cause ?? error
        }
        return MadeSandbox(self)
    }

    private borrowing func sendMounts(_ image: SandboxImage, on host: borrowing SandboxHost) throws(SandboxFailure) {
        let users = try step(.userRange) { () throws(SystemError) in
            try File.open("/proc/\(sandbox.pid)/ns/user", O_RDONLY)
        }
        let root = try host.makeRoot(image, range: ids(on: host), userNamespace: users)
        try send([1], root.descriptors)
        for mount in image.plan.mounts {
            let made = try host.make(mount, userNamespace: users, image.plan)
            try send([1], [made.descriptor.raw])
        }
    }

    borrowing func send(_ bytes: [UInt8], _ descriptors: [Int32]) throws(SandboxFailure) {
        do { _ = try Socket.sendPacket(orders.raw, bytes, descriptors: descriptors) } catch {
            throw SandboxFailure(.handshake, error)
        }
    }

    /// Lets it go; waits until nothing of it is left.
    public consuming func discard(on host: inout SandboxHost) { sandbox.discard(on: &host) }

    /// Whether it can go on: it has neither ended nor failed.
    public borrowing func isWaiting() -> Bool {
        var watch = pollfd(fd: orders.raw, events: Int16(POLLIN), revents: 0)
        return poll(&watch, 1, 0) == 0
    }

    /// Memory of its processes that they share with nobody, in bytes: what it costs while it waits, besides the kernel's own.
    public borrowing func privateBytes() -> UInt64 {
        let processes = (try? sandbox.cgroup.read("cgroup.procs")) ?? ""
        return processes.split(separator: "\n").reduce(0) { sum, process in
            sum + Self.privateBytes(of: (try? File.readText("/proc/\(process)/smaps_rollup")) ?? "")
        }
    }

    private static func privateBytes(of rollup: String) -> UInt64 {
        rollup.split(separator: "\n").filter { $0.hasPrefix("Private_") }.reduce(0) { sum, line in
            sum + (line.split(separator: " ").dropFirst().first.flatMap { UInt64($0) } ?? 0) * 1024
        }
    }

    /// What the launch goes on with.
    consuming func release() -> StartingSandbox { StartingSandbox(sandbox, orders: orders) }
}

extension SandboxHost {
    /// Back from a sandbox's network namespace.
    func goHome() {
        do { try Namespaces.enter(home, .network) } catch {
            preconditionFailure(
                "the warden cannot leave a sandbox's network namespace (\(error)); it must not go on in there")
        }
    }

    /// Kinds that a test leaves out.
    var omittedNamespaces: Namespaces {
        var kinds: Namespaces = []
        if omitted.contains(.pidNamespace) { kinds.insert(.pid) }
        if omitted.contains(.ipcNamespace) { kinds.insert(.ipc) }
        if omitted.contains(.utsNamespace) { kinds.insert(.uts) }
        if omitted.contains(.cgroupNamespace) { kinds.insert(.cgroup) }
        return kinds
    }
}

extension Namespaces {
    /// Every kind that a sandbox is born with. Its network is made ahead, and its time by its first process.
    static let ofSandbox: Namespaces = [.user, .mount, .pid, .ipc, .uts, .cgroup]
}

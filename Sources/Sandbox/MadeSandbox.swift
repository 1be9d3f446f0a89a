import Glibc
import Linux
import Model

/// A sandbox whose command is not known to have been asked for yet: all that needs time is done or being done in it,
/// and it waits for its launch. A warden keeps some of these ready.
public struct MadeSandbox: ~Copyable {
    private let sandbox: Sandbox
    /// On which its processes tell of failures, and whose end says that the command runs.
    private let report: Descriptor

    /// Makes one; its own process goes on making it after this returns.
    /// - Parameters:
    ///   - image: what the sandbox is.
    ///   - name: names the cgroup; no other sandbox of this host has it.
    public static func make(
        _ image: SandboxImage, name: String, on host: inout SandboxHost
    ) throws(SandboxFailure) -> MadeSandbox {
        guard let range = host.ranges.take() else {
            throw SandboxFailure(.userRange, call: "all ranges of user ids are in use", code: 0)
        }
        let cgroup = host.cgroup.root.child(name)
        let made: MadeSandbox
        do {
            let devices = try host.devices(of: image.plan.devices)
            try step(.cgroup) { () throws(SystemError) in try host.cgroup.make(cgroup, image.settings) }
            made = try clone(image, devices: devices, on: host, cgroup: cgroup, range: range)
        } catch {
            _ = try? cgroup.remove()
            host.ranges.giveBack(range)
            throw error
        }
        do { try made.handOver(image, on: host) } catch {
            // What the child itself has to say is the cause; a broken socket is only what follows from it.
            let cause = StartingSandbox.failureTold(on: made.report)
            made.discard(on: &host)
            throw cause ?? error
        }
        return made
    }

    private init(_ sandbox: consuming Sandbox, report: consuming Descriptor) {
        self.sandbox = sandbox
        self.report = report
    }

    private static func clone(
        _ image: SandboxImage, devices: String, on host: borrowing SandboxHost, cgroup: Cgroup, range: UserRange
    ) throws(SandboxFailure) -> MadeSandbox {
        let folder = try step(.cgroup) { () throws(SystemError) in try cgroup.open() }
        let control = try step(.handshake) { () throws(SystemError) in try Socket.packetPair() }
        let report = try step(.handshake) { () throws(SystemError) in try Socket.packetPair() }
        let network = try step(.network) { () throws(SystemError) in try host.networks.take() }
        let child = SandboxChild(
            plan: image.plan, scratch: host.scratch, devices: devices, proc: host.proc, control: control.theirs.raw,
            report: report.theirs.raw, initProgram: host.initProgram.raw, landlockVersion: host.landlockVersion,
            ignoredSignals: host.ignoredSignals,
            omitted: host.omitted)
        let born = try bear(child, into: network, cgroup: folder, on: host)
        let (mine, theirs) = control.split()
        let (mineToo, theirsToo) = report.split()
        // Closed here, so that the end of the child's side is seen.
        close(theirs)
        close(theirsToo)
        return MadeSandbox(
            Sandbox(
                cgroup: cgroup, born, range: range, networkNamespace: network, initSocket: Descriptor(owning: mine)),
            report: Descriptor(owning: mineToo))
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

    /// Gives the child its ids and its mounts, without which it cannot go on.
    private borrowing func handOver(_ image: SandboxImage, on host: borrowing SandboxHost) throws(SandboxFailure) {
        do throws(SystemError) {
            let map = host.omitted.contains(.idRange) ? UserRange.ofHost.map : sandbox.range.map
            try File.write(map, to: "/proc/\(sandbox.pid)/uid_map")
            try File.write(map, to: "/proc/\(sandbox.pid)/gid_map")
            try sandbox.tell([1], [])
        } catch { throw SandboxFailure(.userRange, error) }
        let users = try step(.userRange) { () throws(SystemError) in
            try File.open("/proc/\(sandbox.pid)/ns/user", O_RDONLY)
        }
        let range = host.omitted.contains(.idRange) ? UserRange.ofHost : sandbox.range
        let root = try host.makeRoot(image, range: range, userNamespace: users)
        try send(root.descriptors)
        for mount in image.plan.mounts {
            let made = try host.make(mount, userNamespace: users, image.plan)
            try send([made.descriptor.raw])
        }
    }

    private borrowing func send(_ mounts: [Int32]) throws(SandboxFailure) {
        do { try sandbox.tell([1], mounts) } catch { throw SandboxFailure(.handshake, error) }
    }

    /// Changes its limits while it waits.
    public borrowing func limit(to image: SandboxImage, on host: borrowing SandboxHost) throws(SandboxFailure) {
        try step(.cgroup) { () throws(SystemError) in try host.cgroup.write(image.settings, to: sandbox.cgroup) }
    }

    /// Lets the command be exec'ed.
    /// - Parameters:
    ///   - environment: `NAME=VALUE`, complete.
    ///   - streams: the command's; descriptors stay the caller's.
    public consuming func launch(
        environment: [String], _ streams: SandboxStreams, on host: inout SandboxHost
    ) throws(SandboxFailure) -> StartingSandbox {
        do throws(SystemError) {
            let order = LaunchOrder(environment: environment, streams: streams).packet
            try sandbox.tell(order.bytes, order.descriptors)
        } catch {
            let cause = StartingSandbox.failureTold(on: report)
            discard(on: &host)
            throw cause ?? SandboxFailure(.handshake, error)
        }
        return StartingSandbox(sandbox, report: report)
    }

    /// Lets it go without a launch; waits until nothing of it is left.
    public consuming func discard(on host: inout SandboxHost) { sandbox.discard(on: &host) }

    /// Whether it can be launched: it has neither ended nor failed.
    public borrowing func isWaiting() -> Bool {
        var watch = pollfd(fd: report.raw, events: Int16(POLLIN), revents: 0)
        return poll(&watch, 1, 0) == 0
    }

    /// pid 1's memory that it shares with nobody, in bytes; what a waiting sandbox costs besides the kernel's own.
    public borrowing func privateBytes() -> UInt64 {
        guard let text = try? File.readText("/proc/\(sandbox.pid)/smaps_rollup") else { return 0 }
        return text.split(separator: "\n").filter { $0.hasPrefix("Private_") }.reduce(0) { sum, line in
            sum + (line.split(separator: " ").dropFirst().first.flatMap { UInt64($0) } ?? 0) * 1024
        }
    }
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

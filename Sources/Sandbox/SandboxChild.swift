import CLinux
import Glibc
import Linux
import Model

/// What the new process does before it is a sandbox: it is pid 1 in fresh namespaces, born in its cgroup, the only
/// thread, with a copy of the warden's memory, which ends when it execs the init.
///
/// Nothing here is recovered: a step that fails is reported and the process ends, and the warden removes the rest.
struct SandboxChild {
    let plan: SandboxPlan
    let start: Sandbox.Start
    /// A folder of the warden's private namespace, of which this process has a copy.
    let rootMountPoint: String
    let channel: Int32
    let report: Int32
    let initProgram: Int32

    /// The whole set-up. Order matters; each line says what would go wrong if it stood elsewhere.
    func run() -> Never {
        do throws(SandboxFailure) {
            let mounts = try receiveMounts()  // waits for the id maps: without them nothing below is permitted
            try attachRoot(mounts.root)  // as the host's root: the way to the mount point may be closed to others
            let root = try openRoot()
            try becomeRootInside()  // before anything is made: files made from here belong to the sandbox's ids
            try attachDevices(mounts.devices, root)  // every target below is resolved inside the image, by openat2
            try attachProc(root)  // while the host's /proc is visible: the kernel asks for that
            try enterRoot(root)  // from here no host path has a name
            try startLoopback()  // needs the capabilities that go below
            try nameHost()
            let command = try startCommand()  // the command drops everything by itself and is exec'ed meanwhile
            try InitProcess.become(program: initProgram, socket: channel, command: command)
        } catch {
            error.send(to: report)
            CurrentProcess.exitImmediately(126)
        }
    }

    private struct Mounts: ~Copyable {
        let root: DetachedMount
        let devices: DetachedMount
    }

    private func receiveMounts() throws(SandboxFailure) -> Mounts {
        try step(.handshake) { () throws(SystemError) in
            let packet = try Socket.receivePacket(channel, capacity: 1)
            guard let packet, packet.bytes.count == 1, packet.descriptors.count == 2 else {
                throw SystemError(EPIPE, "the warden ended before it sent the mounts")
            }
            return Mounts(
                root: DetachedMount(owning: Descriptor(owning: packet.descriptors[0])),
                devices: DetachedMount(owning: Descriptor(owning: packet.descriptors[1])))
        }
    }

    private func becomeRootInside() throws(SandboxFailure) {
        try step(.identity) { () throws(SystemError) in
            try Identity.become(user: 0, group: 0)
            try Identity.joinNewSessionKeyring()
            umask(0o022)
        }
    }

    private func attachRoot(_ mount: borrowing DetachedMount) throws(SandboxFailure) {
        do {
            try MountTree.makePrivate()
            try mount.attach(onto: File.open(rootMountPoint, File.pathOnly | O_DIRECTORY))
        } catch { throw SandboxFailure(.attachRoot, error) }
    }

    private func openRoot() throws(SandboxFailure) -> Descriptor {
        try step(.attachRoot) { () throws(SystemError) in
            try File.open(rootMountPoint, File.pathOnly | O_DIRECTORY)
        }
    }

    private func enterRoot(_ root: borrowing Descriptor) throws(SandboxFailure) {
        do { try MountTree.pivot(to: root) } catch { throw SandboxFailure(.pivot, error) }
    }

    private func startLoopback() throws(SandboxFailure) {
        try step(.network) { () throws(SystemError) in
            let socket = try Socket.tcp()
            let up = plane_interface_up(socket.raw, "lo")
            if up < 0 { throw SystemError(Int32(-up), "ioctl SIOCSIFFLAGS lo") }
        }
    }

    private func nameHost() throws(SandboxFailure) {
        if sethostname(plan.hostname, plan.hostname.utf8.count) != 0 {
            throw SandboxFailure(.identity, call: "sethostname", code: errno)
        }
    }

    /// Clones the command's process, which goes its own way to its exec.
    private func startCommand() throws(SandboxFailure) -> Int32 {
        switch try step(.clone, { () throws(SystemError) in try Clone.process(namespaces: [], cgroup: nil) }) {
        case .child:
            CommandProcess(plan: plan, start: start, report: report).run()
        case .parent(let pid, _):
            return pid
        }
    }
}

extension SandboxFailure {
    /// Tells the warden, in one write, before the process ends.
    func send(to report: Int32) {
        var bytes: [UInt8] = [step.rawValue]
        withUnsafeBytes(of: code.littleEndian) { bytes.append(contentsOf: $0) }
        bytes.append(contentsOf: call.utf8.prefix(1024))
        _ = bytes.withUnsafeBytes { write(report, $0.baseAddress, $0.count) }
    }

    /// Reads what a child sent; nil when it sent nothing, which means that the command was exec'ed.
    init?(report bytes: [UInt8]) {
        if bytes.isEmpty { return nil }
        guard bytes.count >= 5, let step = Step(rawValue: bytes[0]) else {
            self.init(.handshake, call: "the new sandbox sent a report that cannot be read", code: 0)
            return
        }
        let code = bytes[1..<5].enumerated().reduce(UInt32(0)) { $0 | UInt32($1.element) << UInt32(8 * $1.offset) }
        self.init(step, call: String(decoding: bytes[5...], as: UTF8.self), code: Int32(bitPattern: code))
    }
}

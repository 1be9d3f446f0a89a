import Glibc
import Linux
import Model
import Sandbox
import WardenProtocol

/// What the kernel keeps of one backend, by the descriptors that it is reached with. What is to become of it is decided by
/// the ledger.
final class SandboxRecord {
    let backend: BackendID
    /// The reading end of the command's output, handed to every drone that connects.
    let output: Descriptor
    private var starting: StartingSandbox?
    private var sandbox: Sandbox?
    private let cgroup: Cgroup

    init(_ backend: BackendID, _ starting: consuming StartingSandbox, output: consuming Descriptor) {
        self.backend = backend
        self.output = output
        watched = starting.watched
        cgroup = starting.cgroup
        self.starting = consume starting
    }

    /// Readable once the start is decided, then once the sandbox has ended; nil after that was dealt with.
    private(set) var watched: Int32?

    var isStarting: Bool { starting != nil }

    /// Takes over the sandbox whose start is decided.
    /// - Throws: why there is none; nothing of it is left.
    func settle(on host: inout SandboxHost) throws(SandboxFailure) {
        guard let start = starting.take() else { return }
        watched = nil
        let started = try start.finish(on: &host)
        watched = started.process.raw
        sandbox = consume started
    }

    /// Ends one whose start is not to go on, and waits until nothing of it is left.
    func discard(on host: inout SandboxHost) {
        watched = nil
        if let start = starting.take() { start.discard(on: &host) }
    }

    /// The guard's new moment.
    func moveGuard(to deadline: BootInstant) throws(SystemError) {
        if starting != nil { return try starting!.armGuard(at: deadline) }
        if sandbox != nil { try sandbox!.armGuard(at: deadline) }
    }

    /// SIGTERM to its command.
    func askToEnd() throws(SystemError) {
        if sandbox != nil { try sandbox!.forward(SIGTERM) }
    }

    /// Ends it at once; one that is being started then settles at once.
    func kill() throws(SystemError) {
        if starting != nil { return try starting!.kill() }
        if sandbox != nil { try sandbox!.kill() }
    }

    /// Processor time of all its processes, microseconds.
    var usedMicroseconds: UInt64 { cgroup.value(of: "usage_usec", in: "cpu.stat") ?? 0 }

    /// A socket in its network namespace. - Parameter host: which it belongs to.
    func makeSocket(on host: borrowing SandboxHost) throws(SystemError) -> Descriptor {
        guard sandbox != nil else { throw SystemError(ESRCH, "socket in an ended sandbox") }
        return try sandbox!.makeSocket(on: host)
    }

    /// Its pid 1 has ended: asks how. Nil if there is none.
    func processEnded() throws(SystemError) -> SandboxEnd? {
        guard sandbox != nil else { return nil }
        watched = nil
        let manner: SandboxEnd.Manner =
            switch try sandbox!.reap() {
            case .command(let status): .command(status)
            case .killed: .killed
            case .deadline: .deadline
            }
        return SandboxEnd(
            manner,
            outOfMemory: (cgroup.value(of: "oom_kill", in: "memory.events") ?? 0) > 0,
            cpuMicroseconds: usedMicroseconds,
            memoryPeakBytes: (try? cgroup.read("memory.peak")).flatMap { UInt64($0) } ?? 0)
    }

    /// Removes what is left of an ended one. - Returns: whether it is all gone now.
    func removeRemains(on host: inout SandboxHost) throws(SystemError) -> Bool {
        guard let ended = sandbox.take() else { return true }
        guard let rest = try ended.finish(on: &host) else { return true }
        sandbox = consume rest
        return false
    }
}

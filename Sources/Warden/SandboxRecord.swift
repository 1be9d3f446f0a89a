import Glibc
import Linux
import Model
import Sandbox
import WardenProtocol

/// One backend as the warden keeps it: from its start until the drone has said that it knows of its end.
final class SandboxRecord {
    let backend: BackendID
    let image: ImageName
    let fencingToken: FencingToken
    let note: [UInt8]
    /// The reading end of the command's output, handed to every drone that connects.
    let output: Descriptor
    private(set) var hardDeadline: BootInstant
    private(set) var cause = SandboxExit.Cause.ended
    /// Set once nothing of the sandbox is left.
    private(set) var exit: SandboxExit?
    /// What init and cgroup said, while the cgroup cannot be removed yet.
    private var remains: SandboxExit?
    private var sandbox: Sandbox?
    private let cgroup: Cgroup

    init(_ request: SpawnRequest, _ sandbox: consuming Sandbox, output: consuming Descriptor) {
        backend = request.backend
        image = request.image
        fencingToken = request.fencingToken
        note = request.note
        hardDeadline = Self.bounded(request.hardDeadline)
        self.output = output
        processDescriptor = sandbox.process.raw
        cgroup = sandbox.cgroup
        self.sandbox = consume sandbox
    }

    /// Readable once the sandbox has ended; nil after that was dealt with.
    private(set) var processDescriptor: Int32?

    var listing: SandboxListing {
        SandboxListing(
            backend: backend, image: image, fencingToken: fencingToken, hardDeadline: hardDeadline, note: note,
            exit: exit)
    }

    /// The deadline that is still to be enforced.
    var pendingDeadline: BootInstant? { exit == nil && remains == nil ? hardDeadline : nil }

    /// Moves the deadline forward; an earlier one is ignored, as an old message could bring it.
    func extend(to deadline: BootInstant) { hardDeadline = max(hardDeadline, Self.bounded(deadline)) }

    private static func bounded(_ deadline: BootInstant) -> BootInstant {
        min(deadline, .now + WardenRequest.deadlineAheadMax)
    }

    /// Ends it, softly or at once.
    func terminate(_ kind: TerminationKind, _ cause: SandboxExit.Cause) throws(SystemError) {
        guard sandbox != nil, remains == nil else { return }
        if self.cause == .ended { self.cause = cause }
        switch kind {
        case .soft: try sandbox!.forward(15)
        case .hard: try sandbox!.kill()
        }
    }

    /// A socket in its network namespace. - Parameter home: the warden's own namespace.
    func makeSocket(home: borrowing Descriptor) throws(SystemError) -> Descriptor {
        guard sandbox != nil, remains == nil else { throw SystemError(ESRCH, "socket in an ended sandbox") }
        return try sandbox!.makeSocket(home: home)
    }

    /// Its pid 1 has ended: asks how, and begins to remove what is left.
    func processEnded() throws(SystemError) {
        guard sandbox != nil, remains == nil else { return }
        processDescriptor = nil
        let status = try sandbox!.reap()
        remains = SandboxExit(
            cause: cause, status: status,
            outOfMemory: (cgroup.value(of: "oom_kill", in: "memory.events") ?? 0) > 0,
            cpuMicroseconds: cgroup.value(of: "usage_usec", in: "cpu.stat") ?? 0,
            memoryPeakBytes: (try? cgroup.read("memory.peak")).flatMap { UInt64($0) } ?? 0)
    }

    /// Whether it has ended but something of it is left.
    var hasRemains: Bool { remains != nil && exit == nil }

    /// Removes what is left. - Returns: whether it is all gone now.
    func removeRemains(on host: inout SandboxHost) throws(SystemError) -> Bool {
        guard hasRemains, let ended = sandbox.take() else { return exit != nil }
        if let rest = try ended.finish(on: &host) {
            sandbox = consume rest
        } else {
            exit = remains
        }
        return exit != nil
    }
}

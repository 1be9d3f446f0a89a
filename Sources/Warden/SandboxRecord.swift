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
    private var starting: StartingSandbox?
    private var sandbox: Sandbox?
    private let cgroup: Cgroup
    private let startDeadline: BootInstant
    private let budget: ProcessorBudget?
    private var nextLook: BootInstant?
    /// What was asked for before the command ran.
    private var askedToEnd: TerminationKind?

    init(
        _ request: SpawnRequest, _ starting: consuming StartingSandbox, output: consuming Descriptor,
        budget: ProcessorBudget?
    ) {
        backend = request.backend
        image = request.image
        fencingToken = request.fencingToken
        note = request.note
        hardDeadline = Self.bounded(request.hardDeadline)
        startDeadline = .now + StartingSandbox.patience
        self.output = output
        self.budget = budget
        nextLook = budget.map { _ in .now }
        watched = starting.watched
        cgroup = starting.cgroup
        self.starting = consume starting
    }

    /// Readable once the start is decided, then once the sandbox has ended; nil after that was dealt with.
    private(set) var watched: Int32?

    var isStarting: Bool { starting != nil }

    var listing: SandboxListing {
        SandboxListing(
            backend: backend, image: image, fencingToken: fencingToken, hardDeadline: hardDeadline, note: note,
            exit: exit)
    }

    /// When something is to be done about it by itself.
    var nextWake: BootInstant? {
        guard exit == nil, remains == nil else { return nil }
        let deadline = isStarting ? min(hardDeadline, startDeadline) : hardDeadline
        return min(deadline, nextLook ?? deadline)
    }

    /// Moves the deadline forward; an earlier one is ignored, as an old message could bring it.
    func extend(to deadline: BootInstant) { hardDeadline = max(hardDeadline, Self.bounded(deadline)) }

    private static func bounded(_ deadline: BootInstant) -> BootInstant {
        min(deadline, .now + WardenRequest.deadlineAheadMax)
    }

    /// Takes over the sandbox whose start is decided.
    /// - Throws: why there is none; nothing of it is left.
    func settle(on host: inout SandboxHost) throws(SandboxFailure) {
        guard let start = starting.take() else { return }
        watched = nil
        let started = try start.finish(on: &host)
        watched = started.process.raw
        sandbox = consume started
        if let kind = askedToEnd { try? end(kind) }
    }

    /// What is due by now.
    enum Due {
        case nothing
        /// It was killed, for this reason.
        case killed(String)
    }

    /// Does what is due.
    func tick(now: BootInstant) throws(SystemError) -> Due {
        guard exit == nil, remains == nil else { return .nothing }
        if now >= hardDeadline {
            try terminate(.hard, .deadline)
            hardDeadline = .init(nanoseconds: .max)
            return .killed("its lease's hard deadline has come")
        }
        if isStarting, now >= startDeadline {
            try terminate(.hard, .terminated)
            return .killed("it did not start in time")
        }
        guard let budget, let look = nextLook, now >= look else { return .nothing }
        switch budget.judge(used: usedMicroseconds, now: now) {
        case .lookAgain(let instant): nextLook = instant
        case .exhausted:
            nextLook = nil
            try terminate(.hard, .cpuTime)
            return .killed("it has used the \(budget.limit / 1_000_000) s of processor time that it may")
        }
        return .nothing
    }

    private var usedMicroseconds: UInt64 { cgroup.value(of: "usage_usec", in: "cpu.stat") ?? 0 }

    /// Ends it, softly or at once.
    func terminate(_ kind: TerminationKind, _ cause: SandboxExit.Cause) throws(SystemError) {
        guard exit == nil, remains == nil else { return }
        if self.cause == .ended { self.cause = cause }
        try end(kind)
    }

    private func end(_ kind: TerminationKind) throws(SystemError) {
        if starting != nil {
            askedToEnd = kind
            // Its start then settles at once.
            if kind == .hard { try starting!.kill() }
            return
        }
        guard sandbox != nil else { return }
        switch kind {
        case .soft: try sandbox!.forward(SIGTERM)
        case .hard: try sandbox!.kill()
        }
    }

    /// A socket in its network namespace. - Parameter host: which it belongs to.
    func makeSocket(on host: borrowing SandboxHost) throws(SystemError) -> Descriptor {
        if isStarting { throw SystemError(EAGAIN, "socket in a sandbox that is being started") }
        guard sandbox != nil, remains == nil else { throw SystemError(ESRCH, "socket in an ended sandbox") }
        return try sandbox!.makeSocket(on: host)
    }

    /// Its pid 1 has ended: asks how, and begins to remove what is left.
    func processEnded() throws(SystemError) {
        guard sandbox != nil, remains == nil else { return }
        watched = nil
        let status = try sandbox!.reap()
        remains = SandboxExit(
            cause: cause, status: status,
            outOfMemory: (cgroup.value(of: "oom_kill", in: "memory.events") ?? 0) > 0,
            cpuMicroseconds: usedMicroseconds,
            memoryPeakBytes: (try? cgroup.read("memory.peak")).flatMap { UInt64($0) } ?? 0)
    }

    /// Removes what is left. - Returns: whether it is all gone now.
    func removeRemains(on host: inout SandboxHost) throws(SystemError) -> Bool {
        guard remains != nil, exit == nil, let ended = sandbox.take() else { return exit != nil }
        if let rest = try ended.finish(on: &host) {
            sandbox = consume rest
        } else {
            exit = remains
        }
        return exit != nil
    }
}

package import Linux
import Model
import WardenProtocol

/// How the processes of a sandbox ended, and what they used.
package struct SandboxEnd: Hashable, Sendable {
    /// By what.
    package enum Manner: Hashable, Sendable {
        /// Its command ended, and with it the rest.
        case command(ExitStatus)
        /// It was killed with its init.
        case killed
        /// Its own guard ended it at its deadline.
        case deadline
    }

    /// By what.
    package var manner: Manner
    /// Whether the kernel killed something in it for reaching memory.max.
    package var outOfMemory: Bool
    /// Processor time of all its processes, microseconds.
    package var cpuMicroseconds: UInt64
    /// The most memory it had, bytes; 0 where the memory controller is missing.
    package var memoryPeakBytes: UInt64

    /// - Parameters: as the properties say.
    package init(
        _ manner: Manner, outOfMemory: Bool = false, cpuMicroseconds: UInt64 = 0, memoryPeakBytes: UInt64 = 0
    ) {
        self.manner = manner
        self.outOfMemory = outOfMemory
        self.cpuMicroseconds = cpuMicroseconds
        self.memoryPeakBytes = memoryPeakBytes
    }
}

/// One backend in a warden's ledger: from the request to start it until the drone has said that it knows of its end.
struct LedgerEntry: Sendable {
    /// How far it is.
    enum Phase: Equatable {
        /// Its start is not decided. What was asked of it meanwhile is done once it is.
        case starting(Asked)
        case running
        /// It was killed, and its processes' end is to come.
        case killed
        /// Its processes have ended, and the kernel still holds something of it.
        case clearing(SandboxExit)
        /// Nothing of it is left.
        case ended(SandboxExit)
    }

    /// What was asked of a sandbox that was being started.
    enum Asked: Equatable {
        case nothing
        case toEnd
        case toBeKilled
    }

    let backend: BackendID
    private let image: ImageName
    private let fencingToken: FencingToken
    private let note: [UInt8]
    private(set) var phase = Phase.starting(.nothing)
    private(set) var hardDeadline: BootInstant
    private let startLimit: BootInstant
    private var cause = SandboxExit.Cause.ended
    var budget: ProcessorBudget?
    /// When to see how much of the budget is used; nil while that is being asked, or never.
    var nextLook: BootInstant?

    /// - Parameter request: its deadline is within what a warden grants.
    init(_ request: SpawnRequest, startDeadline: BootInstant) {
        backend = request.backend
        image = request.image
        fencingToken = request.fencingToken
        note = request.note
        hardDeadline = request.hardDeadline
        startLimit = startDeadline
    }

    var isStarting: Bool {
        if case .starting = phase { true } else { false }
    }

    /// Until when its start must be decided; nil when it is.
    var startDeadline: BootInstant? { isStarting ? startLimit : nil }

    /// How it ended; nil until nothing of it is left.
    var exit: SandboxExit? {
        if case .ended(let exit) = phase { exit } else { nil }
    }

    /// Whether limits are still to be enforced on it.
    var isGuarded: Bool {
        switch phase {
        case .starting(.nothing), .starting(.toEnd), .running: true
        case .starting(.toBeKilled), .killed, .clearing, .ended: false
        }
    }

    /// When something is to be done about it by itself.
    var nextWake: BootInstant? {
        guard isGuarded else { return nil }
        return [hardDeadline, startDeadline, nextLook].compactMap { $0 }.min()
    }

    var listing: SandboxListing {
        SandboxListing(
            backend: backend, image: image, fencingToken: fencingToken, hardDeadline: hardDeadline, note: note,
            exit: exit)
    }

    /// - Returns: whether the deadline has moved.
    mutating func extend(to deadline: BootInstant) -> Bool {
        guard isGuarded, deadline > hardDeadline else { return false }
        hardDeadline = deadline
        return true
    }

    /// Notes that it is to end; the first cause stays.
    /// - Returns: what is to be done now, if anything.
    mutating func end(_ kind: TerminationKind, _ cause: SandboxExit.Cause) -> TerminationKind? {
        guard isGuarded else { return nil }
        if self.cause == .ended { self.cause = cause }
        switch (phase, kind) {
        case (.starting, .soft):
            phase = .starting(.toEnd)
            return nil
        case (.starting, .hard): phase = .starting(.toBeKilled)
        case (.running, .hard): phase = .killed
        case (.running, .soft), (.killed, _), (.clearing, _), (.ended, _): break
        }
        return kind
    }

    /// Its start is decided. - Returns: what was asked of it meanwhile; nil if it was not being started.
    mutating func settle() -> Asked? {
        guard case .starting(let asked) = phase else { return nil }
        phase = asked == .toBeKilled ? .killed : .running
        return asked
    }

    /// - Returns: false if that is known already, or if its start is not even decided.
    mutating func processEnded(_ end: SandboxEnd) -> Bool {
        guard phase == .running || phase == .killed else { return false }
        if end.manner == .deadline, cause == .ended { cause = .deadline }
        let status: ExitStatus? = if case .command(let status) = end.manner { status } else { nil }
        phase = .clearing(
            SandboxExit(
                cause: cause, status: status, outOfMemory: end.outOfMemory, cpuMicroseconds: end.cpuMicroseconds,
                memoryPeakBytes: end.memoryPeakBytes))
        return true
    }

    /// - Returns: how it ended; nil if its processes have not, or it was cleared before.
    mutating func clear() -> SandboxExit? {
        guard case .clearing(let exit) = phase else { return nil }
        phase = .ended(exit)
        return exit
    }
}

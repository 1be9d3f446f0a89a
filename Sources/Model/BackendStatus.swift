/// Where a backend is in its life. Only ever moves forward, by `order`.
public enum BackendStatus: String, Codable, CaseIterable, Sendable, Comparable {
    /// The controller chose a drone and promised the backend.
    case scheduled
    /// The drone has the request.
    case loading
    /// The sandbox is being made.
    case starting
    /// The command runs; its port does not answer yet.
    case waiting
    /// The port answers HTTP.
    case ready
    /// It was asked to end and may still clean up.
    case terminating
    /// It is being killed.
    case hardTerminating = "hard-terminating"
    /// It has ended and nothing of it is left.
    case terminated

    /// The reference's numbers, kept in stored rows so that a comparison in SQL is this one.
    public var order: Int {
        switch self {
        case .scheduled: 10
        case .loading: 20
        case .starting: 30
        case .waiting: 40
        case .ready: 50
        case .terminating: 60
        case .hardTerminating: 65
        case .terminated: 70
        }
    }

    public static func < (a: BackendStatus, b: BackendStatus) -> Bool { a.order < b.order }
}

/// Why a backend ends. Raw values are the reference's, lower case without separators.
public enum TerminationReason: String, Codable, CaseIterable, Sendable {
    /// Idle too long, or its lifetime is over.
    case swept
    /// Asked for over the API.
    case external
    /// The drone could not renew its session in time.
    case keyExpired = "keyexpired"
    /// The drone is gone, or does not know the backend.
    case lost
    /// It did not answer on its port in time.
    case startupTimeout = "startuptimeout"
    /// The sandbox could not be made, or something of ours failed; the message says what.
    case internalError = "internalerror"
}

/// How a backend is ended.
public enum TerminationKind: String, Codable, CaseIterable, Sendable {
    /// SIGTERM to the command, then a grace period.
    case soft
    /// SIGKILL to all of it.
    case hard
}

/// How the command of a backend ended, as far as is known. Added to the reference's fields.
public struct BackendExit: Codable, Hashable, Sendable {
    /// Exit status 0–255; nil when a signal ended it or nobody knows.
    public var code: Int32?
    /// The signal that ended it; nil when it exited or nobody knows.
    public var signal: Int32?
    /// Whether the kernel killed it for reaching memory.max.
    public var outOfMemory: Bool

    /// - Parameters:
    ///   - code: exit status, if it exited.
    ///   - signal: signal number, if a signal ended it.
    ///   - outOfMemory: whether memory.events counted an oom_kill.
    public init(code: Int32?, signal: Int32?, outOfMemory: Bool) {
        self.code = code
        self.signal = signal
        self.outOfMemory = outOfMemory
    }

    enum CodingKeys: String, CodingKey {
        case code
        case signal
        case outOfMemory = "out_of_memory"
    }

    /// Whether it is known to have failed.
    public var isFailure: Bool { outOfMemory || signal != nil || (code ?? 0) != 0 }
}

/// A backend's state as the drone reports it and the controller keeps it.
public struct BackendState: Codable, Hashable, Sendable {
    /// Where it is.
    public var status: BackendStatus
    /// Why it ends; nil until then, and when the command ended by itself.
    public var reason: TerminationReason?
    /// How it is ended.
    public var kind: TerminationKind?
    /// How the command ended, once it has.
    public var exit: BackendExit?
    /// A sentence for a person: why it did not start, or how it ended.
    public var message: String?
    /// Why it ends, with the ends that `reason` has no value for; nil until then.
    public var endReason: EndReason?
    /// What it used, once it has ended; nil when nothing of it ever ran or nobody knows.
    public var usage: BackendUsage?

    /// - Parameters: as the properties say, but `endReason`: without one it follows from `reason`.
    public init(
        _ status: BackendStatus, reason: TerminationReason? = nil, kind: TerminationKind? = nil,
        exit: BackendExit? = nil, message: String? = nil, endReason: EndReason? = nil, usage: BackendUsage? = nil
    ) {
        self.status = status
        self.reason = reason
        self.kind = kind
        self.exit = exit
        self.message = message
        self.endReason = endReason ?? reason.map(EndReason.init)
        self.usage = usage
    }
}

/// One line of a backend's public history: `/pub/b/{id}/status` and each event of `status-stream`.
///
/// The reference's fields, and four added ones. The reference says `exit_error: false` when a backend could not be
/// started or was lost (its exit code is then unknown); here it is true whenever the backend is known to have failed,
/// and `message` says why.
public struct StatusEntry: Codable, Hashable, Sendable {
    /// Where the backend was from then on.
    public var status: BackendStatus
    /// Why it ends; omitted if unknown.
    public var terminationReason: TerminationReason?
    /// How it is ended; omitted if it ended by itself.
    public var terminationKind: TerminationKind?
    /// Present when terminated: whether it failed.
    public var exitError: Bool?
    /// When the controller recorded it, milliseconds since 1970.
    public var time: Int64
    /// Added: how the command ended; omitted until then.
    public var exit: BackendExit?
    /// Added: a sentence for a person; omitted if there is nothing to say.
    public var message: String?
    /// Added: why it ends, one value for each way of ending; omitted until then.
    public var endReason: EndReason?
    /// Added: what it used; omitted until it has ended, and if nothing of it ever ran or nobody knows.
    public var usage: BackendUsage?

    /// The public view of a state. - Parameter time: milliseconds since 1970, the controller's clock.
    public init(_ state: BackendState, time: Int64) {
        status = state.status
        terminationReason = state.reason
        terminationKind = state.kind
        if state.status == .terminated {
            let ended = state.exit?.isFailure ?? false
            let endedUnseen = state.exit == nil && state.endReason?.isFailure == true
            exitError = ended || endedUnseen
        }
        self.time = time
        exit = state.exit
        message = state.message
        endReason = state.endReason
        usage = state.usage
    }

    enum CodingKeys: String, CodingKey {
        case status
        case terminationReason = "termination_reason"
        case terminationKind = "termination_kind"
        case exitError = "exit_error"
        case time
        case exit
        case message
        case endReason = "end_reason"
        case usage
    }
}

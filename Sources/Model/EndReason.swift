/// Why a backend ends, one value for each way: what the reference's `termination_reason` says, and how a command ends
/// that nobody asked to. The first cause stays: a backend that is swept and runs out of memory while it cleans up was
/// swept, and its `exit` tells the rest.
public enum EndReason: String, Codable, CaseIterable, Sendable {
    /// The command exited by itself; `exit.code` has the status.
    case exited
    /// A signal that is not Plane's ended the command; `exit.signal` has its number.
    case signaled
    /// The kernel killed it for reaching memory.max.
    case outOfMemory = "out-of-memory"
    /// Its processes together used up their processor time, or one of them its RLIMIT_CPU.
    case cpuTime = "cpu-time"
    /// The sandbox's first process was killed, and all with it, by somebody on its machine.
    case killed
    /// An earlier process of its drone had it ended; why is known to the one that asked.
    case endedByDrone = "ended-by-drone"
    /// The sandbox could not be made, or its command not be started.
    case startFailed = "start-failed"
    /// It did not answer on its port in time.
    case startupTimeout = "startup-timeout"
    /// Its drone or warden is gone, or does not know it.
    case lost
    /// Idle too long, or its lifetime is over.
    case swept
    /// Asked for over the API, or its drone was stopped.
    case external
    /// The drone could not renew its session in time.
    case leaseExpired = "lease-expired"
    /// Something of Plane's failed; the message says what.
    case internalError = "internal-error"

    /// The same, of an end that Plane brought about.
    public init(_ reason: TerminationReason) {
        switch reason {
        case .swept: self = .swept
        case .external: self = .external
        case .keyExpired: self = .leaseExpired
        case .lost: self = .lost
        case .startupTimeout: self = .startupTimeout
        case .internalError: self = .internalError
        }
    }

    /// Whether it means that something went wrong, as opposed to somebody having wanted the end. Of a command that exited
    /// only its status tells.
    public var isFailure: Bool {
        switch self {
        case .exited, .endedByDrone, .swept, .external: false
        case .signaled, .outOfMemory, .cpuTime, .killed, .startFailed, .startupTimeout, .lost, .leaseExpired,
            .internalError:
            true
        }
    }
}

/// What a backend used in its life.
public struct BackendUsage: Codable, Hashable, Sendable {
    /// Processor time of all its processes, microseconds.
    public var cpuMicroseconds: Int64
    /// The most memory that it had, bytes; nil where the kernel does not tell.
    public var memoryPeakBytes: Int64?

    /// - Parameters: as the properties say.
    public init(cpuMicroseconds: Int64, memoryPeakBytes: Int64?) {
        self.cpuMicroseconds = cpuMicroseconds
        self.memoryPeakBytes = memoryPeakBytes
    }

    enum CodingKeys: String, CodingKey {
        case cpuMicroseconds = "cpu_microseconds"
        case memoryPeakBytes = "memory_peak_bytes"
    }
}

/// What a policy file says, checked and with every default filled in. The initial values are the default policy: what an
/// empty file means, and an image that has no policy.
public struct PolicyDocument: Hashable, Sendable {
    /// Who the command is inside the sandbox.
    public var commandUser = CommandUser()
    /// Host name inside, a label of 1–63 characters (RFC 1123).
    public var hostname = "sandbox"
    /// How much of the machine it may use.
    public var limits = Limits()
    /// Which system calls it may make.
    public var seccomp = SystemCallPolicy()
    /// What it may reach from within.
    public var network = Network.none
    /// Seconds until the port must answer, else the start has failed.
    public var readinessTimeoutSeconds: UInt32 = 300
    /// Seconds between SIGTERM and SIGKILL; 0 kills at once.
    public var gracePeriodSeconds: UInt32 = 30
    /// Added to the image's environment; a name given here wins over the image's.
    public var environment: [String: String] = [:]

    /// The default policy.
    public init() {}

    /// User and group inside, which the warden maps to ids of the host that nothing else has.
    public struct CommandUser: Hashable, Sendable {
        /// 1–65533: 0 would be root within its namespace, and 65534 is the sandbox's init.
        public var uid: UInt32 = 1000
        /// 1–65533.
        public var gid: UInt32 = 1000
    }

    /// Amounts of what is shared with everyone else on the machine.
    public struct Limits: Hashable, Sendable {
        /// memory.max in bytes. Files in the writable layer and in /dev/shm count too.
        public var memoryBytes: UInt64 = 1 << 30
        /// memory.swap.max in bytes.
        public var swapBytes: UInt64 = 0
        /// Processors' worth of time, 0.01–1024.
        public var cpus = 1.0
        /// How often the processor time is handed out, in microseconds, 1,000–1,000,000.
        public var cpuPeriodMicroseconds: UInt64 = 100_000
        /// Processes and threads together.
        public var pids: UInt64 = 256
        /// Total processor seconds of each process (RLIMIT_CPU); nil is no limit.
        public var cpuTimeSeconds: UInt64?
        /// Bytes of the writable layer over the image.
        public var diskBytes: UInt64 = 1 << 30
        /// Files and folders in the writable layer.
        public var diskFiles: UInt64 = 100_000
        /// Open descriptors of each process (RLIMIT_NOFILE).
        public var openFiles: UInt64 = 1024
        /// Bytes of /dev/shm, at most `memoryBytes`.
        public var sharedMemoryBytes: UInt64 = 64 << 20

        /// Processor time in each period, as cpu.max takes it.
        var cpuQuotaMicroseconds: UInt64 { UInt64((cpus * Double(cpuPeriodMicroseconds)).rounded()) }
    }

    /// The outside world as seen from within.
    public enum Network: String, Hashable, Sendable, CaseIterable {
        /// Loopback only: nothing leaves, and only the proxy gets in.
        case none
    }
}

/// Which system calls a policy lets through, as changes of a named list.
public struct SystemCallPolicy: Hashable, Sendable {
    /// The list that the changes start from.
    public var base = Base.default
    /// Names let through besides the list's, whatever their arguments.
    public var allow: Set<String> = []
    /// Names refused with EPERM although the list has them.
    public var deny: Set<String> = []

    /// The default list, unchanged.
    public init() {}

    /// A list known by name.
    public enum Base: String, Hashable, Sendable, CaseIterable {
        /// What interpreters, compilers, shells and servers need.
        case `default`
    }
}

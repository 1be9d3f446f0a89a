/// Everything that a sandbox of one image needs, as plain data: made once from the image's manifest and its policy file
/// by the policy compiler, read by the warden, which parses no JSON and builds no filter.
public struct SandboxPlan: Hashable, Sendable {
    /// Which image.
    public var image: ImageName
    /// Absolute path of the image's read-only tree on the host.
    public var rootPath: String
    /// The command and its arguments; the first is an absolute path inside the image.
    public var command: [String]
    /// `NAME=VALUE`, without the variables that Plane sets itself.
    public var environment: [String]
    /// Absolute path inside the image.
    public var workingDirectory: String
    /// The port the command listens on inside, on 127.0.0.1.
    public var port: UInt16
    /// How it is told that the command is ready to serve.
    public var readiness: Readiness
    /// User id inside the sandbox, 1–65533: never 0, and never the init's own.
    public var userID: UInt32
    /// Group id inside the sandbox, 1–65533.
    public var groupID: UInt32
    /// Host name inside.
    public var hostname: String
    /// cgroup v2 limits.
    public var cgroup: CgroupLimits
    /// Writable layer over the image: bytes of its tmpfs.
    public var diskBytes: UInt64
    /// Files and folders that the writable layer may hold.
    public var diskInodes: UInt64
    /// Bytes of /dev/shm.
    public var sharedMemoryBytes: UInt64
    /// RLIMIT_NOFILE of the command.
    public var openFilesMax: UInt64
    /// Processor seconds of all its processes together, after which the warden kills it; RLIMIT_CPU of each as well.
    /// Nil is no limit.
    public var cpuTimeSeconds: UInt64?
    /// What is mounted over the image, in this order.
    public var mounts: [SandboxMount] = []
    /// Devices of the host in its /dev, besides those that every sandbox has.
    public var devices: [SandboxDevice] = []
    /// Capabilities that the command keeps, over its own namespaces only.
    public var capabilities: [SandboxCapability] = []
    /// What the command may reach in its own file system and of its own ports; nil is all that owners allow.
    public var landlock: LandlockRules?
    /// The seccomp program: `struct sock_filter` records, 8 bytes each, for seccomp(2).
    public var filter: [UInt8]
    /// When the seccomp program is put on.
    public var filterMoment = FilterMoment.beforeExec
    /// Seconds between SIGTERM and SIGKILL.
    public var gracePeriodSeconds: UInt32
    /// The longest that a backend may live, in seconds, whatever a request asks for; nil is no limit.
    public var lifetimeSeconds: UInt64?
    /// The longest that a backend may be idle, in seconds, whatever a request asks for; nil is no limit.
    public var idleSeconds: UInt64?

    /// When the seccomp program is put on.
    public enum FilterMoment: UInt8, Hashable, Sendable {
        /// As the last thing before the command is exec'ed.
        case beforeExec = 0
        /// Before the launch is waited for: the program lets through whatever follows.
        case beforeLaunch = 1
    }

    /// How it is told that the command is ready to serve.
    public struct Readiness: Hashable, Sendable {
        /// The port that is asked, on 127.0.0.1 inside.
        public var port: UInt16
        /// What is asked for, by HEAD; any HTTP answer is taken where it is nil, else one of status 200–399.
        public var path: String?
        /// Seconds until it must answer.
        public var timeoutSeconds: UInt32

        /// - Parameters: as the properties say.
        public init(port: UInt16, path: String? = nil, timeoutSeconds: UInt32) {
            self.port = port
            self.path = path
            self.timeoutSeconds = timeoutSeconds
        }
    }

    /// Limits that go into cgroup v2 files. The kernel's admin-guide/cgroup-v2.
    public struct CgroupLimits: Hashable, Sendable {
        /// memory.max in bytes.
        public var memoryMaxBytes: UInt64
        /// memory.high in bytes: above it the sandbox is slowed down and made to give memory back; nil is no such mark.
        public var memoryHighBytes: UInt64?
        /// memory.swap.max in bytes.
        public var swapMaxBytes: UInt64
        /// cpu.max: microseconds of processor time in each period.
        public var cpuQuotaMicroseconds: UInt64
        /// cpu.max: the period's microseconds, 1,000–1,000,000.
        public var cpuPeriodMicroseconds: UInt64
        /// cpu.weight, 1–10,000: its share where processors are short; nil is the kernel's 100.
        public var cpuWeight: UInt64?
        /// pids.max.
        public var pidsMax: UInt64
        /// io.weight, 1–10,000; nil is the kernel's 100.
        public var ioWeight: UInt64?
        /// io.max of the disk that holds the image.
        public var io = IOLimits()

        /// - Parameters: as the properties say.
        public init(
            memoryMaxBytes: UInt64, swapMaxBytes: UInt64, cpuQuotaMicroseconds: UInt64, cpuPeriodMicroseconds: UInt64,
            pidsMax: UInt64
        ) {
            self.memoryMaxBytes = memoryMaxBytes
            self.swapMaxBytes = swapMaxBytes
            self.cpuQuotaMicroseconds = cpuQuotaMicroseconds
            self.cpuPeriodMicroseconds = cpuPeriodMicroseconds
            self.pidsMax = pidsMax
        }
    }

    /// Most of what may be read from and written to one disk in a second; nil is no limit.
    public struct IOLimits: Hashable, Sendable {
        /// rbps.
        public var readBytesPerSecond: UInt64?
        /// wbps.
        public var writeBytesPerSecond: UInt64?
        /// riops.
        public var readsPerSecond: UInt64?
        /// wiops.
        public var writesPerSecond: UInt64?

        /// No limit.
        public init() {}
    }

    /// - Parameters: as the properties say.
    public init(
        image: ImageName, rootPath: String, command: [String], environment: [String], workingDirectory: String,
        port: UInt16, readiness: Readiness, userID: UInt32, groupID: UInt32, hostname: String, cgroup: CgroupLimits,
        diskBytes: UInt64, diskInodes: UInt64, sharedMemoryBytes: UInt64, openFilesMax: UInt64,
        cpuTimeSeconds: UInt64?, filter: [UInt8], gracePeriodSeconds: UInt32
    ) {
        self.image = image
        self.rootPath = rootPath
        self.command = command
        self.environment = environment
        self.workingDirectory = workingDirectory
        self.port = port
        self.readiness = readiness
        self.userID = userID
        self.groupID = groupID
        self.hostname = hostname
        self.cgroup = cgroup
        self.diskBytes = diskBytes
        self.diskInodes = diskInodes
        self.sharedMemoryBytes = sharedMemoryBytes
        self.openFilesMax = openFilesMax
        self.cpuTimeSeconds = cpuTimeSeconds
        self.filter = filter
        self.gracePeriodSeconds = gracePeriodSeconds
    }
}

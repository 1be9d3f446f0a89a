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
    /// RLIMIT_CPU of the command in seconds; nil is no limit.
    public var cpuTimeSeconds: UInt64?
    /// The seccomp program: `struct sock_filter` records, 8 bytes each, for seccomp(2).
    public var filter: [UInt8]
    /// Seconds until the port must answer.
    public var startupTimeoutSeconds: UInt32
    /// Seconds between SIGTERM and SIGKILL.
    public var gracePeriodSeconds: UInt32

    /// Limits that go into cgroup v2 files. The kernel's admin-guide/cgroup-v2.
    public struct CgroupLimits: Hashable, Sendable {
        /// memory.max in bytes.
        public var memoryMaxBytes: UInt64
        /// memory.swap.max in bytes.
        public var swapMaxBytes: UInt64
        /// cpu.max: microseconds of processor time in each period.
        public var cpuQuotaMicroseconds: UInt64
        /// cpu.max: the period's microseconds, 1,000–1,000,000.
        public var cpuPeriodMicroseconds: UInt64
        /// pids.max.
        public var pidsMax: UInt64

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

    /// - Parameters: as the properties say.
    public init(
        image: ImageName, rootPath: String, command: [String], environment: [String], workingDirectory: String,
        port: UInt16, userID: UInt32, groupID: UInt32, hostname: String, cgroup: CgroupLimits, diskBytes: UInt64,
        diskInodes: UInt64, sharedMemoryBytes: UInt64, openFilesMax: UInt64, cpuTimeSeconds: UInt64?, filter: [UInt8],
        startupTimeoutSeconds: UInt32, gracePeriodSeconds: UInt32
    ) {
        self.image = image
        self.rootPath = rootPath
        self.command = command
        self.environment = environment
        self.workingDirectory = workingDirectory
        self.port = port
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
        self.startupTimeoutSeconds = startupTimeoutSeconds
        self.gracePeriodSeconds = gracePeriodSeconds
    }
}

extension SandboxPlan {
    /// First bytes of a compiled plan; the digits change with the layout.
    static let magic: UInt32 = 0x504c_0001

    /// Appends the plan in the form that `init(from:)` reads.
    public func encode(into writer: inout WireWriter) {
        writer.write(Self.magic)
        writer.write(image.text)
        writer.write(rootPath)
        writer.write(command)
        writer.write(environment)
        writer.write(workingDirectory)
        writer.write(port)
        writer.write(userID)
        writer.write(groupID)
        writer.write(hostname)
        writer.write(cgroup.memoryMaxBytes)
        writer.write(cgroup.swapMaxBytes)
        writer.write(cgroup.cpuQuotaMicroseconds)
        writer.write(cgroup.cpuPeriodMicroseconds)
        writer.write(cgroup.pidsMax)
        writer.write(diskBytes)
        writer.write(diskInodes)
        writer.write(sharedMemoryBytes)
        writer.write(openFilesMax)
        writer.write(cpuTimeSeconds)
        writer.write(filter)
        writer.write(startupTimeoutSeconds)
        writer.write(gracePeriodSeconds)
    }

    /// Reads a plan and checks what the sandbox relies on.
    public init(from reader: inout WireReader) throws(WireError) {
        guard try reader.read(UInt32.self) == Self.magic else {
            throw WireError("not a compiled plan of this version; plane and plane-warden must be of one build")
        }
        guard let image = try? ImageName(reader.readText(limit: 64)) else {
            throw WireError("bad image name in a plan")
        }
        self.image = image
        rootPath = try reader.readText(limit: 4096)
        command = try reader.readTexts(limit: 256, each: 4096)
        environment = try reader.readTexts(limit: 512, each: 32 * 1024)
        workingDirectory = try reader.readText(limit: 4096)
        port = try reader.read(UInt16.self)
        userID = try reader.read(UInt32.self)
        groupID = try reader.read(UInt32.self)
        hostname = try reader.readText(limit: 64)
        cgroup = CgroupLimits(
            memoryMaxBytes: try reader.read(UInt64.self), swapMaxBytes: try reader.read(UInt64.self),
            cpuQuotaMicroseconds: try reader.read(UInt64.self), cpuPeriodMicroseconds: try reader.read(UInt64.self),
            pidsMax: try reader.read(UInt64.self))
        diskBytes = try reader.read(UInt64.self)
        diskInodes = try reader.read(UInt64.self)
        sharedMemoryBytes = try reader.read(UInt64.self)
        openFilesMax = try reader.read(UInt64.self)
        cpuTimeSeconds = try reader.readOptional(UInt64.self)
        filter = try reader.readBytes(limit: 4096 * 8)
        startupTimeoutSeconds = try reader.read(UInt32.self)
        gracePeriodSeconds = try reader.read(UInt32.self)
        guard rootPath.hasPrefix("/"), workingDirectory.hasPrefix("/") else {
            throw WireError("plan of image \(image): a path is not absolute")
        }
        guard (1...65533).contains(userID), (1...65533).contains(groupID) else {
            throw WireError("plan of image \(image): user and group ids inside must be 1 to 65533")
        }
        guard !filter.isEmpty, filter.count % 8 == 0 else {
            throw WireError("plan of image \(image): no seccomp program")
        }
    }

    /// The plan with a request's limits, each of which can only lower what the policy allows.
    public func tightened(by limits: ResourceLimits) throws(InvalidValue) -> SandboxPlan {
        var plan = self
        if let bytes = limits.memoryBytes {
            try Self.requireTighter("resource_limits.memory_limit_bytes", bytes, cgroup.memoryMaxBytes)
            plan.cgroup.memoryMaxBytes = UInt64(bytes)
        }
        if limits.cpuPercent != nil || limits.cpuPeriodMicroseconds != nil {
            let period = limits.cpuPeriodMicroseconds ?? 100_000
            let percent = limits.cpuPercent ?? Int64(cgroup.cpuQuotaMicroseconds * 100 / cgroup.cpuPeriodMicroseconds)
            let ceiling = cgroup.cpuQuotaMicroseconds * 100 / cgroup.cpuPeriodMicroseconds
            try Self.requireTighter("resource_limits.cpu_period_percent", percent, ceiling)
            plan.cgroup.cpuPeriodMicroseconds = UInt64(period)
            plan.cgroup.cpuQuotaMicroseconds = max(1000, UInt64(period) * UInt64(percent) / 100)
        }
        if let seconds = limits.cpuTimeSeconds {
            try Self.requireTighter("resource_limits.cpu_time_limit", seconds, cpuTimeSeconds ?? .max)
            plan.cpuTimeSeconds = UInt64(seconds)
        }
        if let bytes = limits.diskBytes {
            try Self.requireTighter("resource_limits.disk_limit_bytes", bytes, diskBytes)
            plan.diskBytes = UInt64(bytes)
        }
        return plan
    }

    private static func requireTighter(_ field: String, _ asked: Int64, _ allowed: UInt64) throws(InvalidValue) {
        guard asked > 0, UInt64(asked) <= allowed else {
            throw InvalidValue(
                field: field, problem: "\(asked) was asked for, but the image's policy allows 1 to \(allowed)")
        }
    }
}

/// The most that a request may ask of an image: what its policy gives. A request can only tighten a policy.
public struct ResourceCeilings: Hashable, Sendable, Codable {
    /// memory.max in bytes.
    public var memoryBytes: UInt64
    /// cpu.max: microseconds of processor time in each period.
    public var cpuQuotaMicroseconds: UInt64
    /// cpu.max: the period's microseconds.
    public var cpuPeriodMicroseconds: UInt64
    /// Processor seconds of all processes together; nil is no limit.
    public var cpuTimeSeconds: UInt64?
    /// Bytes of the writable layer.
    public var diskBytes: UInt64
    /// Seconds that a backend may live; nil is no limit.
    public var lifetimeSeconds: UInt64?
    /// Seconds that a backend may be idle; nil is no limit.
    public var idleSeconds: UInt64?

    /// - Parameters: as the properties say.
    public init(
        memoryBytes: UInt64, cpuQuotaMicroseconds: UInt64, cpuPeriodMicroseconds: UInt64,
        cpuTimeSeconds: UInt64? = nil, diskBytes: UInt64, lifetimeSeconds: UInt64? = nil, idleSeconds: UInt64? = nil
    ) {
        self.memoryBytes = memoryBytes
        self.cpuQuotaMicroseconds = cpuQuotaMicroseconds
        self.cpuPeriodMicroseconds = cpuPeriodMicroseconds
        self.cpuTimeSeconds = cpuTimeSeconds
        self.diskBytes = diskBytes
        self.lifetimeSeconds = lifetimeSeconds
        self.idleSeconds = idleSeconds
    }

    enum CodingKeys: String, CodingKey {
        case memoryBytes = "memory_bytes"
        case cpuQuotaMicroseconds = "cpu_quota_microseconds"
        case cpuPeriodMicroseconds = "cpu_period_microseconds"
        case cpuTimeSeconds = "cpu_time_seconds"
        case diskBytes = "disk_bytes"
        case lifetimeSeconds = "lifetime_seconds"
        case idleSeconds = "idle_seconds"
    }

    /// Checks that a request to start a backend only tightens, by the rules that the warden goes by when it starts one.
    /// - Throws: the first field that is beyond its ceiling, with both values.
    public func check(_ spawn: SpawnConfig) throws(InvalidValue) {
        let (limits, path) = (spawn.executable.limits, "spawn_config.executable.resource_limits")
        try Self.check("\(path).memory_limit_bytes", limits.memoryBytes, memoryBytes)
        _ = try SandboxPlan.CgroupLimits(
            memoryMaxBytes: memoryBytes, swapMaxBytes: 0, cpuQuotaMicroseconds: cpuQuotaMicroseconds,
            cpuPeriodMicroseconds: cpuPeriodMicroseconds, pidsMax: 0
        ).tightened(percent: limits.cpuPercent, periodMicroseconds: limits.cpuPeriodMicroseconds, path: path)
        try Self.check("\(path).cpu_time_limit", limits.cpuTimeSeconds, cpuTimeSeconds)
        try Self.check("\(path).disk_limit_bytes", limits.diskBytes, diskBytes)
        try Self.check("spawn_config.lifetime_limit_seconds", spawn.lifetimeLimitSeconds, lifetimeSeconds)
        try Self.check("spawn_config.max_idle_seconds", spawn.maxIdleSeconds, idleSeconds)
    }

    /// The tighter of what was asked for and what is allowed; nil where neither says anything.
    public static func tighter(_ asked: Int64?, _ allowed: UInt64?) -> Int64? {
        let allowed = allowed.map { Int64(clamping: $0) }
        guard let asked, let allowed else { return asked ?? allowed }
        return min(asked, allowed)
    }

    private static func check(_ field: String, _ asked: Int64?, _ allowed: UInt64?) throws(InvalidValue) {
        if let asked { _ = try SandboxPlan.tighter(field, asked, than: allowed ?? .max) }
    }
}

extension SandboxPlan {
    /// The most that a request may ask of it.
    public var ceilings: ResourceCeilings {
        ResourceCeilings(
            memoryBytes: cgroup.memoryMaxBytes, cpuQuotaMicroseconds: cgroup.cpuQuotaMicroseconds,
            cpuPeriodMicroseconds: cgroup.cpuPeriodMicroseconds, cpuTimeSeconds: cpuTimeSeconds, diskBytes: diskBytes,
            lifetimeSeconds: lifetimeSeconds, idleSeconds: idleSeconds)
    }
}

extension ResourceCeilings {
    /// Appends them in the form that `init(from:)` reads.
    public func encode(into writer: inout WireWriter) {
        writer.write(memoryBytes)
        writer.write(cpuQuotaMicroseconds)
        writer.write(cpuPeriodMicroseconds)
        writer.write(cpuTimeSeconds)
        writer.write(diskBytes)
        writer.write(lifetimeSeconds)
        writer.write(idleSeconds)
    }

    /// Reads what `encode` wrote.
    public init(from reader: inout WireReader) throws(WireError) {
        memoryBytes = try reader.read(UInt64.self)
        cpuQuotaMicroseconds = try reader.read(UInt64.self)
        cpuPeriodMicroseconds = try reader.read(UInt64.self)
        cpuTimeSeconds = try reader.readOptional(UInt64.self)
        diskBytes = try reader.read(UInt64.self)
        lifetimeSeconds = try reader.readOptional(UInt64.self)
        idleSeconds = try reader.readOptional(UInt64.self)
    }
}

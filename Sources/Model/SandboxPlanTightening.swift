extension SandboxPlan {
    /// The plan with a request's limits, each of which can only lower what the policy allows.
    ///
    /// The request may come from a drone that was broken into, so nothing is assumed of its numbers.
    /// - Throws: the field, what was asked for and what the policy allows.
    public func tightened(by limits: ResourceLimits) throws(InvalidValue) -> SandboxPlan {
        var plan = self
        if let bytes = limits.memoryBytes {
            let memory = try Self.tighter("resource_limits.memory_limit_bytes", bytes, than: cgroup.memoryMaxBytes)
            plan.cgroup.memoryMaxBytes = memory
            // A mark at or above the limit is never reached, and /dev/shm counts towards it.
            if let high = cgroup.memoryHighBytes, high >= memory { plan.cgroup.memoryHighBytes = nil }
            plan.sharedMemoryBytes = min(sharedMemoryBytes, memory)
        }
        plan.cgroup = try plan.cgroup.tightened(
            percent: limits.cpuPercent, periodMicroseconds: limits.cpuPeriodMicroseconds, path: "resource_limits")
        if let seconds = limits.cpuTimeSeconds {
            plan.cpuTimeSeconds = try Self.tighter(
                "resource_limits.cpu_time_limit", seconds, than: cpuTimeSeconds ?? .max)
        }
        if let bytes = limits.diskBytes {
            plan.diskBytes = try Self.tighter("resource_limits.disk_limit_bytes", bytes, than: diskBytes)
        }
        return plan
    }

    /// The value that was asked for, if it is no more than what is allowed. - Parameter field: how the sender knows it.
    static func tighter(
        _ field: String, _ asked: Int64, than allowed: UInt64
    ) throws(InvalidValue) -> UInt64 {
        guard asked > 0, UInt64(asked) <= allowed else {
            throw InvalidValue(
                field: field,
                problem: "\(asked) was asked for, but the image's policy allows 1 to \(allowed)")
        }
        return UInt64(asked)
    }
}

extension SandboxPlan.CgroupLimits {
    /// The least quota that cpu.max takes: min_cfs_quota_period in the kernel's scheduler.
    public static let cpuQuotaMicrosecondsMin: UInt64 = 1000
    /// What the kernel takes for a period: tg_set_cfs_bandwidth in its scheduler.
    static let cpuPeriodMicroseconds: ClosedRange<Int64> = 1000...1_000_000

    /// - Parameters:
    ///   - percent: of one processor; nil keeps the policy's share.
    ///   - periodMicroseconds: how often it is handed out; nil keeps the policy's.
    ///   - path: how the sender knows the limits.
    func tightened(percent: Int64?, periodMicroseconds: Int64?, path: String) throws(InvalidValue) -> Self {
        if percent == nil, periodMicroseconds == nil { return self }
        var limits = self
        if let periodMicroseconds {
            guard Self.cpuPeriodMicroseconds.contains(periodMicroseconds) else {
                throw InvalidValue(
                    field: "\(path).cpu_period",
                    problem: "\(periodMicroseconds) was asked for, but the kernel allows "
                        + "\(Self.cpuPeriodMicroseconds.lowerBound) to \(Self.cpuPeriodMicroseconds.upperBound)")
            }
            limits.cpuPeriodMicroseconds = UInt64(periodMicroseconds)
        }
        let period = limits.cpuPeriodMicroseconds
        if let percent {
            let ceiling = Self.scaled(100, cpuQuotaMicroseconds, cpuPeriodMicroseconds)
            let share = try SandboxPlan.tighter("\(path).cpu_period_percent", percent, than: ceiling)
            limits.cpuQuotaMicroseconds = Self.scaled(period, share, 100)
        } else {
            limits.cpuQuotaMicroseconds = Self.scaled(period, cpuQuotaMicroseconds, cpuPeriodMicroseconds)
        }
        // Rounding up to what the kernel takes would loosen the policy.
        guard limits.cpuQuotaMicroseconds >= Self.cpuQuotaMicrosecondsMin else {
            throw InvalidValue(
                field: path + (percent == nil ? ".cpu_period" : ".cpu_period_percent"),
                problem:
                    "\(limits.cpuQuotaMicroseconds) microseconds in a period of \(period) is what it comes to, but "
                    + "the kernel hands out no less than \(Self.cpuQuotaMicrosecondsMin); ask for a longer period")
        }
        return limits
    }

    /// `value * numerator / denominator`, rounded down; the largest number when it does not fit.
    private static func scaled(_ value: UInt64, _ numerator: UInt64, _ denominator: UInt64) -> UInt64 {
        let product = value.multipliedFullWidth(by: numerator)
        guard product.high < denominator else { return .max }
        return denominator.dividingFullWidth(product).quotient
    }
}

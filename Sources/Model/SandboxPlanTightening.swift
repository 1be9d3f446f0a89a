extension SandboxPlan {
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

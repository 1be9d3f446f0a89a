/// Memory and processor time: what a drone offers, what backends were promised, what one backend may use.
///
/// A promise is a ceiling that the kernel holds a backend to, not what it uses. So the sum of a drone's promises says
/// what it would need at the worst, and a drone is full when that sum reaches what it offers.
public struct ResourceAmount: Hashable, Sendable, Codable {
    /// Bytes.
    public var memoryBytes: UInt64
    /// Thousandths of one processor.
    public var cpuMillis: UInt64

    /// - Parameters: as the properties say.
    public init(memoryBytes: UInt64, cpuMillis: UInt64) {
        self.memoryBytes = memoryBytes
        self.cpuMillis = cpuMillis
    }

    /// Nothing.
    public static let zero = ResourceAmount(memoryBytes: 0, cpuMillis: 0)
    /// More than any machine has: a drone that offers this is never full.
    public static let unbounded = ResourceAmount(memoryBytes: UInt64(Int64.max), cpuMillis: UInt64(Int64.max))

    /// The sum; saturates at `unbounded`, which a store can hold.
    public static func + (a: ResourceAmount, b: ResourceAmount) -> ResourceAmount {
        ResourceAmount(
            memoryBytes: min(a.memoryBytes.saturatingSum(b.memoryBytes), unbounded.memoryBytes),
            cpuMillis: min(a.cpuMillis.saturatingSum(b.cpuMillis), unbounded.cpuMillis))
    }

    enum CodingKeys: String, CodingKey {
        case memoryBytes = "memory_bytes"
        case cpuMillis = "cpu_millis"
    }
}

extension UInt64 {
    fileprivate func saturatingSum(_ other: UInt64) -> UInt64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}

extension ResourceCeilings {
    /// What a backend of the image is promised when a request tightens it so: the limits that the warden will set.
    public func promise(_ limits: ResourceLimits) -> ResourceAmount {
        let memory = limits.memoryBytes.map { min(UInt64(clamping: $0), memoryBytes) } ?? memoryBytes
        let most = Self.millis(cpuQuotaMicroseconds, per: cpuPeriodMicroseconds)
        let cpu = limits.cpuPercent.map { min(UInt64(clamping: $0) * 10, most) } ?? most
        return ResourceAmount(memoryBytes: memory, cpuMillis: cpu)
    }

    private static func millis(_ quota: UInt64, per period: UInt64) -> UInt64 {
        let (product, overflow) = quota.multipliedReportingOverflow(by: 1000)
        return overflow || period == 0 ? ResourceAmount.unbounded.cpuMillis : product / period
    }
}

import Testing

@testable import Model

@Suite("A plan tightened by a request")
struct SandboxPlanTighteningTests {
    private static func plan(quota: UInt64 = 50_000, period: UInt64 = 100_000) throws -> SandboxPlan {
        var plan = SandboxPlan(
            image: try ImageName("x"), rootPath: "/x", command: ["/x"], environment: [], workingDirectory: "/",
            port: 80,
            readiness: .init(port: 80, timeoutSeconds: 1), userID: 1, groupID: 1, hostname: "x",
            cgroup: .init(
                memoryMaxBytes: 1000, swapMaxBytes: 0, cpuQuotaMicroseconds: quota, cpuPeriodMicroseconds: period,
                pidsMax: 1),
            diskBytes: 500, diskInodes: 1, sharedMemoryBytes: 400, openFilesMax: 1, cpuTimeSeconds: 60, filter: [],
            gracePeriodSeconds: 1)
        plan.cgroup.memoryHighBytes = 800
        return plan
    }

    private static func limits(_ set: (inout ResourceLimits) -> Void) -> ResourceLimits {
        var limits = ResourceLimits()
        set(&limits)
        return limits
    }

    @Test("Nothing asked for changes nothing")
    func nothing() throws { #expect(try Self.plan().tightened(by: ResourceLimits()) == Self.plan()) }

    @Test("Each limit takes the value that was asked for, up to the policy's own")
    func each() throws {
        let all = Self.limits {
            $0.memoryBytes = 1000
            $0.cpuPercent = 50
            $0.cpuTimeSeconds = 60
            $0.diskBytes = 500
        }
        #expect(try Self.plan().tightened(by: all) == Self.plan())
        let less = try Self.plan().tightened(
            by: Self.limits {
                $0.memoryBytes = 300
                $0.cpuPercent = 20
                $0.cpuPeriodMicroseconds = 10_000
                $0.cpuTimeSeconds = 1
                $0.diskBytes = 1
            })
        #expect(less.cgroup.memoryMaxBytes == 300)
        #expect(less.cgroup.cpuQuotaMicroseconds == 2000)
        #expect(less.cgroup.cpuPeriodMicroseconds == 10_000)
        #expect(less.cpuTimeSeconds == 1)
        #expect(less.diskBytes == 1)
        // A mark above the limit is never reached, and /dev/shm counts towards it.
        #expect(less.cgroup.memoryHighBytes == nil)
        #expect(less.sharedMemoryBytes == 300)
    }

    @Test("Another period keeps the policy's share; the policy's period is kept where only a share is asked for")
    func shares() throws {
        let period = try Self.plan(quota: 15_000, period: 20_000).tightened(
            by: Self.limits { $0.cpuPeriodMicroseconds = 100_000 })
        #expect(period.cgroup.cpuQuotaMicroseconds == 75_000)
        let share = try Self.plan(quota: 15_000, period: 20_000).tightened(by: Self.limits { $0.cpuPercent = 25 })
        #expect(share.cgroup.cpuQuotaMicroseconds == 5000)
        #expect(share.cgroup.cpuPeriodMicroseconds == 20_000)
    }

    static let refusals: [(field: String, limits: ResourceLimits, values: [String])] = [
        ("memory_limit_bytes", limits { $0.memoryBytes = 1001 }, ["1001", "1000"]),
        ("memory_limit_bytes", limits { $0.memoryBytes = 0 }, ["0", "1000"]),
        ("memory_limit_bytes", limits { $0.memoryBytes = -1 }, ["-1", "1000"]),
        ("memory_limit_bytes", limits { $0.memoryBytes = .max }, ["9223372036854775807", "1000"]),
        ("cpu_period_percent", limits { $0.cpuPercent = 51 }, ["51", "50"]),
        ("cpu_period_percent", limits { $0.cpuPercent = .max }, ["9223372036854775807", "50"]),
        ("cpu_period_percent", limits { $0.cpuPercent = .min }, ["-9223372036854775808", "50"]),
        ("cpu_period", limits { $0.cpuPeriodMicroseconds = 999 }, ["999", "1000"]),
        ("cpu_period", limits { $0.cpuPeriodMicroseconds = -1 }, ["-1", "1000000"]),
        ("cpu_period", limits { $0.cpuPeriodMicroseconds = .max }, ["9223372036854775807", "1000000"]),
        // Half of a period of 1 ms is less than the kernel hands out; rounding it up would double the share.
        ("cpu_period", limits { $0.cpuPeriodMicroseconds = 1000 }, ["500", "1000"]),
        ("cpu_time_limit", limits { $0.cpuTimeSeconds = 61 }, ["61", "60"]),
        ("disk_limit_bytes", limits { $0.diskBytes = 501 }, ["501", "500"]),
    ]

    @Test("More than the policy's own is refused with the field and both values", arguments: refusals)
    func refused(_ field: String, _ limits: ResourceLimits, _ values: [String]) throws {
        let plan = try Self.plan()
        let error = #expect(throws: InvalidValue.self) { try plan.tightened(by: limits) }
        #expect(error?.field == "resource_limits.\(field)")
        for value in values { #expect(error?.problem.contains(value) == true, "\(value)") }
    }

    @Test("Numbers of any size neither trap nor loosen")
    func extremes() throws {
        let numbers: [Int64] = [.min, -1, 0, 1, 999, 1000, 100_000, 1_000_000, .max]
        let largest = try Self.plan(quota: .max, period: 1)
        for plan in [try Self.plan(), largest] {
            for percent in numbers {
                for period in numbers {
                    let limits = Self.limits { ($0.cpuPercent, $0.cpuPeriodMicroseconds) = (percent, period) }
                    guard let tight = try? plan.tightened(by: limits).cgroup else { continue }
                    let share = Double(tight.cpuQuotaMicroseconds) / Double(tight.cpuPeriodMicroseconds)
                    let most = Double(plan.cgroup.cpuQuotaMicroseconds) / Double(plan.cgroup.cpuPeriodMicroseconds)
                    #expect(share <= most)
                }
            }
        }
    }
}

import Model
import Testing

@Suite("What a request may ask of an image")
struct ResourceCeilingsTests {
    private let ceilings = ResourceCeilings(
        memoryBytes: 512 << 20, cpuQuotaMicroseconds: 50_000, cpuPeriodMicroseconds: 100_000, cpuTimeSeconds: 60,
        diskBytes: 64 << 20, lifetimeSeconds: 3600, idleSeconds: 300)

    private func problem(_ change: (inout SpawnConfig) -> Void) throws -> InvalidValue? {
        var spawn = SpawnConfig(executable: Executable(image: try ImageName("python-repl")))
        change(&spawn)
        do throws(InvalidValue) { try ceilings.check(spawn) } catch { return error }
        return nil
    }

    @Test("Nothing, less and exactly as much as the policy gives are let through")
    func tighter() throws {
        #expect(try problem { _ in } == nil)
        #expect(
            try problem {
                $0.executable.limits.memoryBytes = 512 << 20
                $0.executable.limits.cpuPercent = 50
                $0.executable.limits.cpuPeriodMicroseconds = 10_000
                $0.executable.limits.cpuTimeSeconds = 60
                $0.executable.limits.diskBytes = 1
                $0.lifetimeLimitSeconds = 3600
                $0.maxIdleSeconds = 1
            } == nil)
    }

    @Test(
        "Each limit that is beyond the policy is refused with its field and both values",
        arguments: [
            ("executable.resource_limits.memory_limit_bytes", (512 << 20) + 1, 512 << 20),
            ("executable.resource_limits.cpu_period_percent", 51, 50),
            ("executable.resource_limits.cpu_time_limit", 61, 60),
            ("executable.resource_limits.disk_limit_bytes", Int64.max, 64 << 20),
            ("lifetime_limit_seconds", 3601, 3600), ("max_idle_seconds", 301, 300),
        ] as [(String, Int64, Int64)])
    func looser(field: String, asked: Int64, allowed: Int64) throws {
        let problem = try problem {
            switch field {
            case "executable.resource_limits.memory_limit_bytes": $0.executable.limits.memoryBytes = asked
            case "executable.resource_limits.cpu_period_percent": $0.executable.limits.cpuPercent = asked
            case "executable.resource_limits.cpu_time_limit": $0.executable.limits.cpuTimeSeconds = asked
            case "executable.resource_limits.disk_limit_bytes": $0.executable.limits.diskBytes = asked
            case "lifetime_limit_seconds": $0.lifetimeLimitSeconds = asked
            default: $0.maxIdleSeconds = asked
            }
        }
        #expect(
            problem?.description
                == "spawn_config.\(field): \(asked) was asked for, but the image's policy allows 1 to \(allowed)")
    }

    @Test("Where the policy sets no lifetime, idle or processor time, any may be asked for")
    func unlimited() throws {
        var open = ceilings
        (open.lifetimeSeconds, open.idleSeconds, open.cpuTimeSeconds) = (nil, nil, nil)
        var spawn = SpawnConfig(executable: Executable(image: try ImageName("python-repl")))
        spawn.lifetimeLimitSeconds = .max
        spawn.maxIdleSeconds = .max
        spawn.executable.limits.cpuTimeSeconds = .max
        try open.check(spawn)
    }

    @Test("The tighter of request and policy holds, and what one of them leaves open the other decides")
    func tighterOfTwo() {
        #expect(ResourceCeilings.tighter(nil, nil) == nil)
        #expect(ResourceCeilings.tighter(5, nil) == 5)
        #expect(ResourceCeilings.tighter(nil, 7) == 7)
        #expect(ResourceCeilings.tighter(5, 7) == 5)
        #expect(ResourceCeilings.tighter(9, 7) == 7)
        #expect(ResourceCeilings.tighter(nil, .max) == .max)
    }

    @Test("They come over the wire as they went")
    func wire() throws {
        var open = ceilings
        (open.lifetimeSeconds, open.cpuTimeSeconds) = (nil, nil)
        for value in [ceilings, open] {
            var writer = WireWriter()
            value.encode(into: &writer)
            var reader = WireReader(writer.bytes)
            #expect(try ResourceCeilings(from: &reader) == value)
            #expect(reader.isAtEnd)
        }
    }
}

import Linux
import Model
import Testing
import WardenProtocol

@Suite("Messages between drone and warden")
struct WardenMessageTests {
    @Test("Every request reads back as it was written", arguments: 0..<4)
    func requestRoundTrip(batch: Int) throws {
        var random = SeededRandom(seed: UInt64(batch))
        for request in try Sample.requests(count: 20, using: &random) {
            #expect(try WardenRequest(packet: request.bytes) == request)
            #expect(request.bytes.count <= WardenRequest.packetBytesMax)
        }
    }

    @Test("Every reply reads back as it was written", arguments: 0..<4)
    func replyRoundTrip(batch: Int) throws {
        var random = SeededRandom(seed: UInt64(batch))
        for reply in try Sample.replies(count: 20, using: &random) {
            #expect(try WardenReply(packet: reply.bytes) == reply)
            #expect(reply.bytes.count <= WardenRequest.packetBytesMax)
        }
    }

    @Test("A packet that is cut anywhere, or goes on, is refused", arguments: 0..<4)
    func truncation(batch: Int) throws {
        var random = SeededRandom(seed: UInt64(batch))
        for request in try Sample.requests(count: 2, using: &random) {
            let bytes = request.bytes
            for length in 0..<bytes.count {
                #expect(throws: WireError.self) { try WardenRequest(packet: Array(bytes[..<length])) }
            }
            #expect(throws: WireError.self) { try WardenRequest(packet: bytes + [0]) }
        }
        for reply in try Sample.replies(count: 2, using: &random) {
            let bytes = reply.bytes
            for length in 0..<bytes.count {
                #expect(throws: WireError.self) { try WardenReply(packet: Array(bytes[..<length])) }
            }
            #expect(throws: WireError.self) { try WardenReply(packet: bytes + [0]) }
        }
    }

    @Test(
        "A mutated packet is refused or read within bounds, and what was read writes the same meaning",
        arguments: 0..<4)
    func mutation(batch: Int) throws {
        var random = SeededRandom(seed: UInt64(batch))
        for request in try Sample.requests(count: 20, using: &random) {
            let bytes = Sample.mutated(request.bytes, using: &random)
            guard let read = try? WardenRequest(packet: bytes) else { continue }
            #expect(try WardenRequest(packet: read.bytes) == read)
        }
        for reply in try Sample.replies(count: 20, using: &random) {
            let bytes = Sample.mutated(reply.bytes, using: &random)
            guard let read = try? WardenReply(packet: bytes) else { continue }
            #expect(try WardenReply(packet: read.bytes) == read)
        }
    }

    @Test("A count that claims more than the packet holds is refused before anything is allocated for it")
    func lyingCounts() {
        // extend with 1,024 deadlines claimed and none there; then with more than may be claimed.
        #expect(throws: WireError.self) { try WardenRequest(packet: [3, 0, 4, 0, 0]) }
        #expect(throws: WireError.self) { try WardenRequest(packet: [3, 255, 255, 255, 255]) }
        #expect(throws: WireError.self) { try WardenRequest(packet: [7, 255, 255, 255, 127, 97]) }
        #expect(throws: WireError.self) { try WardenRequest(packet: []) }
    }

    struct Refused: Sendable {
        var what: String
        var request: WardenRequest
    }

    @Test("What is well formed but not allowed is refused")
    func outOfBounds() throws {
        let backend = try BackendID("demo")
        var spawn = try Sample.spawn()
        spawn.environment = ["NOVALUE"]
        var tooLong = try Sample.spawn()
        tooLong.note = [UInt8](repeating: 0, count: 4097)
        var zero = try Sample.spawn()
        zero.environment = ["A=\0"]
        let cases = [
            Refused(what: "no sockets", request: .sockets(backend, count: 0)),
            Refused(what: "too many sockets", request: .sockets(backend, count: 17)),
            Refused(what: "environment without =", request: .spawn(spawn)),
            Refused(what: "environment with a zero byte", request: .spawn(zero)),
            Refused(what: "note of 4,097 bytes", request: .spawn(tooLong)),
        ]
        for c in cases {
            #expect(throws: WireError.self, "\(c.what)") { try WardenRequest(packet: c.request.bytes) }
        }
        // A name with a slash, which a path would be made of.
        #expect(throws: WireError.self) { try WardenRequest(packet: [7, 4, 0, 0, 0] + Array("../x".utf8)) }
    }
}

/// Messages with random content within their bounds.
enum Sample {
    static func id(using random: inout SeededRandom) -> BackendID {
        BackendID(random: (0..<14).map { _ in UInt8.random(in: 0...255, using: &random) })
    }

    static func spawn() throws -> SpawnRequest {
        SpawnRequest(
            backend: try BackendID("demo"), image: try ImageName("python-repl"), environment: ["A=B"],
            limits: ResourceLimits(), hardDeadline: BootInstant(nanoseconds: 1), fencingToken: FencingToken(1), note: []
        )
    }

    static func requests(count: Int, using random: inout SeededRandom) throws -> [WardenRequest] {
        var all: [WardenRequest] = []
        for _ in 0..<count { all += try requests(using: &random) }
        return all
    }

    static func replies(count: Int, using random: inout SeededRandom) throws -> [WardenReply] {
        var all: [WardenReply] = []
        for _ in 0..<count { all += try replies(using: &random) }
        return all
    }

    private static func requests(using random: inout SeededRandom) throws -> [WardenRequest] {
        var spawn = try spawn()
        spawn.backend = id(using: &random)
        spawn.environment = (0..<Int.random(in: 0...5, using: &random)).map { "NAME\($0)=välue \($0)" }
        spawn.limits.memoryBytes = Bool.random(using: &random) ? .random(in: 0...Int64.max, using: &random) : nil
        spawn.limits.cpuPeriodMicroseconds = Bool.random(using: &random) ? 100_000 : nil
        spawn.limits.cpuPercent = Bool.random(using: &random) ? 50 : nil
        spawn.limits.cpuTimeSeconds = Bool.random(using: &random) ? 9 : nil
        spawn.limits.diskBytes = Bool.random(using: &random) ? 1 << 30 : nil
        spawn.hardDeadline = BootInstant(nanoseconds: .random(in: 0...UInt64.max, using: &random))
        spawn.fencingToken = FencingToken(.random(in: 0...Int64.max, using: &random))
        spawn.note = (0..<Int.random(in: 0...300, using: &random)).map { UInt8(truncatingIfNeeded: $0) }
        let deadlines = (0..<Int.random(in: 0...4, using: &random)).map { _ in
            BackendDeadline(
                backend: id(using: &random),
                deadline: BootInstant(nanoseconds: .random(in: 0...UInt64.max, using: &random)))
        }
        return [
            .hello(version: .random(in: 0...UInt32.max, using: &random)), .spawn(spawn), .extend(deadlines),
            .terminate(id(using: &random), .soft), .terminate(id(using: &random), .hard),
            .sockets(id(using: &random), count: .random(in: 1...16, using: &random)), .list,
            .forget(id(using: &random)),
        ]
    }

    static func exit(using random: inout SeededRandom) -> SandboxExit {
        let status: Linux.ExitStatus? =
            switch Int.random(in: 0..<3, using: &random) {
            case 0: nil
            case 1: .exited(code: .random(in: 0...255, using: &random))
            default: .signaled(signal: .random(in: 1...64, using: &random))
            }
        let cause = SandboxExit.Cause(rawValue: .random(in: 0...3, using: &random)) ?? .ended
        return SandboxExit(
            cause: cause, status: status, outOfMemory: .random(using: &random),
            cpuMicroseconds: .random(in: 0...UInt64.max, using: &random),
            memoryPeakBytes: .random(in: 0...UInt64.max, using: &random))
    }

    private static func replies(using random: inout SeededRandom) throws -> [WardenReply] {
        let offers = try (0..<Int.random(in: 0...3, using: &random)).map { number in
            ImageOffer(
                image: try ImageName("image-\(number)"), port: .random(in: 1...UInt16.max, using: &random),
                readiness: SandboxPlan.Readiness(
                    port: 1, path: "/up", timeoutSeconds: .random(in: 1...600, using: &random)),
                gracePeriodSeconds: 10,
                ceilings: ResourceCeilings(
                    memoryBytes: .random(in: 0...UInt64.max, using: &random), cpuQuotaMicroseconds: 50_000,
                    cpuPeriodMicroseconds: 100_000, cpuTimeSeconds: Bool.random(using: &random) ? 60 : nil,
                    diskBytes: 1 << 20, lifetimeSeconds: 7, idleSeconds: nil))
        }
        let missing = Bool.random(using: &random) ? ["memory", "cpu"] : []
        let listing = SandboxListing(
            backend: id(using: &random), image: try ImageName("python-repl"), fencingToken: FencingToken(3),
            hardDeadline: BootInstant(nanoseconds: .random(in: 0...UInt64.max, using: &random)), note: [1, 2, 3],
            exit: Bool.random(using: &random) ? exit(using: &random) : nil)
        let welcome = WardenWelcome(
            version: 1, machine: try MachineIdentity("0c1d-7"), missingControllers: missing, images: offers)
        return [
            .welcome(welcome),
            .spawned(id(using: &random)), .refused(id(using: &random), message: "overlay: no space left"),
            .exited(id(using: &random), exit(using: &random)), .sockets(id(using: &random), message: nil),
            .sockets(id(using: &random), message: "it has ended"), .listing(listing), .listed,
        ]
    }

    static func mutated(_ bytes: [UInt8], using random: inout SeededRandom) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
            let index = Int.random(in: 0..<bytes.count, using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0: bytes[index] ^= 1 << UInt8.random(in: 0...7, using: &random)
            case 1: bytes[index] = .random(in: 0...255, using: &random)
            case 2: bytes.remove(at: index)
            default: bytes.insert(.random(in: 0...255, using: &random), at: index)
            }
        }
        return bytes
    }
}

import Model
import Store

/// Random steps on a small world, where they meet often: few keys, few ids, few drones. The same seed gives the same ones.
struct RandomSteps {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1 }

    /// SplitMix64.
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// 0 … count - 1.
    mutating func below(_ count: Int) -> Int { Int(next() % UInt64(count)) }

    mutating func pick<Value>(_ values: [Value]) -> Value { values[below(values.count)] }

    /// One step: what it asks for, and, as a value that can be compared, what came of it.
    typealias Step = (any StoreTransaction) throws(StoreError) -> AnyHashable

    /// Steps of one kind of thing.
    private enum Kind: CaseIterable {
        case place, record, countConnect, requestEnd, token, revoke, greet, renew, endSession, unlink, set, controller
        case clean, read
    }

    mutating func step() -> Step {
        switch pick(Kind.allCases) {
        case .place: place()
        case .record: recordState()
        case .countConnect: countConnect()
        case .requestEnd: requestEnd()
        case .token: insertToken()
        case .revoke: revoke()
        case .greet: greet()
        case .renew: renew()
        case .endSession: endSession()
        case .unlink: unlink()
        case .set: setWillingness()
        case .controller: controller()
        case .clean: clean()
        case .read: read()
        }
    }

    // MARK: What steps are about

    private mutating func backend() -> BackendID { id("b\(below(12))") }
    private mutating func drone() -> DroneName { droneName("dr-\(below(4))") }
    private mutating func controllerName() -> ControllerName { StoreTests.controllerName("co-\(below(3))") }
    private mutating func tokenByte() -> UInt8 { UInt8(below(10)) }
    private mutating func user() -> String { pick(["ada", "bob", "e\u{301}", "\u{E9}"]) }
    private mutating func cluster() -> ClusterName {
        clusterName(pick(["localhost:9090", "localhost:9090", "other:1"]))
    }
    private mutating func key() -> (String, String) {
        (pick(["", "n"]), pick(["k1", "k2", "K1", "e\u{301}", "\u{E9}"]))
    }
    private mutating func milliseconds() -> Int64 { Int64(below(2_000)) }
    private mutating func reason() -> TerminationReason { pick(TerminationReason.allCases) }
    private mutating func kind() -> TerminationKind { pick(TerminationKind.allCases) }
    private mutating func promise() -> ResourceAmount {
        pick([
            .zero, ResourceAmount(memoryBytes: 5, cpuMillis: 7), .unbounded,
            ResourceAmount(memoryBytes: .max, cpuMillis: 1),
        ])
    }

    private mutating func place() -> Step {
        let (namespace, name) = key()
        var spec = spec(
            backend().text, key: name, namespace: namespace, drone: drone().text, promise: promise())
        if below(3) == 0 { spec.staticToken = token(tokenByte(), .fixed) }
        let (wanted, strange) = (spec, below(8) == 0)
        return { tx throws(StoreError) in
            let held = try tx.drone(wanted.drone)?.session
            return try tx.insert(wanted, under: strange ? SessionNumber(2) : held ?? SessionNumber(1))
        }
    }

    private mutating func recordState() -> Step {
        let backend = backend()
        var state = BackendState(pick(BackendStatus.allCases))
        if below(2) == 0 { state = BackendState(.terminated, reason: reason(), kind: kind()) }
        if below(4) == 0 { state.exit = BackendExit(code: 3, signal: nil, outOfMemory: below(2) == 0) }
        if below(4) == 0 { state.usage = BackendUsage(cpuMicroseconds: 4, memoryPeakBytes: nil) }
        let (wanted, strange) = (state, below(8) == 0)
        return { tx throws(StoreError) in
            let token = try tx.backend(backend)?.fencingToken ?? FencingToken(1)
            return try tx.record(wanted, of: backend, FencingToken(token.value + (strange ? 1 : 0)))
        }
    }

    private mutating func countConnect() -> Step {
        let backend = backend()
        return { tx throws(StoreError) in try tx.countConnect(of: backend) }
    }

    private mutating func requestEnd() -> Step {
        let (backend, end) = (backend(), DesiredEnd(kind: kind(), reason: reason()))
        return { tx throws(StoreError) in try tx.requestEnd(of: backend, end) }
    }

    private mutating func insertToken() -> Step {
        let row = tokenRow(
            tokenByte(), for: backend().text, user: below(3) == 0 ? nil : user(), expiresMilliseconds: milliseconds())
        return { tx throws(StoreError) in
            // Most of these would collide.
            if try tx.route(row.token) == nil, try tx.backend(row.backend) != nil { try tx.insert(row) }
            return try tx.route(row.token)
        }
    }

    private mutating func revoke() -> Step {
        let (user, backend, drone, revision) = (user(), backend(), drone(), Int64(below(40)))
        return { tx throws(StoreError) in
            [try tx.revoke(user, of: backend) as AnyHashable, try tx.revokedTokens(for: drone, after: revision)]
        }
    }

    private mutating func greet() -> Step {
        var said = greeting(drone().text, process: "p\(below(9))", machine: "m\(below(3))")
        said.cluster = cluster()
        said.capacity = promise()
        if below(3) == 0 { said.images = [] }
        let (greeting, controller, lease) = (said, controllerName(), Int64(below(90)))
        return { tx throws(StoreError) in try tx.greet(greeting, by: controller, leaseMilliseconds: lease) }
    }

    private mutating func renew() -> Step {
        let (drone, controller, strange) = (drone(), controllerName(), below(6) == 0)
        return { tx throws(StoreError) in
            guard let session = try tx.drone(drone)?.session else { return false }
            return try tx.renew(drone, SessionNumber(session.value + (strange ? 1 : 0)), by: controller)
        }
    }

    private mutating func endSession() -> Step {
        let (drone, late) = (drone(), below(3) == 0)
        return { tx throws(StoreError) in
            guard let row = try tx.drone(drone), let session = row.session else { return false }
            return try tx.endSession(of: drone, session, renewals: row.renewals - (late ? 1 : 0))
        }
    }

    private mutating func unlink() -> Step {
        let (drone, controller) = (drone(), controllerName())
        return { tx throws(StoreError) in
            try tx.unlink(drone, from: controller)
            return try tx.drone(drone)
        }
    }

    private mutating func setWillingness() -> Step {
        let (drone, cluster, seen) = (drone(), cluster(), [self.drone(), self.drone()])
        let willingness: Willingness = pick([
            .accepting, .draining(endAtMilliseconds: nil), .draining(endAtMilliseconds: milliseconds()),
        ])
        return { tx throws(StoreError) in
            try tx.seen(seen)
            return try tx.set(willingness, of: drone, in: cluster)
        }
    }

    private mutating func controller() -> Step {
        let (controller, leaves) = (controllerName(), below(3) == 0)
        return { tx throws(StoreError) in
            if leaves { try tx.leave(controller) } else { try tx.beat(controller, version: "1") }
            return try tx.controllers()
        }
    }

    private mutating func clean() -> Step {
        let (before, limit) = (Int64(below(3_000)), 1 + below(3))
        return switch below(4) {
        case 0: { tx throws(StoreError) in try tx.deleteTokens(expiredBefore: before, limit: limit) }
        case 1: { tx throws(StoreError) in try tx.deleteBackends(terminatedBefore: before, limit: limit) }
        case 2: { tx throws(StoreError) in try tx.deleteDrones(seenBefore: before, limit: limit) }
        default: { tx throws(StoreError) in try tx.deleteControllers(seenBefore: before, limit: limit) }
        }
    }

    private mutating func read() -> Step {
        let (backend, drone, key, number) = (backend(), drone(), key(), Int64(below(30)))
        let limit = 1 + below(4)
        return { tx throws(StoreError) in
            let reads: [AnyHashable] = [
                try tx.holder(namespace: key.0, name: key.1), try tx.backend(backend), try tx.drone(drone),
                try tx.liveBackends(on: drone), try tx.orders(for: drone, after: number),
                try tx.holders(after: KeyPosition(namespace: key.0, name: key.1), limit: limit),
                try tx.backends(.live, after: backend, limit: limit),
                try tx.backends(.all, after: backend, limit: limit),
                try tx.history(of: backend, after: number), try tx.drones(after: drone, limit: limit),
                try tx.route(token(UInt8(number % 10))), try tx.route(token(UInt8(number % 10), .fixed)),
            ]
            return reads
        }
    }

    /// All that a store holds.
    static func everything(_ tx: any StoreTransaction) throws(StoreError) -> AnyHashable {
        var all: [AnyHashable] = [
            try tx.backends(.all, after: nil, limit: 99), try tx.holders(after: nil, limit: 99),
            try tx.drones(after: nil, limit: 99), try tx.controllers(),
        ]
        for number in 0..<12 { all.append(try tx.history(of: id("b\(number)"), after: 0)) }
        for number in 0..<4 { all.append(try tx.revokedTokens(for: droneName("dr-\(number)"), after: 0)) }
        for number in 0..<10 { all.append(try tx.route(token(UInt8(number)))) }
        return all
    }
}

import Model
import Store
import Testing

/// What every store must keep, whatever lies behind the protocol. Each check gets a fresh, empty store.
struct StoreConformance {
    /// One promise, by name.
    struct Check: Sendable, CustomTestStringConvertible {
        let name: String
        let run: @Sendable (any Store) throws -> Void
        var testDescription: String { name }
    }

    static let checks: [Check] = [
        Check(name: "a key is held by one backend, until that backend has terminated", run: keyIsHeldOnce),
        Check(name: "keys differ by namespace", run: namespacesAreApart),
        Check(name: "fencing tokens grow for every key", run: fencingTokensGrow),
        Check(name: "a backend comes back as it was written", run: backendRoundTrip),
        Check(name: "states only move forward", run: statesAreMonotonic),
        Check(name: "a state of an unknown backend is told apart", run: unknownBackend),
        Check(name: "a failed job undoes itself and no other of its transaction", run: failedJobUndoesItselfAlone),
        Check(name: "a rolled back transaction leaves nothing", run: rollBackLeavesNothing),
        Check(name: "history keeps every recorded state in order", run: historyKeepsOrder),
        Check(name: "a token leads to its backend, a static one to its own", run: tokensLead),
        Check(name: "a drone keeps its willingness over a new hello", run: droneKeepsWillingness),
        Check(name: "the count of live backends is right", run: countsAreRight),
        Check(name: "a soft request never weakens a hard one", run: endRequests),
        Check(name: "connects are counted for each backend", run: connectsAreCounted),
        Check(name: "cleaning up deletes in bounded batches and only what is over", run: cleaningUp),
        Check(name: "pages of backends meet without gap or repetition", run: paging),
    ]

    static func keyIsHeldOnce(_ store: any Store) throws {
        try addDrone(to: store)
        let first = try store.transaction { tx throws(StoreError) in try tx.insert(spec("b1", key: "k")) }
        let second = conflict { () throws(StoreError) in
            _ = try store.transaction { tx throws(StoreError) in try tx.insert(spec("b2", key: "k")) }
        }
        #expect(second)
        #expect(try holder(of: "k", in: store) == first)
        _ = try record(BackendState(.terminated), of: "b1", in: store)
        #expect(try holder(of: "k", in: store) == nil)
        _ = try store.transaction { tx throws(StoreError) in try tx.insert(spec("b2", key: "k")) }
        #expect(try holder(of: "k", in: store)?.id == id("b2"))
    }

    static func namespacesAreApart(_ store: any Store) throws {
        try addDrone(to: store)
        for (name, namespace) in [("b1", ""), ("b2", "x")] {
            _ = try store.transaction { tx throws(StoreError) in
                try tx.insert(spec(name, key: "k", namespace: namespace))
            }
        }
        #expect(try holder(of: "k", in: store)?.id == id("b1"))
        #expect(try holder(of: "k", namespace: "x", in: store)?.id == id("b2"))
    }

    static func fencingTokensGrow(_ store: any Store) throws {
        try addDrone(to: store)
        var last: Int64 = 0
        for number in 1...50 {
            let row = try store.transaction { tx throws(StoreError) in
                let row = try tx.insert(spec("b\(number)", key: "k"))
                _ = try tx.record(BackendState(.terminated), of: row.id)
                return row
            }
            #expect(row.fencingToken.value > last)
            last = row.fencingToken.value
        }
    }

    static func backendRoundTrip(_ store: any Store) throws {
        try addDrone(to: store)
        var limits = ResourceLimits()
        limits.memoryBytes = 1 << 30
        limits.cpuPercent = 50
        var full = spec("b1", key: "Schlüssel", namespace: "n", tag: "t")
        full.executable = Executable(
            image: try ImageName("python-repl"), environment: ["A": "ä\n\"", "B": ""], limits: limits)
        full.staticToken = BearerToken(random: Array(repeating: 7, count: 32), kind: .fixed)
        full.subdomain = "sub"
        full.lifetimeLimitSeconds = 100
        full.maxIdleSeconds = 5
        full.pool = "gpu"
        let wanted = full
        let written = try store.transaction { tx throws(StoreError) in try tx.insert(wanted) }
        let read = try store.transaction { tx throws(StoreError) in try tx.backend(wanted.id) }
        #expect(read == written)
        #expect(read?.spec == full)
        #expect(read?.state == BackendState(.scheduled))
        let ended = BackendState(
            .terminated, reason: .internalError, kind: .hard,
            exit: BackendExit(code: nil, signal: 9, outOfMemory: true), message: "out of memory",
            endReason: .startFailed, usage: BackendUsage(cpuMicroseconds: .max, memoryPeakBytes: 1 << 40))
        _ = try record(ended, of: "b1", in: store)
        #expect(try store.transaction { tx throws(StoreError) in try tx.backend(id("b1")) }?.state == ended)
        #expect(
            try store.transaction { tx throws(StoreError) in try tx.history(of: id("b1"), after: 0) }.last?.state
                == ended)
        // Half of what was used may be known.
        let other = BackendState(
            .terminated, endReason: .cpuTime, usage: BackendUsage(cpuMicroseconds: 0, memoryPeakBytes: nil))
        _ = try store.transaction { tx throws(StoreError) in try tx.insert(spec("b2", key: "k")) }
        _ = try record(other, of: "b2", in: store)
        #expect(try store.transaction { tx throws(StoreError) in try tx.backend(id("b2")) }?.state == other)
    }

    static func statesAreMonotonic(_ store: any Store) throws {
        try addDrone(to: store)
        _ = try store.transaction { tx throws(StoreError) in try tx.insert(spec("b1", key: "k")) }
        for (number, status) in [BackendStatus.loading, .ready].enumerated() {
            guard case .recorded(let line) = try record(BackendState(status), of: "b1", in: store) else {
                Issue.record("state \(number) was refused")
                return
            }
            #expect(line.state.status == status)
        }
        #expect(try record(BackendState(.waiting), of: "b1", in: store) == .stale(.ready))
        #expect(try record(BackendState(.ready), of: "b1", in: store) == .stale(.ready))
        _ = try record(BackendState(.terminated, reason: .lost), of: "b1", in: store)
        #expect(try record(BackendState(.terminated), of: "b1", in: store) == .stale(.terminated))
        #expect(try store.transaction { tx throws(StoreError) in try tx.backend(id("b1")) }?.state.reason == .lost)
    }

    static func unknownBackend(_ store: any Store) throws {
        #expect(try record(BackendState(.ready), of: "nobody", in: store) == .unknownBackend)
        let end = try store.transaction { tx throws(StoreError) in
            try tx.requestEnd(of: id("nobody"), DesiredEnd(kind: .hard, reason: .external))
        }
        #expect(end == .unknownBackend)
    }

    static func failedJobUndoesItselfAlone(_ store: any Store) throws {
        try addDrone(to: store)
        try store.begin()
        _ = try store.isolated { tx throws(StoreError) in try tx.insert(spec("b1", key: "k1")) }
        let failed = conflict { () throws(StoreError) in
            try store.isolated { tx throws(StoreError) in
                _ = try tx.insert(spec("b2", key: "k2"))
                _ = try tx.insert(spec("b3", key: "k1"))
            }
        }
        #expect(failed)
        let third = try store.isolated { tx throws(StoreError) in try tx.insert(spec("b4", key: "k4")) }
        try store.commit()
        #expect(try holder(of: "k1", in: store)?.id == id("b1"))
        #expect(try holder(of: "k2", in: store) == nil)
        #expect(try holder(of: "k4", in: store) == third)
    }

    static func rollBackLeavesNothing(_ store: any Store) throws {
        try addDrone(to: store)
        try store.begin()
        _ = try store.isolated { tx throws(StoreError) in try tx.insert(spec("b1", key: "k")) }
        store.rollBack()
        #expect(!store.isInTransaction)
        #expect(try holder(of: "k", in: store) == nil)
        #expect(try store.transaction { tx throws(StoreError) in try tx.drones() }.map(\.backendCount) == [0])
    }

    static func historyKeepsOrder(_ store: any Store) throws {
        try addDrone(to: store)
        _ = try store.transaction { tx throws(StoreError) in try tx.insert(spec("b1", key: "k")) }
        let later: [BackendStatus] = [.loading, .starting, .waiting, .ready, .terminated]
        for status in later { _ = try record(BackendState(status), of: "b1", in: store) }
        let lines = try store.transaction { tx throws(StoreError) in try tx.history(of: id("b1"), after: 0) }
        #expect(lines.map(\.state.status) == [.scheduled] + later)
        #expect(zip(lines, lines.dropFirst()).allSatisfy { $0.number < $1.number })
        let tail = try store.transaction { tx throws(StoreError) in
            try tx.history(of: id("b1"), after: lines[3].number)
        }
        #expect(tail == Array(lines[4...]))
    }

    static func tokensLead(_ store: any Store) throws {
        try addDrone(to: store)
        let fixed = BearerToken(random: Array(repeating: 1, count: 32), kind: .fixed)
        let own = BearerToken(random: Array(repeating: 2, count: 32))
        let row = TokenRow(
            token: own, backend: id("b1"), user: "ada", auth: #"{"a":1}"#, secret: "s", expiresMilliseconds: 77)
        try store.transaction { tx throws(StoreError) in
            var withToken = spec("b1", key: "k")
            withToken.staticToken = fixed
            _ = try tx.insert(withToken)
            try tx.insert(row)
        }
        let routes = try store.transaction { tx throws(StoreError) in (try tx.route(own), try tx.route(fixed)) }
        guard case .dynamic(let token, let backend) = routes.0 else {
            Issue.record("no route")
            return
        }
        #expect(token == row)
        #expect(backend.id == id("b1"))
        #expect(routes.1 == .fixed(fixed, backend))
        let unknown = BearerToken(random: Array(repeating: 3, count: 32))
        #expect(try store.transaction { tx throws(StoreError) in try tx.route(unknown) } == nil)
        let orphan = conflict { () throws(StoreError) in
            try store.transaction { tx throws(StoreError) in
                try tx.insert(
                    TokenRow(
                        token: unknown, backend: id("nobody"), user: nil, auth: "{}", secret: "",
                        expiresMilliseconds: 0))
            }
        }
        #expect(orphan)
    }

    static func droneKeepsWillingness(_ store: any Store) throws {
        try addDrone(to: store)
        let cluster = try ClusterName("localhost:9090")
        let drone = try DroneName("dr-1")
        let changes = try store.transaction { tx throws(StoreError) in
            [
                try tx.set(.draining, of: drone, in: cluster), try tx.set(.draining, of: drone, in: cluster),
                try tx.set(.draining, of: droneName("dr-2"), in: cluster),
            ]
        }
        #expect(changes == [true, false, nil])
        try addDrone(to: store, session: "second")
        let drones = try store.transaction { tx throws(StoreError) in try tx.drones() }
        #expect(drones.map(\.willingness) == [.draining])
        #expect(drones.map(\.session) == ["second"])
    }

    static func countsAreRight(_ store: any Store) throws {
        try addDrone(to: store)
        for number in 1...5 {
            _ = try store.transaction { tx throws(StoreError) in try tx.insert(spec("b\(number)", key: "k\(number)")) }
        }
        _ = try record(BackendState(.terminated), of: "b2", in: store)
        _ = try record(BackendState(.terminated), of: "b2", in: store)
        try addDrone(to: store)
        let (drones, live, names) = try store.transaction { tx throws(StoreError) in
            (try tx.drones(), try tx.liveBackends(on: droneName("dr-1")), try tx.dronesWithLiveBackends())
        }
        #expect(drones.map(\.backendCount) == [4])
        #expect(try store.transaction { tx throws(StoreError) in try tx.backendCount(of: droneName("dr-1")) } == 4)
        let listed = try store.transaction { tx throws(StoreError) in
            (try tx.backends(.live, after: nil, limit: 9), try tx.backends(.all, after: nil, limit: 9))
        }
        #expect(listed.0 == live)
        #expect(listed.1.count == 5)
        #expect(live.map(\.id.text) == ["b1", "b3", "b4", "b5"])
        #expect(names.map(\.text) == ["dr-1"])
    }

    static func endRequests(_ store: any Store) throws {
        try addDrone(to: store)
        _ = try store.transaction { tx throws(StoreError) in try tx.insert(spec("b1", key: "k")) }
        func request(_ kind: TerminationKind, _ reason: TerminationReason) throws -> EndRequest {
            try store.transaction { tx throws(StoreError) in
                try tx.requestEnd(of: id("b1"), DesiredEnd(kind: kind, reason: reason))
            }
        }
        func desired() throws -> DesiredEnd? {
            try store.transaction { tx throws(StoreError) in try tx.backend(id("b1")) }?.desiredEnd
        }
        _ = try request(.soft, .external)
        #expect(try desired() == DesiredEnd(kind: .soft, reason: .external))
        _ = try request(.hard, .swept)
        #expect(try desired() == DesiredEnd(kind: .hard, reason: .external))
        _ = try request(.soft, .external)
        #expect(try desired()?.kind == .hard)
        _ = try record(BackendState(.terminated), of: "b1", in: store)
        #expect(try request(.hard, .external) == .alreadyTerminated)
    }

    static func connectsAreCounted(_ store: any Store) throws {
        try addDrone(to: store)
        try store.transaction { tx throws(StoreError) in
            for name in ["b1", "b2"] { _ = try tx.insert(spec(name, key: name)) }
        }
        let counts = try store.transaction { tx throws(StoreError) in
            [
                try tx.countConnect(of: id("b1")), try tx.countConnect(of: id("b2")), try tx.countConnect(of: id("b1")),
                try tx.countConnect(of: id("nobody")),
            ]
        }
        #expect(counts == [1, 1, 2, 0])
        #expect(try store.transaction { tx throws(StoreError) in try tx.backend(id("b1")) }?.connects == 2)
    }

    static func cleaningUp(_ store: any Store) throws {
        try addDrone(to: store)
        for number in 1...5 {
            try store.transaction { tx throws(StoreError) in
                _ = try tx.insert(spec("b\(number)", key: "k\(number)"))
                try tx.insert(
                    TokenRow(
                        token: BearerToken(random: Array(repeating: UInt8(number), count: 32)),
                        backend: id("b\(number)"), user: nil, auth: "{}", secret: "",
                        expiresMilliseconds: Int64(number)))
            }
        }
        for number in 1...3 { _ = try record(BackendState(.terminated), of: "b\(number)", in: store) }
        let deleted = try store.transaction { tx throws(StoreError) in
            [
                try tx.deleteTokens(expiredBefore: 4, limit: 2), try tx.deleteTokens(expiredBefore: 4, limit: 2),
                try tx.deleteTokens(expiredBefore: 4, limit: 2),
                try tx.deleteBackends(terminatedBefore: .max, limit: 2),
                try tx.deleteBackends(terminatedBefore: .max, limit: 2),
                try tx.deleteBackends(terminatedBefore: .max, limit: 2),
            ]
        }
        #expect(deleted == [2, 1, 0, 2, 1, 0])
        let left = try store.transaction { tx throws(StoreError) in
            (try tx.backends(.all, after: nil, limit: 10), try tx.history(of: id("b1"), after: 0))
        }
        #expect(left.0.map(\.id.text) == ["b4", "b5"])
        #expect(left.1.isEmpty)
        let drones = try store.transaction { tx throws(StoreError) in
            let kept = try tx.deleteDrones(seenBefore: .max, limit: 5)
            for name in ["b4", "b5"] { _ = try tx.record(BackendState(.terminated), of: id(name)) }
            _ = try tx.deleteBackends(terminatedBefore: .max, limit: 5)
            let young = try tx.deleteDrones(seenBefore: tx.nowMilliseconds, limit: 5)
            return [kept, young, try tx.deleteDrones(seenBefore: .max, limit: 5), try tx.drones().count]
        }
        #expect(drones == [0, 0, 1, 0])
    }

    static func paging(_ store: any Store) throws {
        try addDrone(to: store)
        for number in 10...16 {
            _ = try store.transaction { tx throws(StoreError) in try tx.insert(spec("b\(number)", key: "k\(number)")) }
        }
        var seen: [String] = []
        var last: BackendID?
        while true {
            let page = try store.transaction { [last] tx throws(StoreError) in
                try tx.backends(.all, after: last, limit: 3)
            }
            if page.isEmpty { break }
            seen += page.map(\.id.text)
            last = page.last?.id
        }
        #expect(seen == (10...16).map { "b\($0)" })
    }
}

// MARK: What the checks write

/// A constant of these tests that is a name.
func id(_ text: String) -> BackendID {
    guard let id = try? BackendID(text) else { preconditionFailure("\(text) is not an id") }
    return id
}

/// A constant of these tests that is a drone's name.
func droneName(_ text: String) -> DroneName {
    guard let name = try? DroneName(text) else { preconditionFailure("\(text) is not a drone's name") }
    return name
}

func spec(_ name: String, key: String, namespace: String = "", tag: String = "") -> BackendSpec {
    guard let key = try? KeyConfig(name: key, namespace: namespace, tag: tag),
        let cluster = try? ClusterName("localhost:9090"), let image = try? ImageName("python-repl")
    else { preconditionFailure("a test's own values are wrong") }
    return BackendSpec(
        id: id(name), key: key, cluster: cluster, pool: "", drone: droneName("dr-1"),
        executable: Executable(image: image))
}

func addDrone(to store: any Store, session: String = "first") throws {
    let row = DroneRow(
        name: try DroneName("dr-1"), cluster: try ClusterName("localhost:9090"), pool: "", version: "1",
        session: session, images: [try ImageName("python-repl")])
    try store.transaction { tx throws(StoreError) in try tx.hello(row) }
}

func holder(of key: String, namespace: String = "", in store: any Store) throws -> BackendRow? {
    try store.transaction { tx throws(StoreError) in try tx.holder(namespace: namespace, name: key) }
}

func record(_ state: BackendState, of name: String, in store: any Store) throws -> Recording {
    try store.transaction { tx throws(StoreError) in try tx.record(state, of: id(name)) }
}

/// Whether something fails because two rows collide.
func conflict(_ body: () throws(StoreError) -> Void) -> Bool {
    do throws(StoreError) {
        try body()
        return false
    } catch {
        return error.kind == .conflict
    }
}

import Model
import Store
import Testing

/// What is known of a backend.
enum BackendChecks {
    static let all: [StoreConformance.Check] = [
        .init("a backend comes back as it was written", backendRoundTrip),
        .init("every state comes back as it was recorded", statesRoundTrip),
        .init("states only move forward", statesAreMonotonic),
        .init("a state of an unknown backend, or of another fencing token, is told apart", unknownBackend),
        .init("history keeps every recorded state in order", historyKeepsOrder),
        .init("connects are counted for each backend", connectsAreCounted),
        .init("pages of backends meet without gap or repetition", paging),
        .init("a listing of live backends leaves out those that have terminated", liveBackends),
    ]

    static func backendRoundTrip(_ store: any Store) throws {
        let drone = try greet(in: store)
        var limits = ResourceLimits()
        limits.memoryBytes = 1 << 30
        limits.cpuPercent = 50
        var full = spec("b1", key: "Schlüssel", namespace: "n", tag: "t")
        full.executable = Executable(
            image: try ImageName("python-repl"), environment: ["A": "ä\n\"", "B": ""], limits: limits)
        full.staticToken = token(7, .fixed)
        full.subdomain = "sub"
        full.lifetimeLimitSeconds = 100
        full.maxIdleSeconds = 5
        full.pool = "gpu"
        full.promise = ResourceAmount(memoryBytes: 5, cpuMillis: 7)
        let written = try place(full, in: store)
        #expect(try backend("b1", in: store) == written)
        #expect(try holder(of: "Schlüssel", namespace: "n", in: store) == written)
        #expect(written.spec == full)
        #expect(written.state == BackendState(.scheduled))
        #expect(written.session == drone.session)
        #expect(written.desiredEnd == nil && written.connects == 0)
        #expect(written.createdMilliseconds == written.changedMilliseconds)
    }

    static func statesRoundTrip(_ store: any Store) throws {
        try greet(in: store)
        let states = [
            BackendState(
                .terminated, reason: .internalError, kind: .hard,
                exit: BackendExit(code: nil, signal: 9, outOfMemory: true), message: "out of memory",
                endReason: .startFailed, usage: BackendUsage(cpuMicroseconds: .max, memoryPeakBytes: 1 << 40)),
            // Half of what was used may be known, and half of how it ended.
            BackendState(
                .terminated, exit: BackendExit(code: 0, signal: nil, outOfMemory: false), endReason: .cpuTime,
                usage: BackendUsage(cpuMicroseconds: 0, memoryPeakBytes: nil)),
            BackendState(.terminating, reason: .swept, kind: .soft),
            BackendState(.ready, message: ""),
            BackendState(.terminated, exit: BackendExit(code: nil, signal: nil, outOfMemory: false)),
        ]
        for (number, state) in states.enumerated() {
            try place(spec("b\(number)", key: "k\(number)"), in: store)
            try record(state, of: "b\(number)", in: store)
            #expect(try backend("b\(number)", in: store)?.state == state)
            #expect(try store.run { try $0.history(of: id("b\(number)"), after: 0) }.last?.state == state)
        }
    }

    static func statesAreMonotonic(_ store: any Store) throws {
        try greet(in: store)
        try place(spec("b1", key: "k"), in: store)
        for status in [BackendStatus.loading, .ready] {
            guard case .recorded(let line) = try record(BackendState(status), of: "b1", in: store) else {
                Issue.record("\(status) was refused")
                return
            }
            #expect(line.state.status == status)
        }
        #expect(try record(BackendState(.waiting), of: "b1", in: store) == .stale(.ready))
        #expect(try record(BackendState(.ready), of: "b1", in: store) == .stale(.ready))
        try record(BackendState(.terminated, reason: .lost), of: "b1", in: store)
        #expect(try record(BackendState(.terminated), of: "b1", in: store) == .stale(.terminated))
        #expect(try backend("b1", in: store)?.state.reason == .lost)
    }

    static func unknownBackend(_ store: any Store) throws {
        try greet(in: store)
        let row = try place(spec("b1", key: "k"), in: store)
        let (nobody, end) = (id("nobody"), DesiredEnd(kind: .hard, reason: .external))
        try store.run { tx in
            #expect(try tx.record(BackendState(.ready), of: nobody, row.fencingToken) == .unknownBackend)
            for other in [row.fencingToken.value - 1, row.fencingToken.value + 1] {
                let recording = try tx.record(BackendState(.terminated), of: row.id, FencingToken(other))
                #expect(recording == .unknownBackend)
            }
            #expect(try tx.requestEnd(of: nobody, end) == .unknownBackend)
            #expect(try tx.backend(nobody) == nil)
            #expect(try tx.history(of: nobody, after: 0).isEmpty)
            #expect(try tx.backend(row.id) == row)
        }
    }

    static func historyKeepsOrder(_ store: any Store) throws {
        try greet(in: store)
        try place(spec("b1", key: "k1"), in: store)
        try place(spec("b2", key: "k2"), in: store)
        let later: [BackendStatus] = [.loading, .starting, .waiting, .ready, .terminated]
        for status in later {
            for name in ["b1", "b2"] { try record(BackendState(status), of: name, in: store) }
        }
        let lines = try store.run { try $0.history(of: id("b1"), after: 0) }
        #expect(lines.map(\.state.status) == [.scheduled] + later)
        #expect(zip(lines, lines.dropFirst()).allSatisfy { $0.number < $1.number })
        #expect(try store.run { try $0.history(of: id("b1"), after: lines[3].number) } == Array(lines[4...]))
    }

    static func connectsAreCounted(_ store: any Store) throws {
        try greet(in: store)
        for name in ["b1", "b2"] { try place(spec(name, key: name), in: store) }
        let counts = try store.run { tx in
            try ["b1", "b2", "b1", "nobody"].map { try tx.countConnect(of: id($0)) }
        }
        #expect(counts == [1, 1, 2, 0])
        #expect(try backend("b1", in: store)?.connects == 2)
    }

    static func paging(_ store: any Store) throws {
        try greet(in: store)
        for number in (10...16).reversed() { try place(spec("b\(number)", key: "k\(number)"), in: store) }
        var seen: [String] = []
        var last: BackendID?
        while true {
            let page = try store.run { try $0.backends(.all, after: last, limit: 3) }
            if page.isEmpty { break }
            #expect(page.count <= 3)
            seen += page.map(\.id.text)
            last = page.last?.id
        }
        #expect(seen == (10...16).map { "b\($0)" })
    }

    static func liveBackends(_ store: any Store) throws {
        for name in ["dr-1", "dr-2"] { try greet(name, in: store) }
        for number in (1...5).reversed() { try place(spec("b\(number)", key: "k\(number)"), in: store) }
        try place(spec("b6", key: "k6", drone: "dr-2"), in: store)
        try record(BackendState(.terminated), of: "b2", in: store)
        try store.run { tx in
            #expect(try tx.liveBackends(on: droneName("dr-1")).map(\.id.text) == ["b1", "b3", "b4", "b5"])
            #expect(try tx.liveBackends(on: droneName("dr-2")).map(\.id.text) == ["b6"])
            let live = try tx.backends(.live, after: nil, limit: 9).map(\.id.text)
            #expect(live == ["b1", "b3", "b4", "b5", "b6"])
            #expect(try tx.backends(.live, after: id("b1"), limit: 2).map(\.id.text) == ["b3", "b4"])
            #expect(try tx.backends(.all, after: nil, limit: 9).count == 6)
        }
    }
}

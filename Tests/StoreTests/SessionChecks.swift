import Model
import Store
import Testing

/// A drone's lease, and what rests on it.
enum SessionChecks {
    static let all: [StoreConformance.Check] = [
        .init("a hello begins a session, and one that is held goes on", greetings),
        .init("the longest lease that was granted under a session is kept until its end", longestLease),
        .init("each session has a number of its own, which grow", numbersGrow),
        .init("a backend is placed only under the session that its drone holds", placement),
        .init("a renewal counts only for the session that is held, from the controller that is connected", renewals),
        .init("a session is ended only if nobody renewed it since it was looked at", ends),
        .init("the end of a session frees no key; recording its backends terminated does", endFreesNothing),
        .init("a drone is unlinked only from the controller that it is connected to", unlink),
    ]

    private static func end(_ row: DroneRow, in store: any Store) throws -> Bool {
        let session = try #require(row.session)
        return try store.run { try $0.endSession(of: row.name, session, renewals: row.renewals) }
    }

    static func greetings(_ store: any Store) throws {
        let first = try greet(by: "co-1", in: store)
        #expect(first.greeting == greeting())
        #expect(first.controller == controllerName("co-1"))
        #expect(first.willingness == .accepting && first.backendCount == 0 && first.promised == .zero)
        #expect(try drone(in: store) == first)
        try place(spec("b1", key: "k", promise: ResourceAmount(memoryBytes: 3, cpuMillis: 4)), in: store)
        // What it says is taken over, all else stays.
        var changed = greeting(process: "second", machine: "m2")
        changed.pool = "gpu"
        changed.version = "2"
        changed.cluster = clusterName("other:1")
        changed.capacity = .unbounded
        changed.images = []
        let said = changed
        let second = try store.run { try $0.greet(said, by: controllerName("co-2"), leaseMilliseconds: 60_000) }
        #expect(second.greeting == changed)
        #expect(second.session == first.session)
        #expect(second.renewals > first.renewals)
        #expect(second.controller == controllerName("co-2"))
        #expect(second.backendCount == 1)
        #expect(second.promised == ResourceAmount(memoryBytes: 3, cpuMillis: 4))
        #expect(try drone(in: store) == second)
    }

    /// Deadlines that were given are never taken back, so the longest lease of a session counts until it is over.
    static func longestLease(_ store: any Store) throws {
        func greet(_ milliseconds: Int64) throws -> DroneRow {
            try store.run {
                try $0.greet(greeting(), by: controllerName("co-1"), leaseMilliseconds: milliseconds)
            }
        }
        #expect(try greet(50_000).leaseMilliseconds == 50_000)
        #expect(try greet(10_000).leaseMilliseconds == 50_000)
        let last = try greet(70_000)
        #expect(last.leaseMilliseconds == 70_000)
        #expect(try end(last, in: store))
        #expect(try greet(10_000).leaseMilliseconds == 10_000)
        #expect(try drone(in: store).leaseMilliseconds == 10_000)
    }

    static func numbersGrow(_ store: any Store) throws {
        var last: SessionNumber?
        for round in 1...3 {
            for name in ["dr-1", "dr-2"] {
                let row = try greet(name, in: store)
                let session = try #require(row.session)
                if let last { #expect(session > last, "\(name), round \(round)") }
                last = session
                #expect(try end(row, in: store))
                #expect(try drone(name, in: store).session == nil)
            }
        }
    }

    static func placement(_ store: any Store) throws {
        let (first, other) = (try greet(in: store), try greet("dr-2", in: store))
        let (session, strange) = (try #require(first.session), try #require(other.session))
        func refused(_ under: SessionNumber, drone name: String = "dr-1") throws {
            let before = try store.run { try $0.drone(droneName(name)) }
            let row = try store.run { try $0.insert(spec("b1", key: "k", drone: name), under: under) }
            #expect(row == nil)
            #expect(try store.run { try $0.drone(droneName(name)) } == before)
            #expect(try backend("b1", in: store) == nil)
            #expect(try holder(of: "k", in: store) == nil)
        }
        try refused(strange)
        try refused(SessionNumber(session.value + 100))
        try refused(session, drone: "dr-3")
        #expect(try end(first, in: store))
        try refused(session)
        let again = try greet(in: store)
        try refused(session)
        let row = try place(spec("b1", key: "k"), in: store)
        #expect(row.session == again.session)
    }

    static func renewals(_ store: any Store) throws {
        let first = try greet(by: "co-1", in: store)
        let session = try #require(first.session)
        func renew(_ session: SessionNumber, by controller: String = "co-1", _ name: String = "dr-1") throws -> Bool {
            try store.run { try $0.renew(droneName(name), session, by: controllerName(controller)) }
        }
        #expect(try renew(session))
        let renewed = try drone(in: store)
        #expect(renewed.renewals > first.renewals)
        #expect(renewed.revision == first.revision)
        #expect(try !renew(session, by: "co-2"))
        #expect(try !renew(SessionNumber(session.value + 1)))
        #expect(try !renew(session, "dr-9"))
        #expect(try drone(in: store) == renewed)
        // Whoever it says hello to next is the one that it is connected to.
        let moved = try greet(by: "co-2", in: store)
        #expect(moved.renewals > renewed.renewals)
        #expect(try !renew(session))
        #expect(try renew(session, by: "co-2"))
        try store.run { try $0.unlink(droneName("dr-1"), from: controllerName("co-2")) }
        #expect(try !renew(session, by: "co-2"))
        let silent = try drone(in: store)
        #expect(try end(silent, in: store))
        #expect(try !renew(session, by: "co-2"))
    }

    static func ends(_ store: any Store) throws {
        let seen = try greet(by: "co-1", in: store)
        let session = try #require(seen.session)
        #expect(try store.run { try $0.renew(seen.name, session, by: controllerName("co-1")) })
        #expect(try !end(seen, in: store))
        let renewed = try drone(in: store)
        #expect(renewed.session == session)
        try greet(by: "co-1", in: store)
        #expect(try !end(renewed, in: store))
        let latest = try drone(in: store)
        let other = SessionNumber(session.value + 1)
        #expect(try !store.run { try $0.endSession(of: latest.name, other, renewals: latest.renewals) })
        #expect(try !store.run { try $0.endSession(of: droneName("dr-9"), session, renewals: latest.renewals) })
        #expect(try end(latest, in: store))
        #expect(try drone(in: store).session == nil)
        #expect(try !end(latest, in: store))
        // The next one has another number, so what was seen of the last ends nothing.
        try greet(by: "co-1", in: store)
        #expect(try !end(latest, in: store))
    }

    static func endFreesNothing(_ store: any Store) throws {
        try greet(in: store)
        let row = try place(spec("b1", key: "k"), in: store)
        #expect(try end(try drone(in: store), in: store))
        #expect(try holder(of: "k", in: store) == row)
        #expect(try store.run { try $0.liveBackends(on: droneName("dr-1")) } == [row])
        try record(BackendState(.terminated, reason: .lost), of: "b1", in: store)
        #expect(try holder(of: "k", in: store) == nil)
        #expect(try drone(in: store).backendCount == 0)
    }

    static func unlink(_ store: any Store) throws {
        try greet(by: "co-1", in: store)
        try store.run { try $0.unlink(droneName("dr-1"), from: controllerName("co-2")) }
        #expect(try drone(in: store).controller == controllerName("co-1"))
        try store.run { try $0.unlink(droneName("dr-1"), from: controllerName("co-1")) }
        #expect(try drone(in: store).controller == nil)
        #expect(try drone(in: store).session != nil)
    }
}

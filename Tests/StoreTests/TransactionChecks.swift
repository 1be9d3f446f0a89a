import Model
import Store
import Testing

/// All of a transaction or nothing; all of a job or nothing.
enum TransactionChecks {
    static let all: [StoreConformance.Check] = [
        .init("a failed job undoes itself and no other of its transaction", failedJobUndoesItselfAlone),
        .init("a failed job undoes every kind of step", failedJobUndoesEverything),
        .init("a rolled back transaction leaves nothing", rollBackLeavesNothing),
        .init("what was committed is there for whoever opens the store next", at: committedIsKept),
        .init("what one connection committed, the others see in their next transaction", at: connectionsAgree),
    ]

    static func failedJobUndoesItselfAlone(_ store: any Store) throws {
        try greet(in: store)
        try store.begin()
        try store.step { try $0.place(spec("b1", key: "k1")) }
        let failed = conflict {
            try store.step { tx in
                try tx.place(spec("b2", key: "k2"))
                try tx.place(spec("b3", key: "k1"))
            }
        }
        #expect(failed)
        let third = try store.step { try $0.place(spec("b4", key: "k4")) }
        try store.commit()
        #expect(try holder(of: "k1", in: store)?.id == id("b1"))
        #expect(try holder(of: "k2", in: store) == nil)
        #expect(try holder(of: "k4", in: store) == third)
        #expect(try drone(in: store).backendCount == 2)
    }

    /// All that a store holds of what `failedJobUndoesEverything` touches.
    private struct Contents: Equatable {
        var backends: [BackendRow]
        var holders: [BackendRow]
        var drones: [DroneRow]
        var controllers: [ControllerRow]
        var routes: [Route?]
        var revoked: [BearerToken]
        var history: [HistoryRow]

        init(_ tx: any StoreTransaction) throws {
            backends = try tx.backends(.all, after: nil, limit: 99)
            holders = try tx.holders(after: nil, limit: 99)
            drones = try tx.drones(after: nil, limit: 99)
            controllers = try tx.controllers()
            routes = try (1...5).map { try tx.route(token($0)) }
            revoked = try tx.revokedTokens(for: droneName("dr-1"), after: 0)
            history = try tx.history(of: id("b1"), after: 0)
        }
    }

    static func failedJobUndoesEverything(_ store: any Store) throws {
        for name in ["dr-1", "dr-2", "dr-3"] { try greet(name, in: store) }
        try store.run { tx in
            for number in 1...3 as ClosedRange<UInt8> {
                try tx.place(spec("b\(number)", key: "k\(number)"))
                try tx.insert(tokenRow(number, for: "b\(number)", user: "ada"))
            }
            try tx.record(BackendState(.terminated), of: "b3")
            try tx.beat(controllerName("co-1"), version: "1")
        }
        let before = try store.run { try Contents($0) }
        let failed = conflict {
            try store.run { tx in
                let drone = try #require(try tx.drone(droneName("dr-1")))
                let session = try #require(drone.session)
                try tx.place(spec("b4", key: "k4", promise: .unbounded))
                _ = try tx.countConnect(of: id("b1"))
                _ = try tx.requestEnd(of: id("b2"), DesiredEnd(kind: .hard, reason: .external))
                try tx.record(BackendState(.terminated), of: "b1")
                _ = try tx.revoke("ada", of: id("b1"))
                try tx.insert(tokenRow(4, for: "b2", expiresMilliseconds: 1))
                _ = try tx.greet(greeting("dr-1", machine: "m9"), by: controllerName("co-9"), leaseMilliseconds: 60_000)
                _ = try tx.greet(greeting("dr-9"), by: controllerName("co-9"), leaseMilliseconds: 60_000)
                #expect(try tx.renew(drone.name, session, by: controllerName("co-9")))
                try tx.unlink(drone.name, from: controllerName("co-9"))
                let latest = try #require(try tx.drone(drone.name)).renewals
                #expect(try tx.endSession(of: drone.name, session, renewals: latest))
                _ = try tx.set(.draining(endAtMilliseconds: 5), of: droneName("dr-2"), in: drone.greeting.cluster)
                try tx.beat(controllerName("co-2"), version: "1")
                try tx.leave(controllerName("co-1"))
                #expect(try tx.deleteTokens(expiredBefore: 5, limit: 9) == 1)
                #expect(try tx.deleteBackends(terminatedBefore: .max, limit: 9) == 2)
                #expect(try tx.deleteDrones(seenBefore: .max, limit: 9) == 3)
                #expect(try tx.deleteControllers(seenBefore: .max, limit: 9) == 1)
                try tx.insert(tokenRow(5, for: "nobody"))
            }
        }
        #expect(failed)
        #expect(try store.run { try Contents($0) } == before)
    }

    static func rollBackLeavesNothing(_ store: any Store) throws {
        try greet(in: store)
        let before = try drone(in: store)
        try store.begin()
        #expect(store.isInTransaction)
        try store.step { try $0.place(spec("b1", key: "k")) }
        store.rollBack()
        #expect(!store.isInTransaction)
        #expect(try holder(of: "k", in: store) == nil)
        #expect(try drone(in: store) == before)
    }

    static func committedIsKept(_ site: any StoreSite) throws {
        let before = try {
            let store = try site.open()
            try greet(in: store)
            try place(spec("b1", key: "k"), in: store)
            try store.begin()
            try store.step { try $0.place(spec("b2", key: "k2")) }
            store.rollBack()
            return (try drone(in: store), try holder(of: "k", in: store))
        }()
        let store = try site.open()
        #expect(try drone(in: store) == before.0)
        #expect(try holder(of: "k", in: store) == before.1)
        #expect(try holder(of: "k2", in: store) == nil)
    }

    static func connectionsAgree(_ site: any StoreSite) throws {
        let first = try site.open()
        #expect(type(of: first).isShared == site.isShared)
        // Where there is one connection only, it agrees with itself.
        let second = site.isShared ? try site.open() : first
        try greet(by: "co-1", in: first)
        try greet("dr-2", by: "co-2", in: second)
        var last: BackendRow?
        for number in 1...6 {
            let (writer, reader) = number.isMultiple(of: 2) ? (first, second) : (second, first)
            let row = try place(spec("b\(number)", key: "k\(number)"), in: writer)
            #expect(try holder(of: "k\(number)", in: reader) == row)
            #expect(conflict { try place(spec("c\(number)", key: "k\(number)"), in: reader) })
            if let last {
                #expect(row.fencingToken > last.fencingToken)
                #expect(row.revision > last.revision)
            }
            last = row
        }
    }
}

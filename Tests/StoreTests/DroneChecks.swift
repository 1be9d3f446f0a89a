import Model
import Store
import Testing

/// Drones and controllers.
enum DroneChecks {
    static let all: [StoreConformance.Check] = [
        .init("what is promised is the sum over the live backends, and zero when there is none", promises),
        .init("sums that no column holds end at the most it holds, and are right again afterwards", boundedSums),
        .init("a drone keeps its willingness over a new hello, and says what it was", willingness),
        .init("drones are paged by name", paging),
        .init("a drone that is there is younger than one that was", seen),
        .init("controllers beat and leave, and their drones are not theirs any more", controllers),
    ]

    private static let promise = ResourceAmount(memoryBytes: 1 << 30, cpuMillis: 500)

    static func promises(_ store: any Store) throws {
        for name in ["dr-1", "dr-2"] { try greet(name, in: store) }
        for number in 1...5 { try place(spec("b\(number)", key: "k\(number)", promise: promise), in: store) }
        #expect(try drone(in: store).backendCount == 5)
        #expect(try drone(in: store).promised == ResourceAmount(memoryBytes: 5 << 30, cpuMillis: 2500))
        for status in [BackendStatus.ready, .terminated, .terminated] {
            try record(BackendState(status), of: "b2", in: store)
        }
        try greet(in: store)
        #expect(try drone(in: store).backendCount == 4)
        #expect(try drone(in: store).promised == ResourceAmount(memoryBytes: 4 << 30, cpuMillis: 2000))
        for number in [1, 3, 4, 5] { try record(BackendState(.terminated), of: "b\(number)", in: store) }
        #expect(try drone(in: store).backendCount == 0)
        #expect(try drone(in: store).promised == .zero)
        #expect(try drone("dr-2", in: store).promised == .zero)
    }

    static func boundedSums(_ store: any Store) throws {
        try greet(in: store)
        try place(spec("b1", key: "k1", promise: promise), in: store)
        let beyond = ResourceAmount(memoryBytes: .max, cpuMillis: 1)
        let row = try place(spec("b2", key: "k2", promise: beyond), in: store)
        #expect(row.spec.promise.memoryBytes == ResourceAmount.unbounded.memoryBytes)
        #expect(try backend("b2", in: store) == row)
        try place(spec("b3", key: "k3", promise: .unbounded), in: store)
        #expect(try drone(in: store).promised == .unbounded)
        try record(BackendState(.terminated), of: "b2", in: store)
        #expect(try drone(in: store).promised == .unbounded)
        #expect(try drone(in: store).backendCount == 2)
        try record(BackendState(.terminated), of: "b3", in: store)
        #expect(try drone(in: store).promised == promise)
        try record(BackendState(.terminated), of: "b1", in: store)
        #expect(try drone(in: store).promised == .zero)
        #expect(try drone(in: store).backendCount == 0)
    }

    static func willingness(_ store: any Store) throws {
        try greet(in: store)
        let cluster = clusterName("localhost:9090")
        func set(_ willingness: Willingness, _ name: String = "dr-1") throws -> Willingness? {
            try store.run { try $0.set(willingness, of: droneName(name), in: cluster) }
        }
        #expect(try set(.draining(endAtMilliseconds: nil)) == .accepting)
        #expect(try set(.draining(endAtMilliseconds: 77)) == .draining(endAtMilliseconds: nil))
        #expect(try set(.draining(endAtMilliseconds: 77)) == .draining(endAtMilliseconds: 77))
        #expect(try set(.accepting, "dr-2") == nil)
        #expect(
            try store.run { try $0.set(.accepting, of: droneName("dr-1"), in: clusterName("elsewhere:1")) } == nil)
        #expect(try greet(in: store).willingness == .draining(endAtMilliseconds: 77))
        #expect(try set(.accepting) == .draining(endAtMilliseconds: 77))
        #expect(try drone(in: store).willingness == .accepting)
    }

    static func paging(_ store: any Store) throws {
        for name in ["dr-c", "dr-a", "dr-b", "dr-d"] { try greet(name, in: store) }
        try store.run { tx in
            #expect(try tx.drones(after: nil, limit: 3).map(\.name.text) == ["dr-a", "dr-b", "dr-c"])
            #expect(try tx.drones(after: droneName("dr-c"), limit: 3).map(\.name.text) == ["dr-d"])
            #expect(try tx.drones(after: droneName("dr-d"), limit: 3).isEmpty)
            #expect(try tx.drone(droneName("dr-e")) == nil)
            let first = try tx.drone(droneName("dr-a"))
            #expect(try tx.drones(after: nil, limit: 1) == [first])
        }
    }

    static func seen(_ store: any Store) throws {
        try greet(in: store)
        let now = try store.run { tx in
            try tx.seen([droneName("dr-1"), droneName("dr-9")])
            return tx.nowMilliseconds
        }
        let row = try drone(in: store)
        #expect(row.seenMilliseconds == now)
        #expect(try store.run { try $0.deleteDrones(seenBefore: now, limit: 9) } == 0)
    }

    static func controllers(_ store: any Store) throws {
        try greet("dr-1", by: "co-1", in: store)
        try greet("dr-2", by: "co-2", in: store)
        let (first, second) = (controllerName("co-1"), controllerName("co-2"))
        let rows = try store.run { tx in
            try tx.beat(second, version: "1")
            try tx.beat(first, version: "1")
            try tx.beat(first, version: "2")
            return try tx.controllers()
        }
        #expect(rows.map(\.name) == [first, second])
        #expect(rows[0].version == "2" && rows[0].beats > rows[1].beats)
        try store.run { try $0.leave(first) }
        #expect(try store.run { try $0.controllers() }.map(\.name) == [second])
        #expect(try drone("dr-1", in: store).controller == nil)
        #expect(try drone("dr-2", in: store).controller == second)
        #expect(try store.run { try $0.deleteControllers(seenBefore: rows[1].seenMilliseconds, limit: 9) } == 0)
        try store.run { try $0.beat(first, version: "2") }
        #expect(try store.run { try $0.deleteControllers(seenBefore: .max, limit: 1) } == 1)
        #expect(try store.run { try $0.deleteControllers(seenBefore: .max, limit: 1) } == 1)
        #expect(try store.run { try $0.deleteControllers(seenBefore: .max, limit: 1) } == 0)
        #expect(try drone("dr-2", in: store).controller == nil)
    }
}

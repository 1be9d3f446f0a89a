import Model
import Store
import Testing

/// What is over is deleted, in bounded batches, and nothing else.
enum CleaningChecks {
    static let all: [StoreConformance.Check] = [
        .init("tokens go when their time is over, revoked ones too", tokens),
        .init("backends go when they have terminated, with their history and tokens", backends),
        .init("drones go when they are away and have no backend left", drones),
    ]

    static func tokens(_ store: any Store) throws {
        try greet(in: store)
        try place(spec("b1", key: "k"), in: store)
        try store.run { tx in
            for number in 1...5 as ClosedRange<UInt8> {
                try tx.insert(tokenRow(number, for: "b1", user: "u\(number)", expiresMilliseconds: Int64(number)))
            }
            _ = try tx.revoke("u2", of: id("b1"))
        }
        let deleted = try store.run { tx in
            try (1...3).map { _ in try tx.deleteTokens(expiredBefore: 4, limit: 2) }
        }
        #expect(deleted == [2, 1, 0])
        #expect(try store.run { try $0.route(token(3)) } == nil)
        #expect(try store.run { try $0.route(token(4)) } != nil)
        // What was deleted was forgotten: the same token could be given again.
        try store.run { try $0.insert(tokenRow(2, for: "b1")) }
        #expect(try store.run { try $0.route(token(2)) } != nil)
    }

    static func backends(_ store: any Store) throws {
        try greet(in: store)
        for number in 1...5 as ClosedRange<UInt8> {
            try store.run { tx in
                try tx.place(spec("b\(number)", key: "k\(number)"))
                try tx.insert(tokenRow(number, for: "b\(number)", expiresMilliseconds: .max - 1))
            }
        }
        for number in 1...3 { try record(BackendState(.terminated), of: "b\(number)", in: store) }
        let changed = try #require(try backend("b1", in: store)).changedMilliseconds
        #expect(try store.run { try $0.deleteBackends(terminatedBefore: changed, limit: 2) } == 0)
        let deleted = try store.run { tx in
            try (1...3).map { _ in try tx.deleteBackends(terminatedBefore: .max, limit: 2) }
        }
        #expect(deleted == [2, 1, 0])
        #expect(try store.run { try $0.backends(.all, after: nil, limit: 10) }.map(\.id.text) == ["b4", "b5"])
        #expect(try store.run { try $0.history(of: id("b1"), after: 0) }.isEmpty)
        #expect(try store.run { try $0.route(token(1)) } == nil)
        #expect(try store.run { try $0.route(token(4)) } != nil)
        #expect(try store.run { try $0.deleteTokens(expiredBefore: .max, limit: 9) } == 2)
    }

    static func drones(_ store: any Store) throws {
        for name in ["dr-1", "dr-2", "dr-3"] { try greet(name, in: store) }
        try place(spec("b1", key: "k"), in: store)
        func delete(seenBefore milliseconds: Int64 = .max, limit: Int = 9) throws -> Int {
            try store.run { try $0.deleteDrones(seenBefore: milliseconds, limit: limit) }
        }
        let seen = try drone("dr-2", in: store).seenMilliseconds
        #expect(try delete(seenBefore: seen) == 0)
        #expect(try delete(limit: 1) == 1)
        #expect(try delete() == 1)
        try record(BackendState(.terminated), of: "b1", in: store)
        #expect(try delete() == 0)
        #expect(try store.run { try $0.deleteBackends(terminatedBefore: .max, limit: 9) } == 1)
        #expect(try delete() == 1)
        #expect(try store.run { try $0.drones(after: nil, limit: 9) }.isEmpty)
    }
}

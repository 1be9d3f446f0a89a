import Model
import Store
import Testing

/// What tokens lead to, until they are revoked.
enum TokenChecks {
    static let all: [StoreConformance.Check] = [
        .init("a token leads to its backend, a static one to its own", tokensLead),
        .init("a token of no backend, and one that is used already, are refused", strayTokens),
        .init("a user's tokens of one backend are revoked together, and nobody else's", revoke),
        .init("revoked tokens are told after each revision, until their time is over", revokedTokens),
        .init("revoking nothing adds no order", revokeNothing),
    ]

    static func tokensLead(_ store: any Store) throws {
        try greet(in: store)
        var withToken = spec("b1", key: "k")
        withToken.staticToken = token(1, .fixed)
        let row = TokenRow(
            token: token(2), backend: id("b1"), user: "ada", auth: #"{"a":1}"#, secret: "s", expiresMilliseconds: 77)
        try store.run { tx in
            try tx.place(withToken)
            try tx.insert(row)
        }
        let backend = try #require(try backend("b1", in: store))
        #expect(try store.run { try $0.route(token(2)) } == .dynamic(row, backend))
        #expect(try store.run { try $0.route(token(1, .fixed)) } == .fixed(token(1, .fixed), backend))
        #expect(try store.run { try $0.route(token(3)) } == nil)
        #expect(try store.run { try $0.route(token(3, .fixed)) } == nil)
        // It still leads there when the backend has terminated, so that its caller is told of that end.
        try record(BackendState(.terminated), of: "b1", in: store)
        #expect(try store.run { try $0.route(token(2)) }?.backend.state.status == .terminated)
        #expect(try store.run { try $0.route(token(1, .fixed)) }?.backend.state.status == .terminated)
    }

    static func strayTokens(_ store: any Store) throws {
        try greet(in: store)
        try place(spec("b1", key: "k"), in: store)
        try store.run { try $0.insert(tokenRow(1, for: "b1")) }
        #expect(conflict { try store.run { try $0.insert(tokenRow(2, for: "nobody")) } })
        #expect(conflict { try store.run { try $0.insert(tokenRow(1, for: "b1")) } })
        var other = spec("b2", key: "k2")
        other.staticToken = token(9, .fixed)
        try place(other, in: store)
        other.id = id("b3")
        other.key = spec("b3", key: "k3").key
        #expect(conflict { try place(other, in: store) })
    }

    static func revoke(_ store: any Store) throws {
        try greet(in: store)
        for name in ["b1", "b2"] { try place(spec(name, key: name), in: store) }
        try store.run { tx in
            try tx.insert(tokenRow(3, for: "b1", user: "ada"))
            try tx.insert(tokenRow(1, for: "b1", user: "ada"))
            try tx.insert(tokenRow(2, for: "b1", user: "bob"))
            try tx.insert(tokenRow(4, for: "b1"))
            try tx.insert(tokenRow(5, for: "b2", user: "ada"))
        }
        let before = try drone(in: store).revision
        let revocation = try #require(try store.run { try $0.revoke("ada", of: id("b1")) })
        #expect(revocation.drone == droneName("dr-1"))
        #expect(revocation.revision > before)
        #expect(try drone(in: store).revision == revocation.revision)
        #expect(revocation.tokens.map(\.text) == [token(1), token(3)].map(\.text).sorted())
        for byte in [1, 3] as [UInt8] { #expect(try store.run { try $0.route(token(byte)) } == nil) }
        for byte in [2, 4, 5] as [UInt8] { #expect(try store.run { try $0.route(token(byte)) } != nil) }
        // A token that the user got afterwards is good.
        try store.run { try $0.insert(tokenRow(6, for: "b1", user: "ada")) }
        #expect(try store.run { try $0.route(token(6)) } != nil)
        #expect(try store.run { try $0.revoke("ada", of: id("b1")) }?.tokens == [token(6)])
    }

    static func revokedTokens(_ store: any Store) throws {
        for name in ["dr-1", "dr-2"] { try greet(name, in: store) }
        try place(spec("b1", key: "k1"), in: store)
        try place(spec("b2", key: "k2", drone: "dr-2"), in: store)
        try store.run { tx in
            try tx.insert(tokenRow(1, for: "b1", user: "ada"))
            try tx.insert(tokenRow(2, for: "b1", user: "bob"))
            try tx.insert(tokenRow(3, for: "b2", user: "ada"))
            try tx.insert(tokenRow(4, for: "b1", user: "bob", expiresMilliseconds: tx.nowMilliseconds))
        }
        func read(_ drone: String = "dr-1", after revision: Int64) throws -> [BearerToken] {
            try store.run { try $0.revokedTokens(for: droneName(drone), after: revision) }
        }
        let begin = try drone(in: store).revision
        #expect(try read(after: 0) == [])
        let first = try #require(try store.run { try $0.revoke("bob", of: id("b1")) })
        let second = try #require(try store.run { try $0.revoke("ada", of: id("b1")) })
        // By when they were revoked; without the one whose time was over.
        #expect(try read(after: begin) == [token(2), token(1)])
        #expect(try read(after: first.revision) == [token(1)])
        #expect(try read(after: second.revision) == [])
        #expect(try read("dr-2", after: 0) == [])
    }

    static func revokeNothing(_ store: any Store) throws {
        try greet(in: store)
        try place(spec("b1", key: "k"), in: store)
        try store.run { try $0.insert(tokenRow(1, for: "b1", user: "ada")) }
        #expect(try store.run { try $0.revoke("ada", of: id("nobody")) } == nil)
        let first = try #require(try store.run { try $0.revoke("ada", of: id("b1")) })
        for user in ["ada", "bob"] {
            let none = try #require(try store.run { try $0.revoke(user, of: id("b1")) })
            #expect(none.tokens.isEmpty)
            #expect(none.revision == first.revision)
        }
        #expect(try drone(in: store).revision == first.revision)
    }
}

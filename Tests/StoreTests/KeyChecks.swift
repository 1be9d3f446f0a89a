import Model
import Store
import Testing

/// Who holds a key, and what a lease is told by.
enum KeyChecks {
    static let all: [StoreConformance.Check] = [
        .init("a key is held by one backend, until that backend has terminated", keyIsHeldOnce),
        .init("keys differ by namespace, and by every byte of their names", keysAreApart),
        .init("fencing tokens grow for every key", fencingTokensGrow),
        .init("pages of held keys meet without gap or repetition, in the order of their bytes", holdersArePaged),
        .init("an id is used once", idIsUsedOnce),
        .init("fencing tokens, sessions and lines never repeat, whatever was cleaned up before", at: nothingRepeats),
    ]

    static func keyIsHeldOnce(_ store: any Store) throws {
        try greet(in: store)
        let first = try place(spec("b1", key: "k"), in: store)
        #expect(conflict { try place(spec("b2", key: "k"), in: store) })
        #expect(try holder(of: "k", in: store) == first)
        // One that is asked to end, or ends, still holds it.
        try store.run { _ = try $0.requestEnd(of: id("b1"), DesiredEnd(kind: .hard, reason: .external)) }
        try record(BackendState(.hardTerminating), of: "b1", in: store)
        #expect(conflict { try place(spec("b2", key: "k"), in: store) })
        try record(BackendState(.terminated), of: "b1", in: store)
        #expect(try holder(of: "k", in: store) == nil)
        try place(spec("b2", key: "k"), in: store)
        #expect(try holder(of: "k", in: store)?.id == id("b2"))
    }

    static func keysAreApart(_ store: any Store) throws {
        try greet(in: store)
        // The last two are one name to a person, and to Unicode, and two to whoever sent them.
        let keys = [("b1", "k", ""), ("b2", "k", "x"), ("b3", "x", "k"), ("b4", "\u{E9}", ""), ("b5", "e\u{301}", "")]
        for (name, key, namespace) in keys { try place(spec(name, key: key, namespace: namespace), in: store) }
        for (name, key, namespace) in keys {
            #expect(try holder(of: key, namespace: namespace, in: store)?.id == id(name))
        }
        #expect(try holder(of: "K", in: store) == nil)
        #expect(try holder(of: "k ", in: store) == nil)
    }

    static func fencingTokensGrow(_ store: any Store) throws {
        try greet(in: store)
        var last: Int64 = 0
        for number in 1...50 {
            let row = try store.run { tx in
                let row = try tx.place(spec("b\(number)", key: "k"))
                try tx.record(BackendState(.terminated), of: "b\(number)")
                return row
            }
            #expect(row.fencingToken.value > last)
            last = row.fencingToken.value
        }
    }

    static func holdersArePaged(_ store: any Store) throws {
        try greet(in: store)
        let keys = [
            ("", "A"), ("", "B"), ("", "a"), ("", "\u{FF5E}"), ("", "\u{1F600}"), ("A", "z"), ("a", "b"), ("a", "b c"),
            ("a", "ba"),
        ]
        for (number, key) in keys.enumerated().reversed() {
            try place(spec("b\(number)", key: key.1, namespace: key.0), in: store)
        }
        try place(spec("ended", key: "aa"), in: store)
        try record(BackendState(.terminated), of: "ended", in: store)
        var seen: [String] = []
        var position: KeyPosition?
        while true {
            let page = try store.run { try $0.holders(after: position, limit: 2) }
            guard let last = page.last else { break }
            #expect(page.count <= 2)
            seen += page.map(\.id.text)
            position = KeyPosition(namespace: last.spec.key.namespace, name: last.spec.key.name)
        }
        #expect(seen == keys.indices.map { "b\($0)" })
    }

    static func idIsUsedOnce(_ store: any Store) throws {
        try greet(in: store)
        try place(spec("b1", key: "k1"), in: store)
        #expect(conflict { try place(spec("b1", key: "k2"), in: store) })
        try record(BackendState(.terminated), of: "b1", in: store)
        #expect(conflict { try place(spec("b1", key: "k2"), in: store) })
        #expect(try drone(in: store).backendCount == 0)
    }

    static func nothingRepeats(_ site: any StoreSite) throws {
        var before: (session: SessionNumber?, fencing: FencingToken, line: Int64)?
        for round in 1...3 {
            let store = try site.open()
            let session = try #require(try greet(in: store).session)
            let row = try place(spec("b\(round)", key: "k"), in: store)
            let line = try #require(try store.run { try $0.history(of: row.id, after: 0) }.first).number
            if let before {
                #expect(before.session.map { session > $0 } == true)
                #expect(row.fencingToken > before.fencing)
                #expect(line > before.line)
            }
            before = (session, row.fencingToken, line)
            try store.run { tx in
                try tx.record(BackendState(.terminated), of: "b\(round)")
                let drone = try #require(try tx.drone(droneName("dr-1")))
                #expect(try tx.endSession(of: drone.name, session, renewals: drone.renewals))
                #expect(try tx.deleteBackends(terminatedBefore: .max, limit: 10) == 1)
                #expect(try tx.deleteDrones(seenBefore: .max, limit: 10) == 1)
            }
        }
    }
}

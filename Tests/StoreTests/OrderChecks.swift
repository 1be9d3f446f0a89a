import Model
import Store
import Testing

/// Orders: what a drone's controller reads again when it may have missed something.
enum OrderChecks {
    static let all: [StoreConformance.Check] = [
        .init(
            "each order takes a revision of its drone, and reading after a revision gives each later one once", orders),
        .init("orders of one drone do not touch another's", ordersAreApart),
        .init("a soft request never weakens a hard one, and the first reason stays", endRequests),
        .init("a request that changes nothing adds no order", repeatedRequests),
    ]

    static func orders(_ store: any Store) throws {
        let begin = try greet(in: store).revision
        let rows = try ["b1", "b2", "b3"].map { try place(spec($0, key: $0), in: store) }
        #expect(rows.map(\.revision).first.map { $0 > begin } == true)
        #expect(zip(rows, rows.dropFirst()).allSatisfy { $0.revision < $1.revision })
        func read(after revision: Int64) throws -> [String] {
            try store.run { try $0.orders(for: droneName("dr-1"), after: revision) }.map(\.id.text)
        }
        #expect(try read(after: begin) == ["b1", "b2", "b3"])
        #expect(try read(after: rows[0].revision) == ["b2", "b3"])
        #expect(try read(after: rows[2].revision) == [])
        #expect(try drone(in: store).revision == rows[2].revision)

        let end = DesiredEnd(kind: .soft, reason: .swept)
        guard case .requested(let ending) = try store.run({ try $0.requestEnd(of: id("b1"), end) }) else {
            Issue.record("the end was not noted")
            return
        }
        #expect(ending.revision > rows[2].revision)
        #expect(try drone(in: store).revision == ending.revision)
        #expect(try read(after: begin) == ["b2", "b3", "b1"])
        #expect(try store.run { try $0.orders(for: droneName("dr-1"), after: rows[2].revision) } == [ending])
        // What has terminated needs no order. Hello and renewal are none.
        try record(BackendState(.terminated), of: "b2", in: store)
        try greet(in: store)
        #expect(try read(after: begin) == ["b3", "b1"])
        #expect(try drone(in: store).revision == ending.revision)
    }

    static func ordersAreApart(_ store: any Store) throws {
        for name in ["dr-1", "dr-2"] { try greet(name, in: store) }
        let before = try drone("dr-2", in: store)
        try place(spec("b1", key: "k1"), in: store)
        #expect(try drone("dr-2", in: store) == before)
        #expect(try store.run { try $0.orders(for: droneName("dr-2"), after: 0) }.isEmpty)
    }

    static func endRequests(_ store: any Store) throws {
        try greet(in: store)
        try place(spec("b1", key: "k"), in: store)
        func request(_ kind: TerminationKind, _ reason: TerminationReason) throws -> EndRequest {
            try store.run { try $0.requestEnd(of: id("b1"), DesiredEnd(kind: kind, reason: reason)) }
        }
        func desired() throws -> DesiredEnd? { try backend("b1", in: store)?.desiredEnd }
        _ = try request(.soft, .external)
        #expect(try desired() == DesiredEnd(kind: .soft, reason: .external))
        _ = try request(.hard, .swept)
        #expect(try desired() == DesiredEnd(kind: .hard, reason: .external))
        _ = try request(.soft, .external)
        #expect(try desired() == DesiredEnd(kind: .hard, reason: .external))
        try record(BackendState(.terminated), of: "b1", in: store)
        #expect(try request(.hard, .external) == .alreadyTerminated)
    }

    static func repeatedRequests(_ store: any Store) throws {
        try greet(in: store)
        try place(spec("b1", key: "k"), in: store)
        let ends: [DesiredEnd] = [
            DesiredEnd(kind: .soft, reason: .swept), DesiredEnd(kind: .soft, reason: .external),
            DesiredEnd(kind: .hard, reason: .external), DesiredEnd(kind: .hard, reason: .external),
            DesiredEnd(kind: .soft, reason: .external),
        ]
        let revisions = try ends.map { end in
            guard case .requested(let row) = try store.run({ try $0.requestEnd(of: id("b1"), end) }) else {
                throw StoreError(.other, message: "the end was not noted")
            }
            #expect(try backend("b1", in: store) == row)
            return row.revision
        }
        #expect(revisions[0] == revisions[1])
        #expect(revisions[1] < revisions[2])
        #expect(revisions[2] == revisions[3] && revisions[3] == revisions[4])
        #expect(try drone(in: store).revision == revisions[4])
    }
}

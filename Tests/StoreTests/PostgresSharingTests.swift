import Model
import Store
import Synchronization
import Testing

/// Several controllers on one database.
@Suite struct PostgresSharingTests {
    @Test("What one controller commits, the other sees, and their fencing tokens grow together")
    func oneSeesTheOther() throws {
        let site = try PostgresSite()
        let (first, second) = (try site.store("co-1"), try site.store("co-2"))
        try greet(in: first)
        var last: Int64 = 0
        for number in 1...20 {
            let store = number % 2 == 0 ? first : second
            let other = number % 2 == 0 ? second : first
            let row = try place(spec("b\(number)", key: "k"), in: store)
            #expect(row.fencingToken.value > last)
            last = row.fencingToken.value
            #expect(try holder(of: "k", in: other) == row)
            #expect(conflict { try place(spec("c\(number)", key: "k"), in: other) })
            try record(BackendState(.terminated), of: "b\(number)", in: other)
        }
        #expect(try first.run { try $0.drone(droneName("dr-1")) } == second.run { try $0.drone(droneName("dr-1")) })
    }

    @Test("Transactions of two controllers run one after the other")
    func transactionsAreSerial() throws {
        let site = try PostgresSite()
        let store = try site.store()
        try greet(in: store)
        try place(spec("b1", key: "k"), in: store)
        let threads = try (0..<4).map { number in
            try StoreThread(
                open: { [url = site.url] () throws(StoreError) in try PostgresStore(url: url, writer: "co-\(number)") },
                deliver: { for completion in $0 { completion() } })
        }
        let counts = Mutex<[Int64]>([])
        for _ in 0..<50 {
            for thread in threads {
                thread.perform(
                    { tx throws(StoreError) in
                        // What one reads first is what it finds when it writes.
                        let before = try tx.backend(id("b1"))?.connects ?? -1
                        return try tx.countConnect(of: id("b1")) == before + 1 ? before + 1 : -1
                    },
                    then: { result in counts.withLock { $0.append((try? result.get()) ?? -2) } })
            }
        }
        for thread in threads { thread.stop() }
        #expect(counts.withLock { $0.sorted() } == (1...200).map { Int64($0) })
    }

    @Test("Of many that open an empty database together, one makes the tables")
    func migrationIsTakenOnce() throws {
        let site = try PostgresSite()
        let opened = Mutex(0)
        let threads = (0..<8).map { number in
            TestThread { [url = site.url] in
                if (try? PostgresStore(url: url, writer: "co-\(number)")) != nil { opened.withLock { $0 += 1 } }
            }
        }
        for thread in threads { thread.join() }
        #expect(opened.withLock { $0 } == 8)
        #expect(try site.sql("SELECT version FROM plane.migration") == "1")
        #expect(try site.sql("SELECT count(*) FROM plane.sequence") == "1")
    }

    @Test("A database of a newer Plane is refused, at the start and when it became one since")
    func newerSchemaIsRefused() throws {
        let site = try PostgresSite()
        let store = try site.store()
        try site.sql("INSERT INTO plane.migration VALUES (2, 'of tomorrow')")
        #expect(failure { _ = try site.store() }?.kind == .newerSchema)
        try site.endSessions()
        #expect(failure { _ = try store.run { try $0.controllers() } }?.kind == .newerSchema)
    }

    @Test("A database that other steps made is refused")
    func otherSchemaIsRefused() throws {
        let site = try PostgresSite()
        do { _ = try site.store() }
        try site.sql("UPDATE plane.migration SET digest = md5('of somebody')")
        let error = failure { _ = try site.store() }
        #expect(error?.kind == .otherSchema)
        #expect(error?.message.contains("Drop the schema plane") == true)
    }

    @Test("A job's error in the midst of a batch undoes that job alone, also when the job keeps it to itself")
    func errorInTheMidst() throws {
        let store = try PostgresSite().store()
        try greet(in: store)
        try store.begin()
        try store.step { try $0.place(spec("b1", key: "k1")) }
        // PostgreSQL itself refuses this one: a limit must not be negative.
        let passed = failure {
            try store.step {
                try $0.place(spec("b2", key: "k2"))
                _ = try $0.deleteTokens(expiredBefore: 0, limit: -1)
            }
        }
        #expect(passed?.message.contains("SQLSTATE 2201W") == true)
        let kept = failure {
            try store.step {
                try $0.place(spec("b3", key: "k3"))
                _ = try? $0.deleteTokens(expiredBefore: 0, limit: -1)
            }
        }
        #expect(kept?.message.contains("SQLSTATE 2201W") == true)
        try store.step { try $0.place(spec("b4", key: "k4")) }
        try store.commit()
        #expect(try store.run { try $0.backends(.all, after: nil, limit: 9) }.map(\.id.text) == ["b1", "b4"])
    }

    @Test("A failed reading that no savepoint stands before ends the transaction, and all of it is undone")
    func failedReading() throws {
        let store = try PostgresSite().store()
        try greet(in: store)
        try store.begin()
        try store.step { try $0.place(spec("b1", key: "k1")) }
        #expect(failure { try store.step { try $0.backends(.all, after: nil, limit: -1) } } != nil)
        #expect(!store.isInTransaction)
        #expect(try store.run { try $0.backends(.all, after: nil, limit: 9) }.isEmpty)
    }

    @Test("A zero byte in a drone's message does not keep a backend's end from being recorded")
    func zeroByteInMessage() throws {
        let store = try PostgresSite().store()
        try greet(in: store)
        try place(spec("b1", key: "k"), in: store)
        try record(BackendState(.terminated, message: "a\0b"), of: "b1", in: store)
        #expect(try backend("b1", in: store)?.state.message == "a\u{FFFD}b")
        #expect(try holder(of: "k", in: store) == nil)
    }

    @Test("A zero byte anywhere else is refused and not cut off")
    func zeroByteElsewhere() throws {
        let store = try PostgresSite().store()
        try greet(in: store)
        try place(spec("b1", key: "k"), in: store)
        try store.run { try $0.insert(tokenRow(1, for: "b1", user: "u")) }
        let error = failure { try store.run { try $0.insert(tokenRow(2, for: "b1", user: "u\0x")) } }
        #expect(error?.message.contains("zero byte") == true)
        #expect(try store.run { try $0.revoke("u", of: id("b1")) }?.tokens == [token(1)])
    }
}

/// The store's error that something fails with; nil when it does not fail.
func failure(_ body: () throws -> some Any) -> StoreError? {
    do {
        _ = try body()
        return nil
    } catch {
        return error as? StoreError ?? StoreError(.other, message: "not the store's: \(error)")
    }
}

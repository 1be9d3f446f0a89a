import HTTP
import Model
import SimulatedStore
import Store
import Testing

@testable import Controller

/// A list that few rows fit, out of more rows than are read at once.
@Suite struct BackendListJobTests {
    /// A store with so many backends, `b1000` onwards, each on the drone that the test says.
    private func store(_ count: Int, drone: (Int) -> String) throws -> MemoryStore {
        let store = MemoryStore(clock: { 0 })
        try store.transaction { store throws(StoreError) in
            let controller = Values.controller("co-1")
            var sessions: [String: SessionNumber] = [:]
            for name in ["dr-1", "dr-2"] {
                sessions[name] = try store.greet(
                    Values.greeting(name), by: controller, leaseMilliseconds: 60_000
                ).session
            }
            for index in 0..<count {
                let row = Values.row("b\(1000 + index)", key: "k\(index)", on: drone(index))
                guard let session = sessions[drone(index)], try store.insert(row.spec, under: session) != nil else {
                    throw StoreError(.other, message: "not inserted")
                }
            }
        }
        return store
    }

    private func pages(
        _ store: MemoryStore, _ query: String, scannedMax: Int
    ) throws -> (pages: [[String]], ids: [String]) {
        var pages: [[String]] = []
        var after: BackendID?
        repeat {
            let text = "limit=3&\(query)" + (after.map { "&after=\($0)" } ?? "")
            let job = try BackendListJob(QueryReader(try #require(Query(parsing: text)), for: .backends))
            let page = try store.transaction { store throws(StoreError) in
                try job.run(store, scannedMax: scannedMax)
            }
            pages.append(page.rows.map(\.id.text))
            after = page.next
        } while after != nil && pages.count < 100
        return (pages, pages.flatMap(\.self))
    }

    @Test("Rows are found however far apart they are, each once, in order")
    func farApart() throws {
        let wanted = [0, 999, 1000, 1001, 1500, 2199]
        let store = try store(2200) { wanted.contains($0) ? "dr-2" : "dr-1" }
        let found = try pages(store, "drone=dr-2", scannedMax: BackendListJob.scannedMax)
        #expect(found.ids == wanted.map { "b\(1000 + $0)" })
        // The last page may be empty, as nobody looks beyond a full one.
        #expect(found.pages.count == 3)
    }

    @Test("A job looks at bounded many rows, and the next page goes on where it stopped")
    func bounded() throws {
        let store = try store(2200) { $0 == 2100 ? "dr-2" : "dr-1" }
        let found = try pages(store, "drone=dr-2", scannedMax: 1000)
        #expect(found.pages == [[], [], ["b3100"]])
    }
}

import Model
import SimulatedStore
import Store
import Testing

/// The store that several controllers share keeps what every store must.
@Suite struct PostgresStoreTests {
    @Test("PostgreSQL keeps what every store must", arguments: StoreConformance.checks)
    func conforms(_ check: StoreConformance.Check) throws {
        try check.run(try PostgresSite())
    }

    @Test(
        "Random jobs of two controllers do the same in memory and in PostgreSQL, failed and rolled back ones too",
        arguments: 1...4 as ClosedRange<UInt64>)
    func sameSteps(seed: UInt64) throws {
        let time = Time()
        let database = MemoryDatabase(clock: { time.now })
        let site = try PostgresSite()
        let stores = try ["co-1", "co-2"].map {
            try PostgresStore(url: site.url, writer: $0, limits: PostgresLimits(), clock: { time.now })
        }
        let memory = stores.map { _ in SharedMemoryStore(database) }
        let tests = EqualStoresTests()
        var steps = RandomSteps(seed: seed)
        for round in 0..<200 {
            time.now += Int64(steps.below(20)) - 5
            let jobs = EqualStoresTests.jobs(&steps)
            let rollsBack = steps.below(8) == 0
            let number = steps.below(2)
            let expected = try tests.run(jobs, in: memory[number], rollsBack: rollsBack)
            #expect(try tests.run(jobs, in: stores[number], rollsBack: rollsBack) == expected, "round \(round)")
            if steps.below(50) == 0 { try site.endSessions() }
        }
    }
}

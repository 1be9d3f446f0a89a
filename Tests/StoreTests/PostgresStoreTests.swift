import Model
import Store
import Testing

/// The store that several controllers share keeps what every store must.
@Suite struct PostgresStoreTests {
    @Test("PostgreSQL keeps what every store must", arguments: StoreConformance.checks)
    func conforms(_ check: StoreConformance.Check) throws {
        try check.run(try PostgresSite())
    }
}

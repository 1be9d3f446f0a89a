import Model
import SimulatedStore
import Store
import Testing

/// The store that the simulator uses keeps what every store must.
@Suite struct MemoryStoreTests {
    @Test("The store in memory keeps what every store must", arguments: StoreConformance.checks)
    func conforms(_ check: StoreConformance.Check) throws {
        try check.run(MemorySite(isShared: false))
    }

    @Test("The store in memory that several share keeps what every store must", arguments: StoreConformance.checks)
    func sharedConforms(_ check: StoreConformance.Check) throws {
        try check.run(MemorySite(isShared: true))
    }

    @Test("A connection that goes away within a transaction leaves nothing of it")
    func lostConnection() throws {
        let database = MemoryDatabase(clock: { 0 })
        do {
            let store = SharedMemoryStore(database)
            try store.begin()
            try store.step { try $0.beat(controllerName("co-1"), version: "1") }
        }
        #expect(try SharedMemoryStore(database).run { try $0.controllers() }.isEmpty)
    }
}

/// A database in memory that outlives its connections.
final class MemorySite: StoreSite {
    let isShared: Bool
    private let database = MemoryDatabase(clock: { 1_000 })

    init(isShared: Bool) { self.isShared = isShared }

    func open() throws -> any Store { isShared ? SharedMemoryStore(database) : MemoryStore(database) }
}

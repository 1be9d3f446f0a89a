package import Store

/// A store in memory for one controller: what `SQLiteStore` is, without a disk and far faster. It keeps the same promises,
/// by the same suite of checks, but one: it ends with its process.
///
/// Several may be opened on one database, one after the other, as a controller that starts again opens its file again.
package final class MemoryStore: Store {
    package static var isShared: Bool { false }

    private let connection: MemoryConnection

    /// Opens a database.
    package init(_ database: MemoryDatabase) { connection = MemoryConnection(database) }

    /// Makes a database of its own. - Parameter clock: milliseconds since 1970.
    package convenience init(clock: @escaping () -> Int64) { self.init(MemoryDatabase(clock: clock)) }

    package func begin() throws(StoreError) { try connection.begin() }
    package func commit() throws(StoreError) { connection.commit() }
    package func rollBack() { connection.rollBack() }
    package var isInTransaction: Bool { connection.isInTransaction }
    package func isolated<Value>(
        _ job: (any StoreTransaction) throws(StoreError) -> Value
    ) throws(StoreError) -> Value { try connection.isolated(job) }
}

/// The same for several controllers that share one database, each with a connection of its own: what PostgreSQL is.
package final class SharedMemoryStore: Store {
    package static var isShared: Bool { true }

    private let connection: MemoryConnection

    /// Opens a database.
    package init(_ database: MemoryDatabase) { connection = MemoryConnection(database) }

    package func begin() throws(StoreError) { try connection.begin() }
    package func commit() throws(StoreError) { connection.commit() }
    package func rollBack() { connection.rollBack() }
    package var isInTransaction: Bool { connection.isInTransaction }
    package func isolated<Value>(
        _ job: (any StoreTransaction) throws(StoreError) -> Value
    ) throws(StoreError) -> Value { try connection.isolated(job) }
}

/// One user of a database. One thread uses it. If it goes away within a transaction, that is forgotten.
final class MemoryConnection {
    private let database: MemoryDatabase
    private(set) var isInTransaction = false
    private let transaction: MemoryTransaction

    init(_ database: MemoryDatabase) {
        self.database = database
        transaction = MemoryTransaction(database)
    }

    deinit { rollBack() }

    func begin() throws(StoreError) {
        precondition(!isInTransaction, "a transaction is open already")
        try database.lock()
        transaction.nowMilliseconds = database.clock()
        isInTransaction = true
    }

    func commit() {
        precondition(isInTransaction, "no transaction is open")
        database.forgetUndo()
        isInTransaction = false
        database.unlock()
    }

    func rollBack() {
        guard isInTransaction else { return }
        database.undo(to: .beginning)
        isInTransaction = false
        database.unlock()
    }

    func isolated<Value>(
        _ job: (any StoreTransaction) throws(StoreError) -> Value
    ) throws(StoreError) -> Value {
        precondition(isInTransaction, "no transaction is open")
        let mark = database.mark
        do throws(StoreError) {
            return try job(transaction)
        } catch {
            database.undo(to: mark)
            throw error
        }
    }
}

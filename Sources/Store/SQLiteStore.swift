internal import CSQLite
import Glibc

/// The embedded store: one SQLite file in WAL mode, synchronous=FULL, for one controller.
///
/// **Assumptions.** The file is on a local disk whose fsync(2) is honest. One controller uses it: sessions of drones are
/// in its memory, so a second one on the same file would conclude that every drone is lost. A lock file beside the
/// database, `<path>.lock`, keeps a second one out; reading with other programs stays possible.
public final class SQLiteStore: Store {
    public static var isShared: Bool { false }

    private let connection: SQLiteConnection
    private let clock: @Sendable () -> Int64
    private let images = KnownImages()
    private let lockDescriptor: Int32
    private let checkpointer: SQLiteCheckpointer
    private var current: SQLiteTransaction?

    /// Opens or makes the database and brings its tables to this program's version.
    ///
    /// - Parameters:
    ///   - path: of the database file; its folder must exist.
    ///   - clock: milliseconds since 1970.
    public convenience init(path: String, clock: @escaping @Sendable () -> Int64) throws(StoreError) {
        try self.init(path: path, clock: clock, limits: SQLiteCheckpointer.Limits())
    }

    /// The same, with other lengths of the log at which it is copied.
    init(
        path: String, clock: @escaping @Sendable () -> Int64, limits: SQLiteCheckpointer.Limits
    ) throws(StoreError) {
        // Until all properties are set there is no deinit to close it.
        let lock = try Self.lock(path + ".lock")
        do throws(StoreError) {
            connection = try SQLiteConnection(path: path)
            try SQLiteSchema.migrate(connection)
            checkpointer = try SQLiteCheckpointer(path: path, limits: limits)
        } catch {
            close(lock)
            throw error
        }
        lockDescriptor = lock
        self.clock = clock
        connection.countLogPages()
    }

    deinit {
        checkpointer.stop()
        close(lockDescriptor)
    }

    /// Pages of the write-ahead log after the last commit.
    var logPages: Int { connection.logPages }

    private static func lock(_ path: String) throws(StoreError) -> Int32 {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else {
            throw StoreError(.other, message: "cannot open \(path): \(String(cString: strerror(errno)))")
        }
        if flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            let code = errno
            close(descriptor)
            guard code == EWOULDBLOCK else {
                throw StoreError(.other, message: "cannot lock \(path): \(String(cString: strerror(code)))")
            }
            throw StoreError(
                .busy,
                message: "another controller uses this database (it holds \(path)). Stop it, or give another --db")
        }
        return descriptor
    }

    public func begin() throws(StoreError) {
        precondition(current == nil, "a transaction is open already")
        // What fails here loses nothing: the log keeps all.
        if checkpointer.shouldFinish() { _ = try? connection.checkpoint() }
        // Immediate: the write lock is taken now, so no later statement fails because another writer came first.
        try connection.run("BEGIN IMMEDIATE")
        current = SQLiteTransaction(connection, nowMilliseconds: clock(), images: images)
    }

    public func commit() throws(StoreError) {
        precondition(current != nil, "no transaction is open")
        current = nil
        do throws(StoreError) {
            try connection.run("COMMIT")
            checkpointer.committed(logPages: connection.logPages)
        } catch {
            if connection.isInTransaction { rollBack() }
            throw error
        }
    }

    public func rollBack() {
        current = nil
        // It fails only when SQLite has rolled back already, which is what was asked for.
        if connection.isInTransaction { try? connection.run("ROLLBACK") }
    }

    public var isInTransaction: Bool { connection.isInTransaction }

    public func isolated<Value>(
        _ job: (any StoreTransaction) throws(StoreError) -> Value
    ) throws(StoreError) -> Value {
        guard let current else { preconditionFailure("no transaction is open") }
        try connection.run("SAVEPOINT job")
        do throws(StoreError) {
            let value = try job(current)
            try connection.run("RELEASE job")
            return value
        } catch {
            if connection.isInTransaction {
                do throws(StoreError) {
                    try connection.run("ROLLBACK TO job")
                    try connection.run("RELEASE job")
                } catch {
                    // What the job left behind must not be committed with the others.
                    rollBack()
                }
            }
            if !connection.isInTransaction { self.current = nil }
            throw error
        }
    }
}

internal import CSQLite
import Glibc

/// Once in the process, before its first connection. If somebody else uses the library already, it stays as it is.
private let libraryConfiguration: Int32 = plane_sqlite_keep_no_memory_statistics()

/// An open database file and its prepared statements. Used by one thread.
final class SQLiteConnection {
    private let database: OpaquePointer
    /// Pages of the write-ahead log after the last commit; only with `countLogPages`.
    private(set) var logPages = 0
    /// By the address of the statement's text, which is constant for the life of the program.
    private var prepared: [UnsafePointer<UInt8>: OpaquePointer] = [:]

    /// Opens or makes the file. The database, its log and its index are readable by their owner alone: tokens are in them.
    init(path: String) throws(StoreError) {
        // Made here so that it never exists with wider permissions; SQLite gives its other files the same ones.
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else {
            throw StoreError(.other, message: "cannot open the database \(path): \(String(cString: strerror(errno)))")
        }
        // Before SQLite opens it: closing any descriptor of the file drops all POSIX locks of the process on it.
        close(descriptor)
        _ = libraryConfiguration
        var handle: OpaquePointer?
        let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE
        let code = sqlite3_open_v2(path, &handle, flags, nil)
        guard code == SQLITE_OK, let handle else {
            let error = StoreError(sqlite: code, database: handle, statement: nil)
            sqlite3_close_v2(handle)
            throw StoreError(
                error.kind, code: error.code, message: "cannot open the database \(path): \(error.message)")
        }
        database = handle
        sqlite3_busy_timeout(handle, 5000)
        plane_sqlite_refuse_quoted_strings(handle)
        try configure()
    }

    /// Opens a database that this process has open already. Its file is opened by SQLite alone, which knows of the other's
    /// locks: closing any other descriptor of it would drop them.
    init(existing path: String) throws(StoreError) {
        var handle: OpaquePointer?
        let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE
        let code = sqlite3_open_v2(path, &handle, flags, nil)
        guard code == SQLITE_OK, let handle else {
            let error = StoreError(sqlite: code, database: handle, statement: nil)
            sqlite3_close_v2(handle)
            throw error
        }
        database = handle
        try run("PRAGMA synchronous = FULL")
        // Reading it makes SQLite look for the log, without which there is nothing to copy.
        _ = try text("PRAGMA journal_mode")
    }

    /// A database in memory that nobody else sees and that ends with the connection.
    init(inMemory: Void) throws(StoreError) {
        var handle: OpaquePointer?
        let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_MEMORY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE
        let code = sqlite3_open_v2(":memory:", &handle, flags, nil)
        guard code == SQLITE_OK, let handle else {
            let error = StoreError(sqlite: code, database: handle, statement: nil)
            sqlite3_close_v2(handle)
            throw error
        }
        database = handle
    }

    deinit {
        for statement in prepared.values { sqlite3_finalize(statement) }
        let code = sqlite3_close(database)
        precondition(code == SQLITE_OK, "a statement outlives its connection")
    }

    private func configure() throws(StoreError) {
        // A commit appends to the log and returns after one fsync(2) of it; readers never wait for writers.
        let mode = try text("PRAGMA journal_mode = WAL")
        guard mode == "wal" else {
            throw StoreError(
                .other,
                message: "this file system cannot hold the database's write-ahead log (journal mode is "
                    + "\(mode ?? "unknown")). Put it on a local disk")
        }
        // With NORMAL a power cut could take back what a connect was promised.
        try run("PRAGMA synchronous = FULL")
        // What a job's savepoint keeps for undoing it stays in memory instead of in a file that is written and thrown away.
        try run("PRAGMA temp_store = MEMORY")
        // 64 MiB (the value is in KiB when negative): with the standard 2 MiB, 10,000 keys do not fit, and each commit reads
        // pages again that an earlier one wrote.
        try run("PRAGMA cache_size = -65536")
        try run("PRAGMA foreign_keys = ON")
        try run("PRAGMA trusted_schema = OFF")
        try run("PRAGMA cell_size_check = ON")
    }

    /// Keeps `logPages`, instead of copying the log into the database whenever it is long. sqlite.org/c3ref/wal_hook.html
    func countLogPages() {
        sqlite3_wal_hook(
            database,
            { context, _, _, pages in
                guard let context else { return SQLITE_OK }
                Unmanaged<SQLiteConnection>.fromOpaque(context).takeUnretainedValue().logPages = Int(pages)
                return SQLITE_OK
            }, Unmanaged.passUnretained(self).toOpaque())
    }

    /// Copies as much of the log into the database as it can without waiting for anyone.
    /// - Returns: how many pages the log has.
    @discardableResult
    func checkpoint() throws(StoreError) -> (logPages: Int, copiedPages: Int) {
        var (pages, copied) = (Int32(0), Int32(0))
        let code = sqlite3_wal_checkpoint_v2(database, nil, SQLITE_CHECKPOINT_PASSIVE, &pages, &copied)
        guard code == SQLITE_OK else { throw StoreError(sqlite: code, database: database, statement: nil) }
        return (Int(pages), Int(copied))
    }

    /// A prepared statement, ready for its first parameter.
    func statement(_ sql: StaticString) throws(StoreError) -> SQLiteStatement {
        if let handle = prepared[sql.utf8Start] {
            return SQLiteStatement(handle: handle, database: database, sql: sql)
        }
        var handle: OpaquePointer?
        let code = sql.utf8Start.withMemoryRebound(to: CChar.self, capacity: sql.utf8CodeUnitCount + 1) {
            sqlite3_prepare_v3(
                database, $0, Int32(sql.utf8CodeUnitCount + 1), UInt32(SQLITE_PREPARE_PERSISTENT), &handle, nil)
        }
        guard code == SQLITE_OK, let handle else {
            throw StoreError(sqlite: code, database: database, statement: sql)
        }
        prepared[sql.utf8Start] = handle
        return SQLiteStatement(handle: handle, database: database, sql: sql)
    }

    /// Runs a statement without parameters to its end.
    func run(_ sql: StaticString) throws(StoreError) {
        var statement = try statement(sql)
        try statement.run()
    }

    /// The first column of the first row, as text.
    func text(_ sql: StaticString) throws(StoreError) -> String? {
        var statement = try statement(sql)
        return try statement.step() ? statement.text(0) : nil
    }

    /// The first column of the first row, as an integer.
    func integer(_ sql: StaticString) throws(StoreError) -> Int64? {
        var statement = try statement(sql)
        return try statement.step() ? statement.integer(0) : nil
    }

    /// Runs several statements that are used once.
    func script(_ sql: StaticString) throws(StoreError) {
        let code = sql.utf8Start.withMemoryRebound(to: CChar.self, capacity: sql.utf8CodeUnitCount + 1) {
            sqlite3_exec(database, $0, nil, nil, nil)
        }
        if code != SQLITE_OK { throw StoreError(sqlite: code, database: database, statement: nil) }
    }

    /// Rows that the last statement changed.
    var changes: Int { Int(sqlite3_changes64(database)) }

    /// Whether a transaction is open; some errors end it on their own. sqlite.org/c3ref/get_autocommit.html
    var isInTransaction: Bool { sqlite3_get_autocommit(database) == 0 }
}

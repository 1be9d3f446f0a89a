internal import CSQLite
import Glibc

/// A prepared statement borrowed from its connection's cache. Reset and cleared on every way out of its scope, so that no
/// cursor is left open (it would keep the transaction from ending) and no bound secret stays in memory.
struct SQLiteStatement: ~Copyable {
    private let handle: OpaquePointer
    private let database: OpaquePointer
    private let sql: StaticString
    private var bound: Int32 = 0

    init(handle: OpaquePointer, database: OpaquePointer, sql: StaticString) {
        self.handle = handle
        self.database = database
        self.sql = sql
    }

    deinit {
        // The result repeats the error of the last step, which has been reported.
        sqlite3_reset(handle)
        sqlite3_clear_bindings(handle)
    }

    /// Binds the next parameter.
    mutating func bind(_ text: String?) throws(StoreError) {
        bound += 1
        guard var text else { return try check(sqlite3_bind_null(handle, bound)) }
        let index = bound
        let result = text.withUTF8 { bytes in
            // An empty buffer may have no address, and a null pointer would bind NULL.
            bytes.withMemoryRebound(to: CChar.self) {
                plane_sqlite_bind_text(handle, index, $0.baseAddress ?? emptyText, Int32($0.count))
            }
        }
        try check(result)
    }

    /// Binds the next parameter.
    mutating func bind(_ number: Int64?) throws(StoreError) {
        bound += 1
        guard let number else { return try check(sqlite3_bind_null(handle, bound)) }
        try check(sqlite3_bind_int64(handle, bound, number))
    }

    /// Moves to the next row. - Returns: whether there is one.
    mutating func step() throws(StoreError) -> Bool {
        precondition(bound == sqlite3_bind_parameter_count(handle), "every parameter must be bound")
        switch sqlite3_step(handle) {
        case SQLITE_ROW: return true
        case SQLITE_DONE: return false
        case let code: throw StoreError(sqlite: code, database: database, statement: sql)
        }
    }

    /// Runs to the end, ignoring rows.
    mutating func run() throws(StoreError) {
        while try step() {}
    }

    /// The first column of the only row, and the statement's end: what RETURNING belongs to is complete only then.
    /// - Returns: nil when there is no row or the column is NULL.
    mutating func onlyInteger() throws(StoreError) -> Int64? {
        guard try step() else { return nil }
        let value = integer(0)
        try run()
        return value
    }

    /// A column of the current row, from 0; nil when it is NULL.
    func text(_ column: Int32) -> String? {
        guard let bytes = sqlite3_column_text(handle, column) else { return nil }
        let count = Int(sqlite3_column_bytes(handle, column))
        return String(decoding: UnsafeBufferPointer(start: bytes, count: count), as: UTF8.self)
    }

    /// A column of the current row, from 0; nil when it is NULL.
    func integer(_ column: Int32) -> Int64? {
        sqlite3_column_type(handle, column) == SQLITE_NULL ? nil : sqlite3_column_int64(handle, column)
    }

    private func check(_ code: Int32) throws(StoreError) {
        if code != SQLITE_OK { throw StoreError(sqlite: code, database: database, statement: sql) }
    }
}

/// One zero byte that lives as long as the process.
private nonisolated(unsafe) let emptyText: UnsafePointer<CChar> = {
    let byte = UnsafeMutablePointer<CChar>.allocate(capacity: 1)
    byte.initialize(to: 0)
    return UnsafePointer(byte)
}()

private func isOutOfSpace(_ code: Int32) -> Bool { code == ENOSPC || code == EDQUOT || code == EFBIG }

extension StoreError {
    /// What the connection says about its last failure. - Parameter database: nil when it could not even be opened.
    init(sqlite code: Int32, database: OpaquePointer?, statement: StaticString?) {
        // SQLite's own note of it, sqlite3_system_errno, is not made by a commit. It is the last call that failed, and
        // nothing failed since; only the kind rests on it.
        let systemCode = errno
        let extended = database.map { sqlite3_extended_errcode($0) } ?? code
        let kind: Kind =
            switch extended & 0xFF {
            case SQLITE_BUSY, SQLITE_LOCKED: .busy
            case SQLITE_FULL, SQLITE_TOOBIG: .full
            // A full disk is an input/output error where the log's index grows or a file is synced; a quota always is.
            case SQLITE_IOERR where isOutOfSpace(systemCode): .full
            case SQLITE_CONSTRAINT: .conflict
            case SQLITE_CORRUPT, SQLITE_NOTADB: .corrupt
            default: .other
            }
        let message = database.map { String(cString: sqlite3_errmsg($0)) } ?? String(cString: sqlite3_errstr(code))
        self.init(kind, code: extended, message: message, statement: statement.map { "\($0)" })
    }
}

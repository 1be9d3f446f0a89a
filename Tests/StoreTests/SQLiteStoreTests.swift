import CSQLite
import Glibc
import Model
import Store
import Testing

/// The embedded store: what all stores keep, and what is its own.
@Suite struct SQLiteStoreTests {
    private let folder = TemporaryFolder()

    private func open() throws -> SQLiteStore { try SQLiteStore(path: folder.file("plane.db"), clock: { 1_000 }) }

    @Test("SQLite keeps what every store must", arguments: StoreConformance.checks)
    func conforms(_ check: StoreConformance.Check) throws {
        try check.run(SQLiteSite())
    }

    @Test("A second controller on the same file is refused with a sentence")
    func secondControllerIsRefused() throws {
        let first = try open()
        do throws(StoreError) {
            _ = try SQLiteStore(path: folder.file("plane.db"), clock: { 0 })
            Issue.record("the second was let in")
        } catch {
            #expect(error.kind == .busy)
            #expect(error.message.contains("another controller uses this database"))
        }
        withExtendedLifetime(first) {}
    }

    @Test("A database of a newer Plane is refused and left as it is")
    func newerSchemaIsRefused() throws {
        do { _ = try open() }
        try execute("PRAGMA user_version = 99")
        do throws(StoreError) {
            _ = try SQLiteStore(path: folder.file("plane.db"), clock: { 0 })
            Issue.record("it was opened")
        } catch {
            #expect(error.kind == .newerSchema)
            #expect(error.message.contains("99"))
        }
        #expect(try execute("PRAGMA user_version") == "99")
    }

    @Test(
        "A database with other tables than its version says is refused with a sentence and left as it is",
        arguments: [
            "ALTER TABLE backend DROP COLUMN out_of_memory", "DROP INDEX token_by_expiry", "PRAGMA user_version = 0",
            "PRAGMA user_version = -1", "CREATE TABLE notes (text TEXT)",
        ])
    func otherTablesAreRefused(_ change: String) throws {
        do { _ = try open() }
        try execute(change)
        let before = try layout()
        do throws(StoreError) {
            _ = try SQLiteStore(path: folder.file("plane.db"), clock: { 0 })
            Issue.record("it was opened")
        } catch {
            #expect(error.kind == .otherSchema)
            #expect(error.message.contains("--db"))
        }
        #expect(try layout() == before)
    }

    private func layout() throws -> String? {
        try execute("SELECT (SELECT user_version FROM pragma_user_version) || group_concat(sql) FROM sqlite_schema")
    }

    @Test("What SQLite itself adds to a database is no other layout")
    func statisticsAreNoOtherTables() throws {
        do { try greet(in: try open()) }
        try execute("ANALYZE")
        try greet(in: try open())
    }

    @Test("Writers append to a write-ahead log, so that readers never wait")
    func writesAhead() throws {
        let store = try open()
        try greet(in: store)
        #expect(try execute("PRAGMA journal_mode") == "wal")
    }

    @Test("The database and its log are readable by their owner alone")
    func filesArePrivate() throws {
        let store = try open()
        try greet(in: store)
        for name in ["plane.db", "plane.db-wal", "plane.db.lock"] {
            var status = stat()
            #expect(stat(folder.file(name), &status) == 0, "\(name)")
            #expect(status.st_mode & 0o777 == 0o600, "\(name)")
        }
        withExtendedLifetime(store) {}
    }

    @Test("A path that cannot be opened is named")
    func badPathIsNamed() {
        do throws(StoreError) {
            _ = try SQLiteStore(path: "/nonexistent/plane.db", clock: { 0 })
            Issue.record("it was opened")
        } catch {
            #expect(error.message.contains("/nonexistent/plane.db"))
            #expect(error.message.contains("No such file"))
        }
    }

    @Test("A file that is no database is refused, not overwritten")
    func otherFileIsRefused() throws {
        let path = folder.file("plane.db")
        let descriptor = Glibc.open(path, O_CREAT | O_WRONLY, 0o600)
        let text = String(repeating: "these are my notes\n", count: 300)
        #expect(write(descriptor, text, text.utf8.count) == text.utf8.count)
        close(descriptor)
        do throws(StoreError) {
            _ = try SQLiteStore(path: path, clock: { 0 })
            Issue.record("it was opened")
        } catch {
            #expect(error.kind == .corrupt)
        }
        var status = stat()
        #expect(stat(path, &status) == 0 && Int(status.st_size) == text.utf8.count)
    }

    @Test("An error names the statement and none of its values")
    func errorsHoldNoValues() throws {
        let store = try open()
        try greet(in: store)
        let token = BearerToken(random: Array(repeating: 9, count: 32))
        do throws(StoreError) {
            try store.transaction { tx throws(StoreError) in
                try tx.insert(
                    TokenRow(
                        token: token, backend: id("nobody"), user: "ada", auth: "{}", secret: "hidden",
                        expiresMilliseconds: 0))
            }
        } catch {
            #expect(error.statement?.contains("INSERT INTO token") == true)
            for secret in [token.text, "ada", "hidden"] { #expect(!error.description.contains(secret)) }
        }
    }

    /// Runs SQL on a connection of the test's own.
    @discardableResult
    private func execute(_ sql: String) throws -> String? {
        var database: OpaquePointer?
        #expect(sqlite3_open(folder.file("plane.db"), &database) == SQLITE_OK)
        defer { sqlite3_close(database) }
        var statement: OpaquePointer?
        #expect(sqlite3_prepare_v2(database, sql, -1, &statement, nil) == SQLITE_OK)
        defer { sqlite3_finalize(statement) }
        guard sqlite3_step(statement) == SQLITE_ROW else { return nil }
        return String(cString: sqlite3_column_text(statement, 0))
    }
}

/// A database file of its own, gone with it.
final class SQLiteSite: StoreSite {
    let isShared = false
    private let folder = TemporaryFolder()

    func open() throws -> any Store { try SQLiteStore(path: folder.file("plane.db"), clock: { 1_000 }) }
}

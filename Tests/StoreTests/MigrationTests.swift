import CSQLite
import Model
import Testing

@testable import Store

/// A database of an older Plane becomes one of this.
@Suite struct MigrationTests {
    private let folder = TemporaryFolder()

    /// A database of version 1 with backends that ended in each way that it could tell.
    private func makeFirstVersion(_ ends: [(id: String, columns: String)]) throws {
        let connection = try SQLiteConnection(path: folder.file("plane.db"))
        try SQLiteSchema.migrate(connection, to: 1)
        #expect(try connection.integer("PRAGMA user_version") == 1)
        var sql = "INSERT INTO drone (name, cluster, pool, version, session, images, seen_ms)"
        sql += " VALUES ('dr-1', 'c', '', '1', 's', 'python-repl', 0);"
        for (number, end) in ends.enumerated() {
            sql += """
                INSERT INTO backend (id, key_namespace, key_name, key_tag, cluster, pool, drone, image, environment,
                    limits, fencing_token, created_ms, changed_ms, status, reason, exit_code, exit_signal, out_of_memory,
                    message, connects)
                VALUES ('\(end.id)', '', 'k', '', 'c', '', 'dr-1', 'python-repl', '{}', '{}', \(number + 1), 0, 0,
                    \(end.columns), 'It ended.', 3);
                INSERT INTO history (backend, time_ms, status, reason, exit_code, exit_signal, out_of_memory, message)
                VALUES ('\(end.id)', 0, \(end.columns), 'It ended.');
                """
        }
        var database: OpaquePointer?
        #expect(sqlite3_open(folder.file("plane.db"), &database) == SQLITE_OK)
        defer { sqlite3_close(database) }
        #expect(sqlite3_exec(database, sql, nil, nil, nil) == SQLITE_OK)
    }

    @Test("A database of version 1 keeps its rows, and each end in it gets the reason that follows from them")
    func fromFirstVersion() throws {
        let ends: [(id: String, columns: String, reason: EndReason?)] = [
            ("b1", "50, NULL, NULL, NULL, NULL", nil), ("b2", "70, 'swept', 0, NULL, 0", .swept),
            ("b3", "70, 'external', NULL, NULL, NULL", .external),
            ("b4", "70, 'keyexpired', NULL, NULL, NULL", .leaseExpired),
            ("b5", "70, 'lost', NULL, NULL, NULL", .lost),
            ("b6", "70, 'startuptimeout', NULL, 9, 1", .startupTimeout),
            ("b7", "70, 'internalerror', NULL, NULL, NULL", .internalError),
            ("b8", "70, NULL, 3, NULL, 0", .exited), ("b9", "70, NULL, NULL, 11, 0", .signaled),
            ("b10", "70, NULL, NULL, 9, 1", .outOfMemory), ("b11", "70, NULL, NULL, NULL, NULL", nil),
        ]
        try makeFirstVersion(ends.map { ($0.id, $0.columns) })
        let store = try SQLiteStore(path: folder.file("plane.db"), clock: { 1_000 })
        for end in ends {
            let (row, lines) = try store.transaction { tx throws(StoreError) in
                (try tx.backend(id(end.id)), try tx.history(of: id(end.id), after: 0))
            }
            #expect(row?.state.endReason == end.reason, "\(end.id)")
            #expect(row?.state.usage == nil && row?.connects == 3 && row?.state.message == "It ended.", "\(end.id)")
            #expect(lines.map(\.state) == [row?.state], "\(end.id)")
        }
    }

    @Test("Opened twice, a database is migrated once")
    func migratesOnce() throws {
        try makeFirstVersion([])
        for _ in 0..<2 { _ = try SQLiteStore(path: folder.file("plane.db"), clock: { 1_000 }) }
        let connection = try SQLiteConnection(path: folder.file("plane.db"))
        #expect(try connection.integer("PRAGMA user_version") == SQLiteSchema.version)
    }
}

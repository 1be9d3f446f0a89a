import CSQLite
import Model
import Testing

@testable import Store

/// A database of an older Plane becomes one of this.
@Suite struct MigrationTests {
    private let folder = TemporaryFolder()

    /// A database of an older version.
    private func make(_ version: Int64, _ sql: String) throws {
        let connection = try SQLiteConnection(path: folder.file("plane.db"))
        try SQLiteSchema.migrate(connection, to: version)
        #expect(try connection.integer("PRAGMA user_version") == version)
        var database: OpaquePointer?
        #expect(sqlite3_open(folder.file("plane.db"), &database) == SQLITE_OK)
        defer { sqlite3_close(database) }
        #expect(sqlite3_exec(database, sql, nil, nil, nil) == SQLITE_OK)
    }

    private func open() throws -> SQLiteStore { try SQLiteStore(path: folder.file("plane.db"), clock: { 1_000 }) }

    /// A database of version 1 with backends that ended in each way that it could tell.
    private func makeFirstVersion(_ ends: [(id: String, columns: String)]) throws {
        var sql = "INSERT INTO drone (name, cluster, pool, version, session, images, seen_ms)"
        sql += " VALUES ('dr-1', 'c', '', '1', 's', 'python-repl', 0);"
        for (number, end) in ends.enumerated() {
            sql += """
                INSERT INTO backend (id, key_namespace, key_name, key_tag, cluster, pool, drone, image, environment,
                    limits, fencing_token, created_ms, changed_ms, status, reason, exit_code, exit_signal, out_of_memory,
                    message, connects)
                VALUES ('\(end.id)', '', 'k-\(end.id)', '', 'c', '', 'dr-1', 'python-repl', '{}', '{}', \(number + 1), 0, 0,
                    \(end.columns), 'It ended.', 3);
                INSERT INTO history (backend, time_ms, status, reason, exit_code, exit_signal, out_of_memory, message)
                VALUES ('\(end.id)', 0, \(end.columns), 'It ended.');
                """
        }
        try make(1, sql)
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
        let store = try open()
        for end in ends {
            let row = try backend(end.id, in: store)
            let lines = try store.run { try $0.history(of: id(end.id), after: 0) }
            #expect(row?.state.endReason == end.reason, "\(end.id)")
            #expect(row?.state.usage == nil && row?.connects == 3 && row?.state.message == "It ended.", "\(end.id)")
            #expect(lines.map(\.state) == [row?.state], "\(end.id)")
        }
    }

    @Test("Opened twice, a database is migrated once")
    func migratesOnce() throws {
        try makeFirstVersion([])
        for _ in 0..<2 { _ = try open() }
        let connection = try SQLiteConnection(path: folder.file("plane.db"))
        #expect(try connection.integer("PRAGMA user_version") == SQLiteSchema.version)
    }

    /// Two drones, one of which has live backends, as version 2 had them.
    private static let secondVersion = """
        INSERT INTO drone (name, cluster, pool, version, session, images, willingness, backend_count, seen_ms) VALUES
            ('dr-1', 'localhost:9090', 'gpu', '1', 'process-1', 'jupyter python-repl', 1, 2, 5),
            ('dr-2', 'localhost:9090', '', '1', 'process-2', 'python-repl', 0, 0, 6);
        INSERT INTO backend (id, key_namespace, key_name, key_tag, cluster, pool, drone, image, environment, limits,
            static_token, subdomain, lifetime_limit_seconds, max_idle_seconds, fencing_token, desired_kind,
            desired_reason, created_ms, changed_ms, status, connects, message, end_reason, cpu_microseconds)
        VALUES
            ('live', 'n', 'k1', 't', 'localhost:9090', 'gpu', 'dr-1', 'jupyter', '{"A":"b"}',
                '{"memory_limit_bytes":5}', 's.abc', 'sub', 7, 8, 41, 'soft', 'swept', 1, 2, 50, 3, NULL, NULL, NULL),
            ('scheduled', '', 'k2', '', 'localhost:9090', '', 'dr-1', 'jupyter', '{}', '{}', NULL, NULL, NULL, NULL, 43,
                NULL, NULL, 1, 2, 10, 0, NULL, NULL, NULL),
            ('ended', '', 'k2', '', 'localhost:9090', '', 'dr-2', 'jupyter', '{}', '{}', NULL, NULL, NULL, NULL, 42,
                NULL, NULL, 1, 2, 70, 1, 'It ended.', 'exited', 9);
        INSERT INTO held_key (namespace, name, backend) VALUES ('n', 'k1', 'live'), ('', 'k2', 'scheduled');
        UPDATE sequence SET value = 50 WHERE name = 'fencing';
        INSERT INTO token (token, backend, user, auth, secret, expires_ms) VALUES
            ('AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE', 'live', 'ada', '{"a":1}', 'secret', 5000);
        INSERT INTO history (number, backend, time_ms, status) VALUES (7, 'live', 1, 10), (9, 'live', 2, 50);
        INSERT INTO history (number, backend, time_ms, status) VALUES (30, 'ended', 2, 70);
        DELETE FROM history WHERE number = 30;
        """

    @Test("A database of version 2 keeps its backends, keys, tokens, history and sequence")
    func fromSecondVersion() throws {
        try make(2, Self.secondVersion)
        let store = try open()
        let live = try #require(try holder(of: "k1", namespace: "n", in: store))
        #expect(live.id == id("live") && live.fencingToken.value == 41)
        #expect(live.spec.executable.environment == ["A": "b"] && live.spec.executable.limits.memoryBytes == 5)
        #expect(live.spec.staticToken?.text == "s.abc" && live.spec.subdomain == "sub")
        #expect(live.spec.lifetimeLimitSeconds == 7 && live.spec.maxIdleSeconds == 8 && live.spec.promise == .zero)
        #expect(live.desiredEnd == DesiredEnd(kind: .soft, reason: .swept))
        #expect(live.createdMilliseconds == 1 && live.changedMilliseconds == 2 && live.connects == 3)
        #expect(live.state == BackendState(.ready))
        #expect(try holder(of: "k2", in: store)?.id == id("scheduled"))
        let ended = try #require(try backend("ended", in: store))
        #expect(ended.state.message == "It ended." && ended.state.endReason == .exited)
        #expect(ended.state.usage == BackendUsage(cpuMicroseconds: 9, memoryPeakBytes: nil))
        let row = TokenRow(
            token: token(1), backend: id("live"), user: "ada", auth: #"{"a":1}"#, secret: "secret",
            expiresMilliseconds: 5000)
        #expect(try store.run { try $0.route(token(1)) } == .dynamic(row, live))
        #expect(try store.run { try $0.history(of: id("live"), after: 0) }.map(\.number) == [7, 9])
        // Numbers go on where they were, also beyond what was deleted.
        try greet("dr-2", in: store)
        let next = try place(spec("next", key: "k3", drone: "dr-2"), in: store)
        #expect(next.fencingToken.value == 51)
        #expect(try store.run { try $0.history(of: id("next"), after: 0) }.first.map { $0.number > 30 } == true)
    }

    @Test("What ran under version 2 keeps its drone's session until that is concluded, whichever machine comes")
    func sessionsOfSecondVersion() throws {
        try make(2, Self.secondVersion)
        let store = try open()
        let (busy, idle) = (try drone("dr-1", in: store), try drone("dr-2", in: store))
        #expect(busy.backendCount == 2 && busy.willingness == .draining(endAtMilliseconds: nil))
        #expect(busy.greeting.pool == "gpu" && busy.seenMilliseconds == 5 && busy.promised == .zero)
        let session = try #require(busy.session)
        #expect(busy.greeting.machine.text == "unknown-before-sessions")
        #expect(try store.run { try $0.liveBackends(on: busy.name) }.allSatisfy { $0.session == session })
        #expect(idle.session == nil && idle.backendCount == 0 && idle.willingness == .accepting)
        // Nothing is placed under it, but by the number; and it can be concluded as any other.
        #expect(try store.run { try $0.endSession(of: busy.name, session, renewals: busy.renewals) })
        let begun = try #require(try greet("dr-1", in: store).session)
        #expect(begun > session)
        let other = try #require(try greet("dr-2", in: store).session)
        #expect(other > begun)
        for name in ["live", "scheduled"] { try record(BackendState(.terminated), of: name, in: store) }
        #expect(try drone("dr-1", in: store).backendCount == 0)
    }
}

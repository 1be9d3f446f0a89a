/// The tables and how a database of an older Plane becomes one of this.
enum SQLiteSchema {
    /// The step that makes version n is at n - 1. A step that was released is never changed; a new one is added.
    private static let steps: [StaticString] = [first, second, third]

    /// The version this program writes.
    static var version: Int64 { Int64(steps.count) }

    /// Takes the missing steps within one immediate transaction, so that two programs that start together take each
    /// once. Refuses a database of a newer program: it may mean something by its tables that we would break. Refuses one
    /// whose tables are not those of its version, too: each statement on them would fail, or read the wrong column.
    ///
    /// - Parameter wanted: the version to make; an older one than this program's only to prove the way from it.
    static func migrate(_ connection: SQLiteConnection, to wanted: Int64 = version) throws(StoreError) {
        try connection.run("BEGIN IMMEDIATE")
        do throws(StoreError) {
            let found = try connection.integer("PRAGMA user_version") ?? 0
            guard found >= 0 else { throw otherTables(found) }
            if found > version {
                throw StoreError(
                    .newerSchema,
                    message: "the database has schema version \(found) and this program knows up to \(version). "
                        + "Start the newer Plane that wrote it, or give another --db")
            }
            guard try layout(of: connection) == expectedLayout(found) else { throw otherTables(found) }
            for number in found..<max(found, wanted) {
                try connection.script(steps[Int(number)])
                try connection.script(marks[Int(number)])
            }
            try connection.run("COMMIT")
        } catch {
            if connection.isInTransaction { try? connection.run("ROLLBACK") }
            throw error
        }
    }

    /// What a database at a version must look like: what the steps up to it make of an empty one.
    private static func expectedLayout(_ version: Int64) throws(StoreError) -> String {
        let scratch = try SQLiteConnection(inMemory: ())
        for step in steps[..<Int(version)] { try scratch.script(step) }
        return try layout(of: scratch)
    }

    /// The statements that made the tables and indexes, which SQLite keeps as they were written; without its own tables,
    /// such as those of ANALYZE. sqlite.org/schematab.html
    private static func layout(of connection: SQLiteConnection) throws(StoreError) -> String {
        try connection.text(
            """
            SELECT coalesce(group_concat(sql, ';'), '') FROM (
                SELECT sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY type, name)
            """) ?? ""
    }

    private static func otherTables(_ version: Int64) -> StoreError {
        StoreError(
            .otherSchema,
            message:
                "the database says that it has schema version \(version), but its tables are not that version's: an "
                + "unreleased Plane or another program made them. Move the file away, or give another --db")
    }

    /// What says that a step was taken, for each step; a pragma takes no parameter.
    private static let marks: [StaticString] = [
        "PRAGMA user_version = 1", "PRAGMA user_version = 2", "PRAGMA user_version = 3",
    ]

    /// Statuses are kept by their order, so that "further" in SQL is the model's "further"; 70 is terminated.
    private static let first: StaticString = """
        CREATE TABLE sequence (
            name TEXT PRIMARY KEY NOT NULL,
            value INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        INSERT INTO sequence (name, value) VALUES ('fencing', 0);

        CREATE TABLE drone (
            name TEXT PRIMARY KEY NOT NULL,
            cluster TEXT NOT NULL,
            pool TEXT NOT NULL,
            version TEXT NOT NULL,
            session TEXT NOT NULL,
            images TEXT NOT NULL,
            willingness INTEGER NOT NULL DEFAULT 0 CHECK (willingness IN (0, 1)),
            backend_count INTEGER NOT NULL DEFAULT 0 CHECK (backend_count >= 0),
            seen_ms INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE backend (
            id TEXT PRIMARY KEY NOT NULL,
            key_namespace TEXT NOT NULL,
            key_name TEXT NOT NULL,
            key_tag TEXT NOT NULL,
            cluster TEXT NOT NULL,
            pool TEXT NOT NULL,
            drone TEXT NOT NULL REFERENCES drone (name),
            image TEXT NOT NULL,
            environment TEXT NOT NULL,
            limits TEXT NOT NULL,
            static_token TEXT UNIQUE,
            subdomain TEXT,
            lifetime_limit_seconds INTEGER,
            max_idle_seconds INTEGER,
            fencing_token INTEGER NOT NULL UNIQUE,
            desired_kind TEXT,
            desired_reason TEXT,
            created_ms INTEGER NOT NULL,
            changed_ms INTEGER NOT NULL,
            status INTEGER NOT NULL,
            reason TEXT,
            kind TEXT,
            exit_code INTEGER,
            exit_signal INTEGER,
            out_of_memory INTEGER,
            message TEXT,
            connects INTEGER NOT NULL DEFAULT 0
        ) STRICT;
        CREATE INDEX backend_live ON backend (drone, id) WHERE status < 70;
        CREATE INDEX backend_of_drone ON backend (drone);
        CREATE INDEX backend_ended ON backend (changed_ms) WHERE status = 70;

        CREATE TABLE held_key (
            namespace TEXT NOT NULL,
            name TEXT NOT NULL,
            backend TEXT NOT NULL UNIQUE REFERENCES backend (id),
            PRIMARY KEY (namespace, name)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE token (
            token TEXT PRIMARY KEY NOT NULL,
            backend TEXT NOT NULL REFERENCES backend (id) ON DELETE CASCADE,
            user TEXT,
            auth TEXT NOT NULL,
            secret TEXT NOT NULL,
            expires_ms INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX token_of_backend ON token (backend);
        CREATE INDEX token_by_expiry ON token (expires_ms);

        CREATE TABLE history (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            backend TEXT NOT NULL REFERENCES backend (id) ON DELETE CASCADE,
            time_ms INTEGER NOT NULL,
            status INTEGER NOT NULL,
            reason TEXT,
            kind TEXT,
            exit_code INTEGER,
            exit_signal INTEGER,
            out_of_memory INTEGER,
            message TEXT
        ) STRICT;
        CREATE INDEX history_of_backend ON history (backend, number);
        """

    /// Why a backend ended, with the ends that `reason` has no value for, and what it used. Of what ended before, the
    /// reason follows from what was kept.
    private static let second: StaticString = """
        ALTER TABLE backend ADD COLUMN end_reason TEXT;
        ALTER TABLE backend ADD COLUMN cpu_microseconds INTEGER;
        ALTER TABLE backend ADD COLUMN memory_peak_bytes INTEGER;
        ALTER TABLE history ADD COLUMN end_reason TEXT;
        ALTER TABLE history ADD COLUMN cpu_microseconds INTEGER;
        ALTER TABLE history ADD COLUMN memory_peak_bytes INTEGER;
        UPDATE backend SET end_reason = CASE
            WHEN reason = 'keyexpired' THEN 'lease-expired'
            WHEN reason = 'startuptimeout' THEN 'startup-timeout'
            WHEN reason = 'internalerror' THEN 'internal-error'
            WHEN reason IS NOT NULL THEN reason
            WHEN out_of_memory = 1 THEN 'out-of-memory'
            WHEN exit_signal IS NOT NULL THEN 'signaled'
            WHEN exit_code IS NOT NULL THEN 'exited' END;
        UPDATE history SET end_reason = CASE
            WHEN reason = 'keyexpired' THEN 'lease-expired'
            WHEN reason = 'startuptimeout' THEN 'startup-timeout'
            WHEN reason = 'internalerror' THEN 'internal-error'
            WHEN reason IS NOT NULL THEN reason
            WHEN out_of_memory = 1 THEN 'out-of-memory'
            WHEN exit_signal IS NOT NULL THEN 'signaled'
            WHEN exit_code IS NOT NULL THEN 'exited' END;
        """
}

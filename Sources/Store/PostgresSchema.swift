/// The tables of PostgreSQL, in a schema of their own, and how those of an older Plane become those of this.
///
/// They mean what SQLite's mean, with two differences. What a drone says of itself (`drone`) is apart from what changes
/// with every order and renewal (`drone_lease`), as PostgreSQL writes a row anew when any of it changes. And sums of
/// promises are `numeric`, which has no most.
///
/// Texts are compared by their bytes (`COLLATE "C"`), so that order and pages are the same in every database.
enum PostgresSchema {
    /// The step that makes version n is at n - 1. A step that was released is never changed; a new one is added.
    private static let steps: [[String]] = [first]

    /// The version this program writes.
    static var version: Int64 { Int64(steps.count) }

    /// Takes the missing steps in one transaction, behind the lock that every transaction of Plane takes first: of two
    /// programs that start together each step is taken by one. Refuses a database of a newer program, and one whose steps
    /// were not these.
    ///
    /// - Parameter wanted: the version to make.
    static func migrate(_ connection: PostgresConnection, to wanted: Int64 = version) throws(StoreError) {
        connection.queue("BEGIN")
        do throws(StoreError) {
            _ = try connection.run(PostgresTransaction.lock)
            try takeSteps(connection, to: wanted)
            _ = try connection.run("COMMIT")
        } catch {
            // It fails only when the connection is gone, and the transaction with it.
            _ = try? connection.run("ROLLBACK")
            throw error
        }
    }

    private static func takeSteps(_ connection: PostgresConnection, to wanted: Int64) throws(StoreError) {
        // CREATE SCHEMA IF NOT EXISTS would ask for the right to make one even when it is there.
        if try connection.run("SELECT FROM pg_namespace WHERE nspname = 'plane'").rows.isEmpty {
            _ = try connection.run("CREATE SCHEMA plane")
        }
        _ = try connection.run(
            "CREATE TABLE IF NOT EXISTS migration (version bigint PRIMARY KEY, digest text NOT NULL)")
        let taken = try check(connection)
        for number in taken..<max(taken, wanted) {
            let step = steps[Int(number)]
            for statement in step.dropLast() { connection.queue(statement) }
            _ = try connection.run(step.last ?? "SELECT")
            _ = try connection.run(
                "INSERT INTO migration (version, digest) VALUES ($1, md5($2))",
                [.integer(number + 1), .text(step.joined())])
        }
    }

    /// Compares the steps that were taken with this program's. - Returns: how many there were.
    private static func check(_ connection: PostgresConnection) throws(StoreError) -> Int64 {
        let taken = try connection.run("SELECT version, digest FROM migration ORDER BY version")
        for row in taken.rows {
            let found = taken.integer(row, 0) ?? 0
            if found > version { throw newer(found) }
            let same = try connection.run(
                "SELECT md5($1) = $2", [.text(steps[Int(row)].joined()), .text(taken.text(row, 1))])
            guard found == Int64(row) + 1, same.bool(0, 0) else { throw otherTables(found) }
        }
        return Int64(taken.rows.count)
    }

    /// Throws if a newer program has changed the tables since this one looked.
    static func refuseNewer(_ connection: PostgresConnection) throws(StoreError) {
        let found = try connection.run("SELECT coalesce(max(version), 0) FROM migration").integer(0, 0) ?? 0
        if found > version { throw newer(found) }
    }

    private static func newer(_ found: Int64) -> StoreError {
        StoreError(
            .newerSchema,
            message: "the database has schema version \(found) and this program knows up to \(version). "
                + "Start the newer Plane that wrote it, or give another --db")
    }

    private static func otherTables(_ version: Int64) -> StoreError {
        StoreError(
            .otherSchema,
            message: "the database says that it has schema version \(version), but it was not made by that version's "
                + "steps: an unreleased Plane made it. Drop the schema plane, or give another --db")
    }

    /// Statuses are kept by their order, so that "further" in SQL is the model's "further"; 70 is terminated.
    ///
    /// The one row of `sequence` is written in the transaction that uses its values, unlike PostgreSQL's own sequences:
    /// what copies the rows of a database cannot leave it behind.
    private static let first: [String] = [
        """
        CREATE TABLE sequence (
            one boolean PRIMARY KEY CHECK (one),
            fencing bigint NOT NULL,
            session bigint NOT NULL,
            line bigint NOT NULL
        )
        """,
        "INSERT INTO sequence (one, fencing, session, line) VALUES (true, 0, 0, 0)",
        """
        CREATE TABLE controller (
            name text COLLATE "C" PRIMARY KEY,
            version text NOT NULL,
            beats bigint NOT NULL,
            seen_ms bigint NOT NULL
        )
        """,
        """
        CREATE TABLE drone (
            name text COLLATE "C" PRIMARY KEY,
            cluster text COLLATE "C" NOT NULL,
            pool text NOT NULL,
            version text NOT NULL,
            process text NOT NULL,
            machine text NOT NULL,
            capacity_memory_bytes bigint NOT NULL,
            capacity_cpu_millis bigint NOT NULL,
            images text NOT NULL
        )
        """,
        // Half of each page is left for the next versions of its rows, which then need no new entry in the index.
        """
        CREATE TABLE drone_lease (
            drone text COLLATE "C" PRIMARY KEY REFERENCES drone (name) ON DELETE CASCADE,
            session bigint,
            renewals bigint NOT NULL,
            controller text COLLATE "C",
            revision bigint NOT NULL,
            draining boolean NOT NULL DEFAULT false,
            end_at_ms bigint,
            backend_count bigint NOT NULL DEFAULT 0 CHECK (backend_count >= 0),
            promised_memory_bytes numeric NOT NULL DEFAULT 0 CHECK (promised_memory_bytes >= 0),
            promised_cpu_millis numeric NOT NULL DEFAULT 0 CHECK (promised_cpu_millis >= 0),
            lease_ms bigint NOT NULL,
            seen_ms bigint NOT NULL
        ) WITH (fillfactor = 50)
        """,
        """
        CREATE TABLE backend (
            fencing_token bigint PRIMARY KEY,
            id text COLLATE "C" NOT NULL UNIQUE,
            key_namespace text COLLATE "C" NOT NULL,
            key_name text COLLATE "C" NOT NULL,
            key_tag text NOT NULL,
            cluster text NOT NULL,
            pool text NOT NULL,
            drone text COLLATE "C" NOT NULL REFERENCES drone (name),
            image text NOT NULL,
            environment text NOT NULL,
            limits text NOT NULL,
            static_token text COLLATE "C",
            subdomain text,
            lifetime_limit_seconds bigint,
            max_idle_seconds bigint,
            promise_memory_bytes bigint NOT NULL,
            promise_cpu_millis bigint NOT NULL,
            session bigint NOT NULL,
            created_ms bigint NOT NULL,
            revision bigint NOT NULL,
            desired_kind text,
            desired_reason text,
            changed_ms bigint NOT NULL,
            status smallint NOT NULL,
            reason text,
            kind text,
            exit_code integer,
            exit_signal integer,
            out_of_memory boolean,
            message text,
            end_reason text,
            cpu_microseconds bigint,
            memory_peak_bytes bigint,
            connects bigint NOT NULL
        ) WITH (fillfactor = 80)
        """,
        // That a key is held by one live backend.
        "CREATE UNIQUE INDEX backend_of_key ON backend (key_namespace, key_name) WHERE status < 70",
        "CREATE UNIQUE INDEX backend_of_static_token ON backend (static_token) WHERE static_token IS NOT NULL",
        "CREATE INDEX backend_live ON backend (drone, revision) WHERE status < 70",
        "CREATE INDEX backend_of_drone ON backend (drone)",
        "CREATE INDEX backend_ended ON backend (changed_ms, fencing_token) WHERE status = 70",
        """
        CREATE TABLE token (
            token text COLLATE "C" PRIMARY KEY,
            backend bigint NOT NULL REFERENCES backend (fencing_token) ON DELETE CASCADE,
            user_name text,
            auth text NOT NULL,
            secret text NOT NULL,
            expires_ms bigint NOT NULL,
            revoked_for text COLLATE "C",
            revoked_at bigint
        )
        """,
        "CREATE INDEX token_of_backend ON token (backend)",
        "CREATE INDEX token_by_expiry ON token (expires_ms, token)",
        "CREATE INDEX token_revoked ON token (revoked_for, revoked_at) WHERE revoked_at IS NOT NULL",
        """
        CREATE TABLE history (
            backend bigint NOT NULL REFERENCES backend (fencing_token) ON DELETE CASCADE,
            number bigint NOT NULL,
            time_ms bigint NOT NULL,
            status smallint NOT NULL,
            reason text,
            kind text,
            exit_code integer,
            exit_signal integer,
            out_of_memory boolean,
            message text,
            end_reason text,
            cpu_microseconds bigint,
            memory_peak_bytes bigint,
            PRIMARY KEY (backend, number)
        )
        """,
    ]
}

extension SQLiteSchema {
    /// Sessions, orders by revision, promises and controllers. All tables are made anew, so that a backend's fencing token
    /// is its row's number: rows lie in the order in which they were made, whoever refers to one does so by a small
    /// number, and most of what one commit writes lies on few pages.
    ///
    /// What each connect writes lies apart from what it does not: `connect_count` has a few bytes for each backend, so the
    /// counts of hundreds of them share a page.
    ///
    /// `live` says of a status whether it is not terminated. Indexes of live backends depend on it alone, so that a state
    /// which changes, four times in each life, writes none of them.
    ///
    /// That a key is held by one live backend is the unique index `backend_of_key`, which holds live backends only.
    ///
    /// **What an older Plane knew is kept so that no two machines can overlap.** It did not store whose sandboxes a drone
    /// spoke for. A drone that had live backends therefore gets a session that is held by a machine which nobody is
    /// (`unknown-before-sessions`): the hello of any machine waits until that session is over, a full lease from the
    /// controller's start, within which every sandbox of the older Plane has reached its deadline. A drone that had none
    /// gets no session, and its next hello begins one at once. Its images and its capacity come with that hello.
    static let third: StaticString = """
        CREATE TABLE sequence_3 (
            one INTEGER PRIMARY KEY NOT NULL CHECK (one = 1),
            fencing INTEGER NOT NULL,
            session INTEGER NOT NULL,
            line INTEGER NOT NULL
        ) STRICT;

        CREATE TABLE controller (
            name TEXT PRIMARY KEY NOT NULL,
            version TEXT NOT NULL,
            beats INTEGER NOT NULL,
            seen_ms INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE drone_3 (
            name TEXT PRIMARY KEY NOT NULL,
            cluster TEXT NOT NULL,
            pool TEXT NOT NULL,
            version TEXT NOT NULL,
            process TEXT NOT NULL,
            machine TEXT NOT NULL,
            capacity_memory_bytes INTEGER NOT NULL,
            capacity_cpu_millis INTEGER NOT NULL,
            session INTEGER UNIQUE,
            renewals INTEGER NOT NULL,
            controller TEXT,
            revision INTEGER NOT NULL,
            draining INTEGER NOT NULL DEFAULT 0 CHECK (draining IN (0, 1)),
            end_at_ms INTEGER,
            backend_count INTEGER NOT NULL DEFAULT 0 CHECK (backend_count >= 0),
            promised_memory_bytes INTEGER NOT NULL DEFAULT 0 CHECK (promised_memory_bytes >= 0),
            promised_cpu_millis INTEGER NOT NULL DEFAULT 0 CHECK (promised_cpu_millis >= 0),
            seen_ms INTEGER NOT NULL,
            lease_ms INTEGER NOT NULL DEFAULT 0
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE drone_images (
            drone TEXT PRIMARY KEY NOT NULL REFERENCES drone_3 (name) ON DELETE CASCADE,
            images TEXT NOT NULL
        ) STRICT;

        CREATE TABLE backend_3 (
            fencing_token INTEGER PRIMARY KEY NOT NULL,
            id TEXT NOT NULL UNIQUE,
            key_namespace TEXT NOT NULL,
            key_name TEXT NOT NULL,
            key_tag TEXT NOT NULL,
            cluster TEXT NOT NULL,
            pool TEXT NOT NULL,
            drone TEXT NOT NULL REFERENCES drone_3 (name),
            image TEXT NOT NULL,
            environment TEXT NOT NULL,
            limits TEXT NOT NULL,
            static_token TEXT,
            subdomain TEXT,
            lifetime_limit_seconds INTEGER,
            max_idle_seconds INTEGER,
            promise_memory_bytes INTEGER NOT NULL,
            promise_cpu_millis INTEGER NOT NULL,
            session INTEGER NOT NULL,
            created_ms INTEGER NOT NULL,
            revision INTEGER NOT NULL,
            desired_kind TEXT,
            desired_reason TEXT,
            changed_ms INTEGER NOT NULL,
            status INTEGER NOT NULL,
            reason TEXT,
            kind TEXT,
            exit_code INTEGER,
            exit_signal INTEGER,
            out_of_memory INTEGER,
            message TEXT,
            end_reason TEXT,
            cpu_microseconds INTEGER,
            memory_peak_bytes INTEGER,
            live INTEGER CHECK (live IS iif(status < 70, 1, NULL))
        ) STRICT;

        CREATE TABLE connect_count (
            backend INTEGER PRIMARY KEY NOT NULL REFERENCES backend_3 (fencing_token) ON DELETE CASCADE,
            connects INTEGER NOT NULL
        ) STRICT;

        CREATE TABLE token_3 (
            number INTEGER PRIMARY KEY NOT NULL,
            token TEXT NOT NULL,
            backend INTEGER NOT NULL REFERENCES backend_3 (fencing_token) ON DELETE CASCADE,
            user TEXT,
            auth TEXT NOT NULL,
            secret TEXT NOT NULL,
            expires_ms INTEGER NOT NULL,
            revoked_for TEXT,
            revoked_at INTEGER
        ) STRICT;

        CREATE TABLE history_3 (
            backend INTEGER NOT NULL REFERENCES backend_3 (fencing_token) ON DELETE CASCADE,
            number INTEGER NOT NULL,
            time_ms INTEGER NOT NULL,
            status INTEGER NOT NULL,
            reason TEXT,
            kind TEXT,
            exit_code INTEGER,
            exit_signal INTEGER,
            out_of_memory INTEGER,
            message TEXT,
            end_reason TEXT,
            cpu_microseconds INTEGER,
            memory_peak_bytes INTEGER,
            PRIMARY KEY (backend, number)
        ) STRICT, WITHOUT ROWID;

        INSERT INTO sequence_3 (one, fencing, session, line) SELECT 1,
            (SELECT value FROM sequence WHERE name = 'fencing'), (SELECT count(*) FROM drone),
            max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'history'), 0),
                coalesce((SELECT max(number) FROM history), 0));
        INSERT INTO drone_3 (name, cluster, pool, version, process, machine, capacity_memory_bytes, capacity_cpu_millis,
                session, renewals, revision, draining, backend_count, seen_ms)
            SELECT name, cluster, pool, version, session, 'unknown-before-sessions', 0, 0,
                CASE WHEN EXISTS (SELECT 1 FROM backend WHERE backend.drone = drone.name AND status < 70)
                    THEN row_number() OVER (ORDER BY name) END,
                1, 1, willingness,
                (SELECT count(*) FROM backend WHERE backend.drone = drone.name AND status < 70), seen_ms
            FROM drone;
        INSERT INTO drone_images (drone, images) SELECT name, '[]' FROM drone;
        INSERT INTO backend_3
            SELECT fencing_token, id, key_namespace, key_name, key_tag, cluster, pool, drone, image, environment, limits,
                static_token, subdomain, lifetime_limit_seconds, max_idle_seconds, 0, 0,
                (SELECT count(*) FROM drone WHERE drone.name <= backend.drone), created_ms, 1, desired_kind,
                desired_reason, changed_ms, status, reason, kind, exit_code, exit_signal, out_of_memory, message,
                end_reason, cpu_microseconds, memory_peak_bytes, iif(status < 70, 1, NULL)
            FROM backend ORDER BY fencing_token;
        INSERT INTO connect_count SELECT fencing_token, connects FROM backend WHERE connects > 0 ORDER BY fencing_token;
        INSERT INTO token_3
            SELECT NULL, token, (SELECT fencing_token FROM backend WHERE id = token.backend), user, auth, secret, expires_ms,
                NULL, NULL
            FROM token ORDER BY expires_ms;
        INSERT INTO history_3
            SELECT (SELECT fencing_token FROM backend WHERE id = history.backend), number, time_ms, status, reason, kind,
                exit_code, exit_signal, out_of_memory, message, end_reason, cpu_microseconds, memory_peak_bytes
            FROM history;

        DROP TABLE history;
        DROP TABLE token;
        DROP TABLE held_key;
        DROP TABLE backend;
        DROP TABLE drone;
        DROP TABLE sequence;
        ALTER TABLE sequence_3 RENAME TO sequence;
        ALTER TABLE drone_3 RENAME TO drone;
        ALTER TABLE backend_3 RENAME TO backend;
        ALTER TABLE token_3 RENAME TO token;
        ALTER TABLE history_3 RENAME TO history;

        CREATE UNIQUE INDEX backend_of_key ON backend (key_namespace, key_name) WHERE live = 1;
        CREATE UNIQUE INDEX backend_of_static_token ON backend (static_token) WHERE static_token IS NOT NULL;
        CREATE INDEX backend_live ON backend (id) WHERE live = 1;
        CREATE INDEX backend_orders ON backend (drone, revision) WHERE live = 1;
        CREATE INDEX backend_of_drone ON backend (drone);
        CREATE INDEX backend_ended ON backend (changed_ms) WHERE live IS NULL;
        CREATE UNIQUE INDEX token_by_text ON token (token);
        CREATE INDEX token_of_backend ON token (backend);
        CREATE INDEX token_by_expiry ON token (expires_ms);
        CREATE INDEX token_revoked ON token (revoked_for, revoked_at) WHERE revoked_at IS NOT NULL;

        CREATE VIEW backend_row AS
            SELECT b.*, coalesce(c.connects, 0) AS connects
            FROM backend b LEFT JOIN connect_count c ON c.backend = b.fencing_token;
        """
}

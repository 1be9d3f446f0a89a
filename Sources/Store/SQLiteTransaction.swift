internal import Model

/// The steps of a transaction as SQL.
final class SQLiteTransaction: StoreTransaction {
    private let connection: SQLiteConnection
    let nowMilliseconds: Int64

    init(_ connection: SQLiteConnection, nowMilliseconds: Int64) {
        self.connection = connection
        self.nowMilliseconds = nowMilliseconds
    }

    // MARK: Keys and backends

    func holder(namespace: String, name: String) throws(StoreError) -> BackendRow? {
        var statement = try connection.statement(
            """
            SELECT b.* FROM held_key k JOIN backend b ON b.id = k.backend WHERE k.namespace = ? AND k.name = ?
            """)
        try statement.bind(namespace)
        try statement.bind(name)
        return try statement.step() ? try statement.backendRow() : nil
    }

    func backend(_ id: BackendID) throws(StoreError) -> BackendRow? {
        var statement = try connection.statement("SELECT * FROM backend WHERE id = ?")
        try statement.bind(id.text)
        return try statement.step() ? try statement.backendRow() : nil
    }

    func insert(_ spec: BackendSpec) throws(StoreError) -> BackendRow {
        let row = BackendRow(
            spec: spec, fencingToken: try nextFencingToken(), state: BackendState(.scheduled), desiredEnd: nil,
            createdMilliseconds: nowMilliseconds, changedMilliseconds: nowMilliseconds)
        try insertRow(row)
        try holdKey(spec)
        try changeBackendCount(of: spec.drone, by: 1)
        _ = try appendHistory(row.state, of: spec.id)
        return row
    }

    /// The sequence's row is written in the transaction that uses its value: a value that was ever committed to a
    /// backend can never be given again.
    private func nextFencingToken() throws(StoreError) -> FencingToken {
        var statement = try connection.statement(
            "UPDATE sequence SET value = value + 1 WHERE name = 'fencing' RETURNING value")
        guard try statement.step(), let value = statement.integer(0) else {
            throw StoreError(.corrupt, message: "the fencing sequence is missing from the database")
        }
        // RETURNING is complete only when the statement is.
        try statement.run()
        return FencingToken(value)
    }

    private func insertRow(_ row: BackendRow) throws(StoreError) {
        var statement = try connection.statement(
            """
            INSERT INTO backend (
                id, key_namespace, key_name, key_tag, cluster, pool, drone, image, environment, limits, static_token,
                subdomain, lifetime_limit_seconds, max_idle_seconds, fencing_token, created_ms, changed_ms, status
            ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """)
        let spec = row.spec
        for text in [
            spec.id.text, spec.key.namespace, spec.key.name, spec.key.tag, spec.cluster.text, spec.pool,
            spec.drone.text, spec.executable.image.text,
            JSONValue.object(spec.executable.environment.mapValues(JSONValue.string)).text,
            spec.executable.limits.json.text,
        ] {
            try statement.bind(text)
        }
        try statement.bind(spec.staticToken?.text)
        try statement.bind(spec.subdomain)
        try statement.bind(spec.lifetimeLimitSeconds)
        try statement.bind(spec.maxIdleSeconds)
        try statement.bind(row.fencingToken.value)
        try statement.bind(row.createdMilliseconds)
        try statement.bind(row.changedMilliseconds)
        try statement.bind(Int64(row.state.status.order))
        try statement.run()
    }

    private func holdKey(_ spec: BackendSpec) throws(StoreError) {
        var statement = try connection.statement("INSERT INTO held_key (namespace, name, backend) VALUES (?, ?, ?)")
        try statement.bind(spec.key.namespace)
        try statement.bind(spec.key.name)
        try statement.bind(spec.id.text)
        try statement.run()
    }

    private func changeBackendCount(of drone: DroneName, by difference: Int64) throws(StoreError) {
        var statement = try connection.statement("UPDATE drone SET backend_count = backend_count + ? WHERE name = ?")
        try statement.bind(difference)
        try statement.bind(drone.text)
        try statement.run()
    }

    func record(_ state: BackendState, of id: BackendID) throws(StoreError) -> Recording {
        guard let before = try backend(id) else { return .unknownBackend }
        guard before.state.status < state.status else { return .stale(before.state.status) }
        var statement = try connection.statement(
            """
            UPDATE backend SET changed_ms = ?, status = ?, reason = ?, kind = ?, exit_code = ?, exit_signal = ?,
                out_of_memory = ?, message = ?, end_reason = ?, cpu_microseconds = ?, memory_peak_bytes = ? WHERE id = ?
            """)
        try statement.bind(nowMilliseconds)
        try statement.bind(state)
        try statement.bind(id.text)
        try statement.run()
        if state.status == .terminated {
            try freeKey(of: id)
            try changeBackendCount(of: before.spec.drone, by: -1)
        }
        return .recorded(try appendHistory(state, of: id))
    }

    private func freeKey(of id: BackendID) throws(StoreError) {
        var statement = try connection.statement("DELETE FROM held_key WHERE backend = ?")
        try statement.bind(id.text)
        try statement.run()
    }

    private func appendHistory(_ state: BackendState, of id: BackendID) throws(StoreError) -> HistoryRow {
        var statement = try connection.statement(
            """
            INSERT INTO history (
                backend, time_ms, status, reason, kind, exit_code, exit_signal, out_of_memory, message, end_reason,
                cpu_microseconds, memory_peak_bytes)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING number
            """)
        try statement.bind(id.text)
        try statement.bind(nowMilliseconds)
        try statement.bind(state)
        guard try statement.step(), let number = statement.integer(0) else {
            throw StoreError(.corrupt, message: "a line of history was not written")
        }
        try statement.run()
        return HistoryRow(number: number, state: state, milliseconds: nowMilliseconds)
    }

    func countConnect(of id: BackendID) throws(StoreError) -> Int64 {
        var statement = try connection.statement(
            "UPDATE backend SET connects = connects + 1 WHERE id = ? RETURNING connects")
        try statement.bind(id.text)
        let count = try statement.step() ? statement.integer(0) ?? 0 : 0
        // RETURNING is complete only when the statement is.
        if count > 0 { try statement.run() }
        return count
    }

    func requestEnd(of id: BackendID, _ end: DesiredEnd) throws(StoreError) -> EndRequest {
        guard var row = try backend(id) else { return .unknownBackend }
        if row.state.status == .terminated { return .alreadyTerminated }
        // The first reason stays: it is why the backend ends. Only the kind may become stronger.
        switch (row.desiredEnd?.kind, end.kind) {
        case (nil, _): row.desiredEnd = end
        case (.soft, .hard): row.desiredEnd?.kind = .hard
        case (.soft, .soft), (.hard, _): return .requested(row)
        }
        var statement = try connection.statement(
            "UPDATE backend SET desired_kind = ?, desired_reason = ? WHERE id = ?")
        try statement.bind(row.desiredEnd?.kind.rawValue)
        try statement.bind(row.desiredEnd?.reason.rawValue)
        try statement.bind(id.text)
        try statement.run()
        return .requested(row)
    }

    func liveBackends(on drone: DroneName) throws(StoreError) -> [BackendRow] {
        var statement = try connection.statement(
            "SELECT * FROM backend WHERE drone = ? AND status < 70 ORDER BY id")
        try statement.bind(drone.text)
        var rows: [BackendRow] = []
        while try statement.step() { rows.append(try statement.backendRow()) }
        return rows
    }

    func dronesWithLiveBackends() throws(StoreError) -> [DroneName] {
        var statement = try connection.statement("SELECT name FROM drone WHERE backend_count > 0 ORDER BY name")
        var names: [DroneName] = []
        while try statement.step() {
            names.append(try stored { () throws(InvalidValue) in try DroneName(statement.text(0) ?? "") })
        }
        return names
    }

    func backends(_ which: BackendSelection, after id: BackendID?, limit: Int) throws(StoreError) -> [BackendRow] {
        let sql: StaticString =
            switch which {
            case .live: "SELECT * FROM backend WHERE id > ? AND status < 70 ORDER BY id LIMIT ?"
            case .all: "SELECT * FROM backend WHERE id > ? ORDER BY id LIMIT ?"
            }
        var statement = try connection.statement(sql)
        try statement.bind(id?.text ?? "")
        try statement.bind(Int64(limit))
        var rows: [BackendRow] = []
        while try statement.step() { rows.append(try statement.backendRow()) }
        return rows
    }

    func history(of id: BackendID, after number: Int64) throws(StoreError) -> [HistoryRow] {
        var statement = try connection.statement(
            """
            SELECT number, time_ms, status, reason, kind, exit_code, exit_signal, out_of_memory, message, end_reason,
                cpu_microseconds, memory_peak_bytes
            FROM history WHERE backend = ? AND number > ? ORDER BY number
            """)
        try statement.bind(id.text)
        try statement.bind(number)
        var rows: [HistoryRow] = []
        while try statement.step() {
            rows.append(
                HistoryRow(
                    number: statement.integer(0) ?? 0, state: try statement.state(from: 2, end: 9),
                    milliseconds: statement.integer(1) ?? 0))
        }
        return rows
    }

    // MARK: Tokens

    func insert(_ token: TokenRow) throws(StoreError) {
        var statement = try connection.statement(
            "INSERT INTO token (token, backend, user, auth, secret, expires_ms) VALUES (?, ?, ?, ?, ?, ?)")
        try statement.bind(token.token.text)
        try statement.bind(token.backend.text)
        try statement.bind(token.user)
        try statement.bind(token.auth)
        try statement.bind(token.secret)
        try statement.bind(token.expiresMilliseconds)
        try statement.run()
    }

    func route(_ token: BearerToken) throws(StoreError) -> Route? {
        switch token.kind {
        case .dynamic:
            guard let row = try tokenRow(token), let backend = try backend(row.backend) else { return nil }
            return .dynamic(row, backend)
        case .fixed:
            var statement = try connection.statement("SELECT * FROM backend WHERE static_token = ?")
            try statement.bind(token.text)
            return try statement.step() ? .fixed(token, try statement.backendRow()) : nil
        }
    }

    private func tokenRow(_ token: BearerToken) throws(StoreError) -> TokenRow? {
        var statement = try connection.statement(
            "SELECT backend, user, auth, secret, expires_ms FROM token WHERE token = ?")
        try statement.bind(token.text)
        guard try statement.step() else { return nil }
        let id = try stored { () throws(InvalidValue) in try BackendID(statement.text(0) ?? "") }
        return TokenRow(
            token: token, backend: id, user: statement.text(1), auth: statement.text(2) ?? "{}",
            secret: statement.text(3) ?? "", expiresMilliseconds: statement.integer(4) ?? 0)
    }

    // MARK: Drones

    func hello(_ drone: DroneRow) throws(StoreError) {
        var statement = try connection.statement(
            """
            INSERT INTO drone (name, cluster, pool, version, session, images, seen_ms) VALUES (?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (name) DO UPDATE SET cluster = excluded.cluster, pool = excluded.pool,
                version = excluded.version, session = excluded.session, images = excluded.images,
                seen_ms = excluded.seen_ms
            """)
        for text in [drone.name.text, drone.cluster.text, drone.pool, drone.version, drone.session] {
            try statement.bind(text)
        }
        // A space cannot stand in an image's name.
        try statement.bind(drone.images.map(\.text).sorted().joined(separator: " "))
        try statement.bind(nowMilliseconds)
        try statement.run()
    }

    func drones() throws(StoreError) -> [DroneRow] {
        var statement = try connection.statement(
            """
            SELECT name, cluster, pool, version, session, images, willingness, backend_count, seen_ms
            FROM drone ORDER BY name
            """)
        var rows: [DroneRow] = []
        while try statement.step() { rows.append(try statement.droneRow()) }
        return rows
    }

    func seen(_ drones: [DroneName]) throws(StoreError) {
        for drone in drones {
            var statement = try connection.statement("UPDATE drone SET seen_ms = ? WHERE name = ?")
            try statement.bind(nowMilliseconds)
            try statement.bind(drone.text)
            try statement.run()
        }
    }

    func backendCount(of drone: DroneName) throws(StoreError) -> Int64 {
        var statement = try connection.statement("SELECT backend_count FROM drone WHERE name = ?")
        try statement.bind(drone.text)
        return try statement.step() ? statement.integer(0) ?? 0 : 0
    }

    func set(_ willingness: Willingness, of drone: DroneName, in cluster: ClusterName) throws(StoreError) -> Bool? {
        var known = try connection.statement("SELECT willingness FROM drone WHERE name = ? AND cluster = ?")
        try known.bind(drone.text)
        try known.bind(cluster.text)
        guard try known.step() else { return nil }
        if known.integer(0) == willingness.rawValue { return false }
        var statement = try connection.statement("UPDATE drone SET willingness = ? WHERE name = ?")
        try statement.bind(willingness.rawValue)
        try statement.bind(drone.text)
        try statement.run()
        return true
    }

    // MARK: Cleaning up

    func deleteTokens(expiredBefore milliseconds: Int64, limit: Int) throws(StoreError) -> Int {
        var statement = try connection.statement(
            """
            DELETE FROM token WHERE token IN (
                SELECT token FROM token WHERE expires_ms < ? ORDER BY expires_ms LIMIT ?)
            """)
        try statement.bind(milliseconds)
        try statement.bind(Int64(limit))
        try statement.run()
        return connection.changes
    }

    func deleteBackends(terminatedBefore milliseconds: Int64, limit: Int) throws(StoreError) -> Int {
        var statement = try connection.statement(
            """
            DELETE FROM backend WHERE id IN (
                SELECT id FROM backend WHERE status = 70 AND changed_ms < ? ORDER BY changed_ms LIMIT ?)
            """)
        try statement.bind(milliseconds)
        try statement.bind(Int64(limit))
        try statement.run()
        return connection.changes
    }

    func deleteDrones(seenBefore milliseconds: Int64, limit: Int) throws(StoreError) -> Int {
        var statement = try connection.statement(
            """
            DELETE FROM drone WHERE name IN (
                SELECT name FROM drone WHERE seen_ms < ?
                    AND NOT EXISTS (SELECT 1 FROM backend WHERE backend.drone = drone.name) LIMIT ?)
            """)
        try statement.bind(milliseconds)
        try statement.bind(Int64(limit))
        try statement.run()
        return connection.changes
    }
}

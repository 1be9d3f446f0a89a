internal import Model

/// Keys and backends: what changes them.
extension SQLiteTransaction {
    func insert(_ spec: BackendSpec, under session: SessionNumber) throws(StoreError) -> BackendRow? {
        guard let revision = try place(spec, under: session) else { return nil }
        let (fencing, line) = try nextBackendNumbers()
        var spec = spec
        spec.promise = spec.promise.stored
        let row = BackendRow(
            spec: spec, fencingToken: FencingToken(fencing), session: session, revision: revision,
            state: BackendState(.scheduled), desiredEnd: nil, createdMilliseconds: nowMilliseconds,
            changedMilliseconds: nowMilliseconds)
        try insertRow(row)
        _ = try appendHistory(line, row.state, of: fencing)
        return row
    }

    /// Counts a backend for its drone, if that holds the session. - Returns: the drone's revision with it.
    private func place(_ spec: BackendSpec, under session: SessionNumber) throws(StoreError) -> Int64? {
        // Sums end at the most that a column holds: that sum stands for "that or more", see `free`.
        var statement = try connection.statement(
            """
            UPDATE drone SET revision = revision + 1, backend_count = backend_count + 1,
                promised_memory_bytes = min(promised_memory_bytes, 9223372036854775807 - ?1) + ?1,
                promised_cpu_millis = min(promised_cpu_millis, 9223372036854775807 - ?2) + ?2
            WHERE name = ?3 AND session = ?4 RETURNING revision
            """)
        try statement.bind(spec.promise)
        try statement.bind(spec.drone.text)
        try statement.bind(session.value)
        return try statement.onlyInteger()
    }

    /// The sequences' row is written in the transaction that uses its values: one that was ever committed to a backend can
    /// never be given again.
    private func nextBackendNumbers() throws(StoreError) -> (fencing: Int64, line: Int64) {
        var statement = try connection.statement(
            "UPDATE sequence SET fencing = fencing + 1, line = line + 1 RETURNING fencing, line")
        guard try statement.step(), let fencing = statement.integer(0), let line = statement.integer(1) else {
            throw Self.noSequence
        }
        // RETURNING is complete only when the statement is.
        try statement.run()
        return (fencing, line)
    }

    private func insertRow(_ row: BackendRow) throws(StoreError) {
        var statement = try connection.statement(
            """
            INSERT INTO backend (
                fencing_token, id, key_namespace, key_name, key_tag, cluster, pool, drone, image, environment, limits,
                static_token, subdomain, lifetime_limit_seconds, max_idle_seconds, promise_memory_bytes,
                promise_cpu_millis, session, created_ms, revision, changed_ms, status, live
            ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)
            """)
        let spec = row.spec
        try statement.bind(row.fencingToken.value)
        try statement.bind(spec.id.text)
        try statement.bind(spec.key.namespace)
        try statement.bind(spec.key.name)
        try statement.bind(spec.key.tag)
        try statement.bind(spec.cluster.text)
        try statement.bind(spec.pool)
        try statement.bind(spec.drone.text)
        try statement.bind(spec.executable.image.text)
        try statement.bind(StoredText.environment(spec.executable.environment))
        try statement.bind(StoredText.limits(spec.executable.limits))
        try statement.bind(spec.staticToken?.text)
        try statement.bind(spec.subdomain)
        try statement.bind(spec.lifetimeLimitSeconds)
        try statement.bind(spec.maxIdleSeconds)
        try statement.bind(spec.promise)
        try statement.bind(row.session.value)
        try statement.bind(row.createdMilliseconds)
        try statement.bind(row.revision)
        try statement.bind(row.changedMilliseconds)
        try statement.bind(Int64(row.state.status.order))
        try statement.run()
    }

    func record(
        _ state: BackendState, of id: BackendID, _ fencingToken: FencingToken
    ) throws(StoreError) -> Recording {
        guard let (drone, promise) = try advance(to: state, id, fencingToken) else {
            return try recorded(of: id, fencingToken).map { .stale($0) } ?? .unknownBackend
        }
        if state.status == .terminated { try free(promise, of: drone) }
        var statement = try connection.statement("UPDATE sequence SET line = line + 1 RETURNING line")
        guard let line = try statement.onlyInteger() else { throw Self.noSequence }
        return .recorded(try appendHistory(line, state, of: fencingToken.value))
    }

    /// Writes a state if it is further. With `terminated` the row leaves the indexes of live backends, of held keys too.
    /// - Returns: whose backend it is and its promise; nil when nothing was written.
    private func advance(
        to state: BackendState, _ id: BackendID, _ fencingToken: FencingToken
    ) throws(StoreError) -> (String, ResourceAmount)? {
        let sql: StaticString =
            switch state.status {
            case .terminated:
                """
                UPDATE backend SET live = NULL, changed_ms = ?, status = ?, reason = ?, kind = ?, exit_code = ?,
                    exit_signal = ?, out_of_memory = ?, message = ?, end_reason = ?, cpu_microseconds = ?,
                    memory_peak_bytes = ?
                WHERE fencing_token = ? AND id = ? AND status < ?
                RETURNING drone, promise_memory_bytes, promise_cpu_millis
                """
            case .scheduled, .loading, .starting, .waiting, .ready, .terminating, .hardTerminating:
                """
                UPDATE backend SET changed_ms = ?, status = ?, reason = ?, kind = ?, exit_code = ?, exit_signal = ?,
                    out_of_memory = ?, message = ?, end_reason = ?, cpu_microseconds = ?, memory_peak_bytes = ?
                WHERE fencing_token = ? AND id = ? AND status < ?
                RETURNING drone, promise_memory_bytes, promise_cpu_millis
                """
            }
        var statement = try connection.statement(sql)
        try statement.bind(nowMilliseconds)
        try statement.bind(state)
        try statement.bind(fencingToken.value)
        try statement.bind(id.text)
        try statement.bind(Int64(state.status.order))
        guard try statement.step() else { return nil }
        let before = (statement.text(0) ?? "", statement.amount(from: 1))
        try statement.run()
        return before
    }

    private func recorded(of id: BackendID, _ fencingToken: FencingToken) throws(StoreError) -> BackendStatus? {
        var statement = try connection.statement("SELECT status FROM backend WHERE fencing_token = ? AND id = ?")
        try statement.bind(fencingToken.value)
        try statement.bind(id.text)
        return try statement.step() ? try statement.status(0) : nil
    }

    /// Takes a promise off a drone's sums. A sum that has reached the most a column holds may have been more, so it is
    /// made anew from what is live.
    private func free(_ promise: ResourceAmount, of drone: String) throws(StoreError) {
        var statement = try connection.statement(
            """
            UPDATE drone SET backend_count = backend_count - 1,
                promised_memory_bytes = promised_memory_bytes - ?, promised_cpu_millis = promised_cpu_millis - ?
            WHERE name = ? AND max(promised_memory_bytes, promised_cpu_millis) < 9223372036854775807
            """)
        try statement.bind(promise)
        try statement.bind(drone)
        try statement.run()
        if connection.changes == 0 { try sumUp(drone) }
    }

    private func sumUp(_ drone: String) throws(StoreError) {
        var live = try connection.statement(
            """
            SELECT promise_memory_bytes, promise_cpu_millis FROM backend WHERE drone = ? AND revision > 0 AND live = 1
            """)
        try live.bind(drone)
        var (sum, count) = (ResourceAmount.zero, Int64(0))
        while try live.step() {
            sum = sum + live.amount(from: 0)
            count += 1
        }
        var statement = try connection.statement(
            "UPDATE drone SET promised_memory_bytes = ?, promised_cpu_millis = ?, backend_count = ? WHERE name = ?")
        try statement.bind(sum)
        try statement.bind(count)
        try statement.bind(drone)
        try statement.run()
    }

    func countConnect(of id: BackendID) throws(StoreError) -> Int64 {
        var statement = try connection.statement(
            """
            INSERT INTO connect_count (backend, connects) SELECT fencing_token, 1 FROM backend WHERE id = ?
            ON CONFLICT (backend) DO UPDATE SET connects = connects + 1 RETURNING connects
            """)
        try statement.bind(id.text)
        return try statement.onlyInteger() ?? 0
    }

    func requestEnd(of id: BackendID, _ end: DesiredEnd) throws(StoreError) -> EndRequest {
        guard var row = try backend(id) else { return .unknownBackend }
        if row.state.status == .terminated { return .alreadyTerminated }
        let merged = end.merged(into: row.desiredEnd)
        guard merged != row.desiredEnd, let revision = try nextRevision(of: row.spec.drone) else {
            return .requested(row)
        }
        row.desiredEnd = merged
        row.revision = revision
        var statement = try connection.statement(
            "UPDATE backend SET desired_kind = ?, desired_reason = ?, revision = ? WHERE fencing_token = ?")
        try statement.bind(merged.kind.rawValue)
        try statement.bind(merged.reason.rawValue)
        try statement.bind(revision)
        try statement.bind(row.fencingToken.value)
        try statement.run()
        return .requested(row)
    }
}

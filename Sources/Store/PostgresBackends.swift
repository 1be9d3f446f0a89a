internal import Model

/// Keys and backends: what changes them.
extension PostgresTransaction {
    func insert(_ spec: BackendSpec, under session: SessionNumber) throws(StoreError) -> BackendRow? {
        var spec = spec
        spec.promise = spec.promise.stored
        let written = try write(Self.insertion, insertionValues(spec, session))
        guard let fencing = written.integer(0, 0), let revision = written.integer(0, 1) else {
            if !written.bool(0, 2) { return nil }
            throw StoreError(
                .conflict, message: "the key \(spec.key.name) is held, or the id \(spec.id) or the static token is used"
            )
        }
        notices.touch(spec.drone)
        notices.touch(spec.id)
        return BackendRow(
            spec: spec, fencingToken: FencingToken(fencing), session: session, revision: revision,
            state: BackendState(.scheduled), desiredEnd: nil, createdMilliseconds: nowMilliseconds,
            changedMilliseconds: nowMilliseconds)
    }

    /// Everything of it happens or nothing: what follows from the drone's row being written follows from its returning a
    /// row. Nobody else writes, so what is free when the statement begins is free at its end.
    ///
    /// A fencing token that was ever committed to a backend can never be given again: the sequences' row is written in the
    /// same statement.
    private static let insertion = """
        WITH taken AS MATERIALIZED (
            SELECT FROM backend WHERE id = $1
            UNION ALL SELECT FROM backend WHERE key_namespace = $2 AND key_name = $3 AND status < 70
            UNION ALL SELECT FROM backend WHERE static_token = $11),
        placed AS (
            UPDATE drone_lease SET revision = revision + 1, backend_count = backend_count + 1,
                promised_memory_bytes = promised_memory_bytes + $15::bigint,
                promised_cpu_millis = promised_cpu_millis + $16::bigint
            WHERE drone = $7 AND session = $17::bigint AND NOT EXISTS (SELECT FROM taken) RETURNING revision),
        next AS (
            UPDATE sequence SET fencing = fencing + 1, line = line + 1 WHERE EXISTS (SELECT FROM placed)
            RETURNING fencing, line),
        made AS (
            INSERT INTO backend (
                fencing_token, id, key_namespace, key_name, key_tag, cluster, pool, drone, image, environment, limits,
                static_token, subdomain, lifetime_limit_seconds, max_idle_seconds, promise_memory_bytes,
                promise_cpu_millis, session, created_ms, revision, changed_ms, status, connects)
            SELECT fencing, $1, $2, $3, $4::text, $5::text, $6::text, $7, $8::text, $9::text, $10::text, $11,
                $12::text, $13::bigint, $14::bigint, $15, $16, $17, $18::bigint, revision, $18, 10, 0
            FROM placed, next RETURNING fencing_token, revision),
        line AS (
            INSERT INTO history (backend, number, time_ms, status) SELECT fencing, line, $18, 10 FROM next)
        SELECT (SELECT fencing_token FROM made), (SELECT revision FROM made),
            EXISTS (SELECT FROM drone_lease WHERE drone = $7 AND session = $17)
        """

    private func insertionValues(_ spec: BackendSpec, _ session: SessionNumber) -> PostgresParameters {
        var values: PostgresParameters = [
            .text(spec.id.text), .text(spec.key.namespace), .text(spec.key.name), .text(spec.key.tag),
            .text(spec.cluster.text), .text(spec.pool), .text(spec.drone.text), .text(spec.executable.image.text),
            .text(StoredText.environment(spec.executable.environment)),
            .text(StoredText.limits(spec.executable.limits)), .text(spec.staticToken?.text), .text(spec.subdomain),
            .integer(spec.lifetimeLimitSeconds), .integer(spec.maxIdleSeconds),
        ]
        values.append(spec.promise)
        values.append(.integer(session.value))
        values.append(.integer(nowMilliseconds))
        return values
    }

    func record(
        _ state: BackendState, of id: BackendID, _ fencingToken: FencingToken
    ) throws(StoreError) -> Recording {
        var values: PostgresParameters = [.integer(fencingToken.value), .text(id.text), .integer(nowMilliseconds)]
        values.append(state)
        let written = try write(Self.recording, values)
        if let line = written.integer(0, 0) {
            notices.touch(id)
            return .recorded(HistoryRow(number: line, state: state, milliseconds: nowMilliseconds))
        }
        return written.integer(0, 1) == nil ? .unknownBackend : .stale(try written.backendStatus(0, 1))
    }

    /// With `terminated` the row leaves the index of held keys, and the drone is free of its promise.
    private static let recording = """
        WITH advanced AS (
            UPDATE backend SET changed_ms = $3, status = $4, reason = $5, kind = $6, exit_code = $7, exit_signal = $8,
                out_of_memory = $9, message = $10, end_reason = $11, cpu_microseconds = $12, memory_peak_bytes = $13
            WHERE fencing_token = $1 AND id = $2 AND status < $4
            RETURNING fencing_token, drone, promise_memory_bytes, promise_cpu_millis),
        freed AS (
            UPDATE drone_lease l SET backend_count = backend_count - 1,
                promised_memory_bytes = promised_memory_bytes - a.promise_memory_bytes,
                promised_cpu_millis = promised_cpu_millis - a.promise_cpu_millis
            FROM advanced a WHERE l.drone = a.drone AND $4 = 70),
        next AS (UPDATE sequence SET line = line + 1 WHERE EXISTS (SELECT FROM advanced) RETURNING line),
        line AS (
            INSERT INTO history (backend, number, time_ms, \(PostgresRows.state))
            SELECT fencing_token, line, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13 FROM advanced, next)
        SELECT (SELECT line FROM next), (SELECT status FROM backend WHERE fencing_token = $1 AND id = $2)
        """

    func countConnect(of id: BackendID) throws(StoreError) -> Int64 {
        let counted = try write(
            "UPDATE backend SET connects = connects + 1 WHERE id = $1 RETURNING connects", [.text(id.text)])
        return counted.rows.isEmpty ? 0 : counted.integer(0, 0) ?? 0
    }

    func requestEnd(of id: BackendID, _ end: DesiredEnd) throws(StoreError) -> EndRequest {
        guard var row = try backend(id) else { return .unknownBackend }
        if row.state.status == .terminated { return .alreadyTerminated }
        let merged = end.merged(into: row.desiredEnd)
        if merged == row.desiredEnd { return .requested(row) }
        let written = try write(
            """
            WITH next AS (UPDATE drone_lease SET revision = revision + 1 WHERE drone = $1 RETURNING revision)
            UPDATE backend b SET desired_kind = $2, desired_reason = $3, revision = next.revision FROM next
            WHERE fencing_token = $4 RETURNING b.revision
            """,
            [
                .text(row.spec.drone.text), .text(merged.kind.rawValue), .text(merged.reason.rawValue),
                .integer(row.fencingToken.value),
            ])
        guard !written.rows.isEmpty, let revision = written.integer(0, 0) else { throw Self.missingRow }
        notices.touch(row.spec.drone)
        row.desiredEnd = merged
        row.revision = revision
        return .requested(row)
    }
}

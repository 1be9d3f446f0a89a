internal import Model

/// Where the columns of `backend` stand, in the order of `PostgresRows.backend`.
private enum Column {
    /// id … limits: ten texts.
    static let texts: Int32 = 1
    static let staticToken: Int32 = 11
    static let subdomain: Int32 = 12
    static let lifetimeLimitSeconds: Int32 = 13
    static let maxIdleSeconds: Int32 = 14
    static let promise: Int32 = 15
    static let session: Int32 = 17
    static let createdMilliseconds: Int32 = 18
    static let revision: Int32 = 19
    static let desiredEnd: Int32 = 20
    static let changedMilliseconds: Int32 = 22
    static let state: Int32 = 23
    static let connects: Int32 = 33
}

/// The columns of rows, named: a newer Plane that starts beside this one may add others.
enum PostgresRows {
    static let state = """
        status, reason, kind, exit_code, exit_signal, out_of_memory, message, end_reason, cpu_microseconds,
        memory_peak_bytes
        """
    static let backend = """
        fencing_token, id, key_namespace, key_name, key_tag, cluster, pool, drone, image, environment, limits,
        static_token, subdomain, lifetime_limit_seconds, max_idle_seconds, promise_memory_bytes, promise_cpu_millis,
        session, created_ms, revision, desired_kind, desired_reason, changed_ms, \(state), connects
        """
    /// With the rows that they are in. A sum that no column of 64 bits holds is read as the most that one does.
    static let drone = """
        SELECT name, cluster, pool, version, process, machine, capacity_memory_bytes, capacity_cpu_millis, images, session,
            renewals, controller, revision, draining, end_at_ms, backend_count,
            least(promised_memory_bytes, 9223372036854775807)::bigint,
            least(promised_cpu_millis, 9223372036854775807)::bigint, seen_ms, lease_ms
        FROM drone JOIN drone_lease ON drone = name
        """
}

extension PostgresParameters {
    /// Adds the ten values of a state, in the order of `PostgresRows.state`.
    mutating func append(_ state: BackendState) {
        append(.integer(Int64(state.status.order)))
        append(.text(state.reason?.rawValue))
        append(.text(state.kind?.rawValue))
        append(.integer(state.exit?.code.map(Int64.init)))
        append(.integer(state.exit?.signal.map(Int64.init)))
        append(.text(state.exit.map { $0.outOfMemory ? "t" : "f" }))
        append(.text(state.message.map(Self.withoutZeroBytes)))
        append(.text(state.endReason?.rawValue))
        append(.integer(state.usage?.cpuMicroseconds))
        append(.integer(state.usage?.memoryPeakBytes))
    }

    /// A drone's message may hold what a command printed. It must not keep a backend's end from being recorded.
    private static func withoutZeroBytes(_ text: String) -> String {
        text.utf8.contains(0) ? String(text.map { $0 == "\0" ? "\u{FFFD}" : $0 }) : text
    }

    /// Adds the two values of an amount: memory, processor. What no column holds becomes the most that one does.
    mutating func append(_ amount: ResourceAmount) {
        append(.integer(Int64(clamping: amount.memoryBytes)))
        append(.integer(Int64(clamping: amount.cpuMillis)))
    }
}

extension PostgresResult {
    /// Reads the two columns of an amount.
    func amount(_ row: Int32, from column: Int32) -> ResourceAmount {
        ResourceAmount(
            memoryBytes: UInt64(clamping: integer(row, column) ?? 0),
            cpuMillis: UInt64(clamping: integer(row, column + 1) ?? 0))
    }

    /// Reads a status, which tables keep as its order.
    func backendStatus(_ row: Int32, _ column: Int32) throws(StoreError) -> BackendStatus {
        let order = integer(row, column) ?? 0
        guard let status = BackendStatus.allCases.first(where: { $0.order == order }) else {
            throw StoreError(.corrupt, message: "the database holds a status \(order) that does not exist")
        }
        return status
    }

    /// Reads the ten columns of a state. - Parameter column: of status, which the others follow.
    func state(_ row: Int32, from column: Int32) throws(StoreError) -> BackendState {
        // An exit is there when its last column is: code and signal may both be unknown.
        let exit: BackendExit? = text(row, column + 5).map {
            BackendExit(
                code: integer(row, column + 3).map { Int32(truncatingIfNeeded: $0) },
                signal: integer(row, column + 4).map { Int32(truncatingIfNeeded: $0) }, outOfMemory: $0 == "t")
        }
        let usage = integer(row, column + 8).map {
            BackendUsage(cpuMicroseconds: $0, memoryPeakBytes: integer(row, column + 9))
        }
        return BackendState(
            try backendStatus(row, column), reason: text(row, column + 1).flatMap(TerminationReason.init),
            kind: text(row, column + 2).flatMap(TerminationKind.init), exit: exit, message: text(row, column + 6),
            endReason: text(row, column + 7).flatMap(EndReason.init(rawValue:)), usage: usage)
    }

    /// Reads a row of `PostgresRows.backend`.
    func backendRow(_ row: Int32) throws(StoreError) -> BackendRow {
        let texts = Column.texts
        let environment = try StoredText.environment(parsing: text(row, texts + 8) ?? "")
        let limits = try StoredText.limits(parsing: text(row, texts + 9) ?? "")
        var spec = try StoredText.checked { () throws(InvalidValue) in
            BackendSpec(
                id: try BackendID(text(row, texts) ?? ""),
                key: try KeyConfig(
                    name: text(row, texts + 2) ?? "", namespace: text(row, texts + 1) ?? "",
                    tag: text(row, texts + 3) ?? ""),
                cluster: try ClusterName(text(row, texts + 4) ?? ""), pool: text(row, texts + 5) ?? "",
                drone: try DroneName(text(row, texts + 6) ?? ""),
                executable: Executable(
                    image: try ImageName(text(row, texts + 7) ?? ""), environment: environment, limits: limits))
        }
        spec.staticToken = text(row, Column.staticToken).flatMap(BearerToken.init)
        spec.subdomain = text(row, Column.subdomain)
        spec.lifetimeLimitSeconds = integer(row, Column.lifetimeLimitSeconds)
        spec.maxIdleSeconds = integer(row, Column.maxIdleSeconds)
        spec.promise = amount(row, from: Column.promise)
        return BackendRow(
            spec: spec, fencingToken: FencingToken(integer(row, 0) ?? 0),
            session: SessionNumber(integer(row, Column.session) ?? 0), revision: integer(row, Column.revision) ?? 0,
            state: try state(row, from: Column.state), desiredEnd: desiredEnd(row, from: Column.desiredEnd),
            createdMilliseconds: integer(row, Column.createdMilliseconds) ?? 0,
            changedMilliseconds: integer(row, Column.changedMilliseconds) ?? 0,
            connects: integer(row, Column.connects) ?? 0)
    }

    private func desiredEnd(_ row: Int32, from column: Int32) -> DesiredEnd? {
        guard let kind = text(row, column).flatMap(TerminationKind.init) else { return nil }
        return DesiredEnd(kind: kind, reason: text(row, column + 1).flatMap(TerminationReason.init) ?? .external)
    }

    /// Reads all rows of `PostgresRows.backend`.
    func backendRows() throws(StoreError) -> [BackendRow] {
        var found: [BackendRow] = []
        for row in rows { found.append(try backendRow(row)) }
        return found
    }

    /// Reads the first row of `PostgresRows.backend`; nil when there is none.
    func firstBackend() throws(StoreError) -> BackendRow? { rows.isEmpty ? nil : try backendRow(0) }

    /// Reads a row of `PostgresRows.drone`.
    func droneRow(_ row: Int32, _ images: KnownImages) throws(StoreError) -> DroneRow {
        let images = try images.parse(text(row, 8) ?? "[]")
        let willingness: Willingness = bool(row, 13) ? .draining(endAtMilliseconds: integer(row, 14)) : .accepting
        return try StoredText.checked { () throws(InvalidValue) in
            DroneRow(
                greeting: DroneGreeting(
                    name: try DroneName(text(row, 0) ?? ""), cluster: try ClusterName(text(row, 1) ?? ""),
                    pool: text(row, 2) ?? "", version: text(row, 3) ?? "", process: text(row, 4) ?? "",
                    machine: try MachineIdentity(text(row, 5) ?? ""), images: images, capacity: amount(row, from: 6)),
                session: integer(row, 9).map(SessionNumber.init), renewals: integer(row, 10) ?? 0,
                controller: try text(row, 11).map { text throws(InvalidValue) in try ControllerName(text) },
                leaseMilliseconds: integer(row, 19) ?? 0, revision: integer(row, 12) ?? 0, willingness: willingness,
                backendCount: integer(row, 15) ?? 0,
                promised: amount(row, from: 16), seenMilliseconds: integer(row, 18) ?? 0)
        }
    }
}

internal import Model

/// Where the columns of the view `backend_row` stand, in the order of the schema.
private enum Column {
    static let fencingToken: Int32 = 0
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
    /// After `live`, which follows from the state.
    static let connects: Int32 = 34
}

extension SQLiteStatement {
    /// Binds the ten columns of a state in the order of the tables: status … memory_peak_bytes.
    mutating func bind(_ state: BackendState) throws(StoreError) {
        try bind(Int64(state.status.order))
        try bind(state.reason?.rawValue)
        try bind(state.kind?.rawValue)
        try bind(state.exit?.code.map(Int64.init))
        try bind(state.exit?.signal.map(Int64.init))
        try bind(state.exit.map { $0.outOfMemory ? 1 : 0 })
        try bind(state.message)
        try bind(state.endReason?.rawValue)
        try bind(state.usage?.cpuMicroseconds)
        try bind(state.usage?.memoryPeakBytes)
    }

    /// Binds the two columns of an amount: memory, processor. What no column holds is bound as the most that one does.
    mutating func bind(_ amount: ResourceAmount) throws(StoreError) {
        try bind(Int64(clamping: amount.memoryBytes))
        try bind(Int64(clamping: amount.cpuMillis))
    }

    /// Reads the two columns of an amount.
    borrowing func amount(from column: Int32) -> ResourceAmount {
        ResourceAmount(
            memoryBytes: UInt64(clamping: integer(column) ?? 0), cpuMillis: UInt64(clamping: integer(column + 1) ?? 0))
    }

    /// Reads a status, which tables keep as its order.
    borrowing func status(_ column: Int32) throws(StoreError) -> BackendStatus {
        let order = integer(column) ?? 0
        guard let status = BackendStatus(order: order) else {
            throw StoreError(.corrupt, message: "the database holds a status \(order) that does not exist")
        }
        return status
    }

    /// Reads the ten columns of a state. - Parameter column: of status, which the others follow.
    borrowing func state(from column: Int32) throws(StoreError) -> BackendState {
        // An exit is there when its last column is: code and signal may both be unknown.
        let exit: BackendExit? = integer(column + 5).map {
            BackendExit(
                code: integer(column + 3).map { Int32(truncatingIfNeeded: $0) },
                signal: integer(column + 4).map { Int32(truncatingIfNeeded: $0) }, outOfMemory: $0 != 0)
        }
        let usage = integer(column + 8).map {
            BackendUsage(cpuMicroseconds: $0, memoryPeakBytes: integer(column + 9))
        }
        return BackendState(
            try status(column), reason: text(column + 1).flatMap(TerminationReason.init),
            kind: text(column + 2).flatMap(TerminationKind.init), exit: exit, message: text(column + 6),
            endReason: text(column + 7).flatMap(EndReason.init(rawValue:)), usage: usage)
    }

    /// Reads a row of `SELECT * FROM backend_row`.
    borrowing func backendRow() throws(StoreError) -> BackendRow {
        let texts = Column.texts
        let environment = try StoredText.environment(parsing: text(texts + 8) ?? "")
        let limits = try StoredText.limits(parsing: text(texts + 9) ?? "")
        var spec = try StoredText.checked { () throws(InvalidValue) in
            BackendSpec(
                id: try BackendID(text(texts) ?? ""),
                key: try KeyConfig(
                    name: text(texts + 2) ?? "", namespace: text(texts + 1) ?? "", tag: text(texts + 3) ?? ""),
                cluster: try ClusterName(text(texts + 4) ?? ""), pool: text(texts + 5) ?? "",
                drone: try DroneName(text(texts + 6) ?? ""),
                executable: Executable(
                    image: try ImageName(text(texts + 7) ?? ""), environment: environment, limits: limits))
        }
        spec.staticToken = text(Column.staticToken).flatMap(BearerToken.init)
        spec.subdomain = text(Column.subdomain)
        spec.lifetimeLimitSeconds = integer(Column.lifetimeLimitSeconds)
        spec.maxIdleSeconds = integer(Column.maxIdleSeconds)
        spec.promise = amount(from: Column.promise)
        return BackendRow(
            spec: spec, fencingToken: FencingToken(integer(Column.fencingToken) ?? 0),
            session: SessionNumber(integer(Column.session) ?? 0), revision: integer(Column.revision) ?? 0,
            state: try state(from: Column.state), desiredEnd: desiredEnd(from: Column.desiredEnd),
            createdMilliseconds: integer(Column.createdMilliseconds) ?? 0,
            changedMilliseconds: integer(Column.changedMilliseconds) ?? 0, connects: integer(Column.connects) ?? 0)
    }

    private borrowing func desiredEnd(from column: Int32) -> DesiredEnd? {
        guard let kind = text(column).flatMap(TerminationKind.init) else { return nil }
        return DesiredEnd(kind: kind, reason: text(column + 1).flatMap(TerminationReason.init) ?? .external)
    }

    /// Reads all rows that are left, of `SELECT * FROM backend_row`.
    mutating func backendRows() throws(StoreError) -> [BackendRow] {
        var rows: [BackendRow] = []
        while try step() { rows.append(try backendRow()) }
        return rows
    }

    /// Reads a row of `SELECT d.*, i.images FROM drone d … drone_images i`.
    borrowing func droneRow(_ known: KnownImages) throws(StoreError) -> DroneRow {
        let images = try known.parse(text(19) ?? "[]")
        let willingness: Willingness = integer(12) == 0 ? .accepting : .draining(endAtMilliseconds: integer(13))
        return try StoredText.checked { () throws(InvalidValue) in
            DroneRow(
                greeting: DroneGreeting(
                    name: try DroneName(text(0) ?? ""), cluster: try ClusterName(text(1) ?? ""), pool: text(2) ?? "",
                    version: text(3) ?? "", process: text(4) ?? "", machine: try MachineIdentity(text(5) ?? ""),
                    images: images, capacity: amount(from: 6)),
                session: integer(8).map(SessionNumber.init), renewals: integer(9) ?? 0,
                controller: try text(10).map { text throws(InvalidValue) in try ControllerName(text) },
                leaseMilliseconds: integer(18) ?? 0, revision: integer(11) ?? 0, willingness: willingness,
                backendCount: integer(14) ?? 0,
                promised: amount(from: 15), seenMilliseconds: integer(17) ?? 0)
        }
    }
}

extension BackendStatus {
    /// The status of an `order`, as tables keep it.
    init?(order: Int64) {
        guard let status = Self.allCases.first(where: { $0.order == order }) else { return nil }
        self = status
    }
}

internal import Model

/// Turns what a stored value's own check says into an error of the store: this program wrote it, so it must pass.
func stored<Value>(_ read: () throws(InvalidValue) -> Value) throws(StoreError) -> Value {
    do throws(InvalidValue) {
        return try read()
    } catch {
        throw StoreError(.corrupt, message: "the database holds a value that is not one: \(error)")
    }
}

extension SQLiteStatement {
    /// Binds the ten columns of a state in the order of the tables: status … message, end_reason … memory_peak_bytes.
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

    /// Reads the ten columns of a state.
    /// - Parameters:
    ///   - column: of status, which six more follow.
    ///   - endColumn: of end_reason, which two more follow; they were added to the tables later.
    borrowing func state(from column: Int32, end endColumn: Int32) throws(StoreError) -> BackendState {
        let order = integer(column) ?? 0
        guard let status = BackendStatus.allCases.first(where: { $0.order == order }) else {
            throw StoreError(.corrupt, message: "the database holds a status \(order) that does not exist")
        }
        // An exit is there when its last column is: code and signal may both be unknown.
        let exit: BackendExit? = integer(column + 5).map {
            BackendExit(
                code: integer(column + 3).map { Int32(truncatingIfNeeded: $0) },
                signal: integer(column + 4).map { Int32(truncatingIfNeeded: $0) }, outOfMemory: $0 != 0)
        }
        let usage = integer(endColumn + 1).map {
            BackendUsage(cpuMicroseconds: $0, memoryPeakBytes: integer(endColumn + 2))
        }
        return BackendState(
            status, reason: text(column + 1).flatMap(TerminationReason.init),
            kind: text(column + 2).flatMap(TerminationKind.init), exit: exit, message: text(column + 6),
            endReason: text(endColumn).flatMap(EndReason.init(rawValue:)), usage: usage)
    }

    /// Reads a row of `SELECT * FROM backend`.
    borrowing func backendRow() throws(StoreError) -> BackendRow {
        let texts = (0..<10).map { text($0) ?? "" }
        let environment = try environment(texts[8])
        let limits = try limits(texts[9])
        let staticToken = text(10).flatMap(BearerToken.init)
        let spec = try stored { () throws(InvalidValue) in
            BackendSpec(
                id: try BackendID(texts[0]),
                key: try KeyConfig(name: texts[2], namespace: texts[1], tag: texts[3]),
                cluster: try ClusterName(texts[4]), pool: texts[5], drone: try DroneName(texts[6]),
                executable: Executable(image: try ImageName(texts[7]), environment: environment, limits: limits),
                staticToken: staticToken)
        }
        var row = BackendRow(
            spec: spec, fencingToken: FencingToken(integer(14) ?? 0), state: try state(from: 19, end: 27),
            desiredEnd: desiredEnd, createdMilliseconds: integer(17) ?? 0, changedMilliseconds: integer(18) ?? 0,
            connects: integer(26) ?? 0)
        row.spec.subdomain = text(11)
        row.spec.lifetimeLimitSeconds = integer(12)
        row.spec.maxIdleSeconds = integer(13)
        return row
    }

    private var desiredEnd: DesiredEnd? {
        borrowing get {
            guard let kind = text(15).flatMap(TerminationKind.init) else { return nil }
            return DesiredEnd(kind: kind, reason: text(16).flatMap(TerminationReason.init) ?? .external)
        }
    }

    private borrowing func environment(_ text: String) throws(StoreError) -> [String: String] {
        if text == "{}" { return [:] }
        let value = try json(text)
        return try stored { () throws(InvalidValue) in
            var reader = try JSONReader(.object(["environment": value]))
            return try reader.stringMap("environment") ?? [:]
        }
    }

    private borrowing func limits(_ text: String) throws(StoreError) -> ResourceLimits {
        if text == "{}" { return ResourceLimits() }
        let value = try json(text)
        do throws(RequestProblem) {
            return try ResourceLimits(json: value, path: "limits")
        } catch {
            throw StoreError(.corrupt, message: "the database holds limits that are none: \(error.detail)")
        }
    }

    private borrowing func json(_ text: String) throws(StoreError) -> JSONValue {
        do throws(JSONSyntaxError) {
            return try JSONValue(parsing: Array(text.utf8))
        } catch {
            throw StoreError(.corrupt, message: "the database holds text that is not JSON: \(error)")
        }
    }

    /// Reads a row of drones().
    borrowing func droneRow() throws(StoreError) -> DroneRow {
        let texts = (0..<6).map { text($0) ?? "" }
        let willingness = Willingness(rawValue: integer(6) ?? 0) ?? .accepting
        let (count, seen) = (integer(7) ?? 0, integer(8) ?? 0)
        return try stored { () throws(InvalidValue) in
            var images: [ImageName] = []
            for image in texts[5].split(separator: " ") { images.append(try ImageName(String(image))) }
            return DroneRow(
                name: try DroneName(texts[0]), cluster: try ClusterName(texts[1]), pool: texts[2],
                version: texts[3], session: texts[4], images: images, willingness: willingness, backendCount: count,
                seenMilliseconds: seen)
        }
    }
}

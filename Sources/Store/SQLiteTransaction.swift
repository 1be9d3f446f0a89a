internal import Model

/// The steps of a transaction as SQL; by what they are about in the extensions.
///
/// Each step is few statements, on the few pages that must change: how many of them one thread can run, and how many
/// pages one commit writes, is how many connects a controller can answer.
final class SQLiteTransaction: StoreTransaction {
    let connection: SQLiteConnection
    let nowMilliseconds: Int64
    let images: KnownImages

    init(_ connection: SQLiteConnection, nowMilliseconds: Int64, images: KnownImages) {
        self.connection = connection
        self.nowMilliseconds = nowMilliseconds
        self.images = images
    }

    /// Takes the next revision of a drone, for an order that is added in this transaction. - Returns: nil for an unknown
    /// drone.
    func nextRevision(of drone: DroneName) throws(StoreError) -> Int64? {
        var statement = try connection.statement(
            "UPDATE drone SET revision = revision + 1 WHERE name = ? RETURNING revision")
        try statement.bind(drone.text)
        return try statement.onlyInteger()
    }

    /// The number of a backend's row, which is its fencing token; nil for an unknown one.
    func rowNumber(of id: BackendID) throws(StoreError) -> Int64? {
        var statement = try connection.statement("SELECT fencing_token FROM backend WHERE id = ?")
        try statement.bind(id.text)
        return try statement.onlyInteger()
    }

    /// Appends a line to the history of a backend.
    func appendHistory(_ line: Int64, _ state: BackendState, of row: Int64) throws(StoreError) -> HistoryRow {
        var statement = try connection.statement(
            """
            INSERT INTO history (
                backend, number, time_ms, status, reason, kind, exit_code, exit_signal, out_of_memory, message,
                end_reason, cpu_microseconds, memory_peak_bytes)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """)
        try statement.bind(row)
        try statement.bind(line)
        try statement.bind(nowMilliseconds)
        try statement.bind(state)
        try statement.run()
        return HistoryRow(number: line, state: state, milliseconds: nowMilliseconds)
    }

    /// What is thrown when the row of the sequences is not there.
    static let noSequence = StoreError(.corrupt, message: "the sequences are missing from the database")
}

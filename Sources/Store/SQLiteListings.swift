internal import Model

/// Keys and backends: what reads them.
extension SQLiteTransaction {
    func holder(namespace: String, name: String) throws(StoreError) -> BackendRow? {
        var statement = try connection.statement(
            "SELECT * FROM backend_row WHERE key_namespace = ? AND key_name = ? AND live = 1")
        try statement.bind(namespace)
        try statement.bind(name)
        return try statement.step() ? try statement.backendRow() : nil
    }

    func backend(_ id: BackendID) throws(StoreError) -> BackendRow? {
        var statement = try connection.statement("SELECT * FROM backend_row WHERE id = ?")
        try statement.bind(id.text)
        return try statement.step() ? try statement.backendRow() : nil
    }

    func liveBackends(on drone: DroneName) throws(StoreError) -> [BackendRow] {
        // Every revision is more than 0. Said here, SQLite reads the index of live backends only, not that of all.
        var statement = try connection.statement(
            "SELECT * FROM backend_row WHERE drone = ? AND revision > 0 AND live = 1 ORDER BY id")
        try statement.bind(drone.text)
        return try statement.backendRows()
    }

    func orders(for drone: DroneName, after revision: Int64) throws(StoreError) -> [BackendRow] {
        var statement = try connection.statement(
            "SELECT * FROM backend_row WHERE drone = ? AND revision > ? AND live = 1 ORDER BY revision")
        try statement.bind(drone.text)
        try statement.bind(revision)
        return try statement.backendRows()
    }

    func holders(after position: KeyPosition?, limit: Int) throws(StoreError) -> [BackendRow] {
        var statement = try connection.statement(
            """
            SELECT * FROM backend_row WHERE (key_namespace, key_name) > (?, ?) AND live = 1
            ORDER BY key_namespace, key_name LIMIT ?
            """)
        // No key's name is empty, so this comes before all.
        try statement.bind(position?.namespace ?? "")
        try statement.bind(position?.name ?? "")
        try statement.bind(Int64(limit))
        return try statement.backendRows()
    }

    func backends(_ which: BackendSelection, after id: BackendID?, limit: Int) throws(StoreError) -> [BackendRow] {
        let sql: StaticString =
            switch which {
            case .live: "SELECT * FROM backend_row WHERE id > ? AND live = 1 ORDER BY id LIMIT ?"
            case .all: "SELECT * FROM backend_row WHERE id > ? ORDER BY id LIMIT ?"
            }
        var statement = try connection.statement(sql)
        try statement.bind(id?.text ?? "")
        try statement.bind(Int64(limit))
        return try statement.backendRows()
    }

    func history(of id: BackendID, after number: Int64) throws(StoreError) -> [HistoryRow] {
        guard let row = try rowNumber(of: id) else { return [] }
        var statement = try connection.statement(
            "SELECT * FROM history WHERE backend = ? AND number > ? ORDER BY number")
        try statement.bind(row)
        try statement.bind(number)
        var rows: [HistoryRow] = []
        while try statement.step() {
            rows.append(
                HistoryRow(
                    number: statement.integer(1) ?? 0, state: try statement.state(from: 3),
                    milliseconds: statement.integer(2) ?? 0))
        }
        return rows
    }
}

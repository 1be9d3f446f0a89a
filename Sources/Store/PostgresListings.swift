internal import Model

/// Keys and backends: what reads them.
extension PostgresTransaction {
    func holder(namespace: String, name: String) throws(StoreError) -> BackendRow? {
        try read(
            """
            SELECT \(PostgresRows.backend) FROM backend WHERE key_namespace = $1 AND key_name = $2 AND status < 70
            """, [.text(namespace), .text(name)]
        ).firstBackend()
    }

    func backend(_ id: BackendID) throws(StoreError) -> BackendRow? {
        try read("SELECT \(PostgresRows.backend) FROM backend WHERE id = $1", [.text(id.text)]).firstBackend()
    }

    func liveBackends(on drone: DroneName) throws(StoreError) -> [BackendRow] {
        try read(
            "SELECT \(PostgresRows.backend) FROM backend WHERE drone = $1 AND status < 70 ORDER BY id",
            [.text(drone.text)]
        ).backendRows()
    }

    func orders(for drone: DroneName, after revision: Int64) throws(StoreError) -> [BackendRow] {
        try read(
            """
            SELECT \(PostgresRows.backend) FROM backend WHERE drone = $1 AND revision > $2 AND status < 70
            ORDER BY revision
            """, [.text(drone.text), .integer(revision)]
        ).backendRows()
    }

    func holders(after position: KeyPosition?, limit: Int) throws(StoreError) -> [BackendRow] {
        // No key's name is empty, so the empty place comes before all.
        try read(
            """
            SELECT \(PostgresRows.backend) FROM backend WHERE (key_namespace, key_name) > ($1, $2) AND status < 70
            ORDER BY key_namespace, key_name LIMIT $3
            """, [.text(position?.namespace ?? ""), .text(position?.name ?? ""), .integer(Int64(limit))]
        ).backendRows()
    }

    func backends(_ which: BackendSelection, after id: BackendID?, limit: Int) throws(StoreError) -> [BackendRow] {
        let live =
            switch which {
            case .live: "AND status < 70"
            case .all: ""
            }
        return try read(
            "SELECT \(PostgresRows.backend) FROM backend WHERE id > $1 \(live) ORDER BY id LIMIT $2",
            [.text(id?.text ?? ""), .integer(Int64(limit))]
        ).backendRows()
    }

    func history(of id: BackendID, after number: Int64) throws(StoreError) -> [HistoryRow] {
        let found = try read(
            """
            SELECT number, time_ms, \(PostgresRows.state) FROM history
            WHERE backend = (SELECT fencing_token FROM backend WHERE id = $1) AND number > $2 ORDER BY number
            """, [.text(id.text), .integer(number)])
        var lines: [HistoryRow] = []
        for row in found.rows {
            lines.append(
                HistoryRow(
                    number: found.integer(row, 0) ?? 0, state: try found.state(row, from: 2),
                    milliseconds: found.integer(row, 1) ?? 0))
        }
        return lines
    }
}

internal import Model

/// Cleaning up, in batches: each takes as long as its limit says, so that connects need not wait for it.
extension SQLiteTransaction {
    func deleteTokens(expiredBefore milliseconds: Int64, limit: Int) throws(StoreError) -> Int {
        try delete(
            """
            DELETE FROM token WHERE number IN (
                SELECT number FROM token WHERE expires_ms < ? ORDER BY expires_ms, token LIMIT ?)
            """, before: milliseconds, limit)
    }

    func deleteBackends(terminatedBefore milliseconds: Int64, limit: Int) throws(StoreError) -> Int {
        try delete(
            """
            DELETE FROM backend WHERE fencing_token IN (
                SELECT fencing_token FROM backend WHERE live IS NULL AND changed_ms < ?
                ORDER BY changed_ms, fencing_token LIMIT ?)
            """, before: milliseconds, limit)
    }

    func deleteDrones(seenBefore milliseconds: Int64, limit: Int) throws(StoreError) -> Int {
        try delete(
            """
            DELETE FROM drone WHERE name IN (
                SELECT name FROM drone WHERE seen_ms < ?
                    AND NOT EXISTS (SELECT 1 FROM backend WHERE backend.drone = drone.name) ORDER BY name LIMIT ?)
            """, before: milliseconds, limit)
    }

    func deleteControllers(seenBefore milliseconds: Int64, limit: Int) throws(StoreError) -> Int {
        var statement = try connection.statement("SELECT name FROM controller WHERE seen_ms < ? ORDER BY name LIMIT ?")
        try statement.bind(milliseconds)
        try statement.bind(Int64(limit))
        var names: [ControllerName] = []
        while try statement.step() {
            names.append(
                try StoredText.checked { () throws(InvalidValue) in try ControllerName(statement.text(0) ?? "") })
        }
        for name in names { try leave(name) }
        return names.count
    }

    private func delete(
        _ sql: StaticString, before milliseconds: Int64, _ limit: Int
    ) throws(StoreError) -> Int {
        var statement = try connection.statement(sql)
        try statement.bind(milliseconds)
        try statement.bind(Int64(limit))
        try statement.run()
        return connection.changes
    }
}

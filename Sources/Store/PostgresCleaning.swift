internal import Model

/// Cleaning up, in batches: each takes as long as its limit says, so that connects need not wait for it.
extension PostgresTransaction {
    func deleteTokens(expiredBefore milliseconds: Int64, limit: Int) throws(StoreError) -> Int {
        try delete(
            """
            DELETE FROM token WHERE token IN (
                SELECT token FROM token WHERE expires_ms < $1 ORDER BY expires_ms, token LIMIT $2)
            """, before: milliseconds, limit)
    }

    func deleteBackends(terminatedBefore milliseconds: Int64, limit: Int) throws(StoreError) -> Int {
        try delete(
            """
            DELETE FROM backend WHERE fencing_token IN (
                SELECT fencing_token FROM backend WHERE status = 70 AND changed_ms < $1
                ORDER BY changed_ms, fencing_token LIMIT $2)
            """, before: milliseconds, limit)
    }

    func deleteDrones(seenBefore milliseconds: Int64, limit: Int) throws(StoreError) -> Int {
        try delete(
            """
            DELETE FROM drone WHERE name IN (
                SELECT drone FROM drone_lease l WHERE seen_ms < $1
                    AND NOT EXISTS (SELECT FROM backend b WHERE b.drone = l.drone) ORDER BY drone LIMIT $2)
            """, before: milliseconds, limit)
    }

    func deleteControllers(seenBefore milliseconds: Int64, limit: Int) throws(StoreError) -> Int {
        let found = try read(
            "SELECT name FROM controller WHERE seen_ms < $1 ORDER BY name LIMIT $2",
            [.integer(milliseconds), .integer(Int64(limit))])
        for row in found.rows {
            try leave(
                try StoredText.checked { () throws(InvalidValue) in try ControllerName(found.text(row, 0) ?? "") })
        }
        return found.rows.count
    }

    private func delete(_ sql: String, before milliseconds: Int64, _ limit: Int) throws(StoreError) -> Int {
        try write(sql, [.integer(milliseconds), .integer(Int64(limit))]).changes
    }
}

internal import Model

/// Tokens. One that was revoked stays until its time is over, so that a drone which was away learns of it.
extension PostgresTransaction {
    func insert(_ token: TokenRow) throws(StoreError) {
        let written = try write(
            """
            INSERT INTO token (token, backend, user_name, auth, secret, expires_ms)
            SELECT $1, fencing_token, $3, $4, $5, $6 FROM backend WHERE id = $2 ON CONFLICT DO NOTHING
            """,
            [
                .text(token.token.text), .text(token.backend.text), .text(token.user), .text(token.auth),
                .text(token.secret), .integer(token.expiresMilliseconds),
            ])
        if written.changes == 0 {
            throw StoreError(.conflict, message: "the token is used, or there is no backend \(token.backend)")
        }
    }

    func route(_ token: BearerToken) throws(StoreError) -> Route? {
        switch token.kind {
        case .dynamic: return try dynamicRoute(token)
        case .fixed:
            let backend = try read(
                "SELECT \(PostgresRows.backend) FROM backend WHERE static_token = $1", [.text(token.text)]
            ).firstBackend()
            return backend.map { .fixed(token, $0) }
        }
    }

    private func dynamicRoute(_ token: BearerToken) throws(StoreError) -> Route? {
        let found = try read(
            """
            SELECT \(PostgresRows.backend), t.user_name, t.auth, t.secret, t.expires_ms
            FROM token t JOIN backend ON fencing_token = t.backend WHERE token = $1 AND revoked_at IS NULL
            """, [.text(token.text)])
        guard let backend = try found.firstBackend() else { return nil }
        let row = TokenRow(
            token: token, backend: backend.id, user: found.text(0, 34), auth: found.text(0, 35) ?? "{}",
            secret: found.text(0, 36) ?? "", expiresMilliseconds: found.integer(0, 37) ?? 0)
        return .dynamic(row, backend)
    }

    func revoke(_ user: String, of backend: BackendID) throws(StoreError) -> Revocation? {
        let place = try read(
            """
            SELECT fencing_token, drone, l.revision FROM backend JOIN drone_lease l USING (drone) WHERE id = $1
            """, [.text(backend.text)])
        guard !place.rows.isEmpty, let number = place.integer(0, 0) else { return nil }
        let drone = try StoredText.checked { () throws(InvalidValue) in try DroneName(place.text(0, 1) ?? "") }
        let tokens = try Self.tokens(
            try read(
                "SELECT token FROM token WHERE backend = $1 AND user_name = $2 AND revoked_at IS NULL ORDER BY token",
                [.integer(number), .text(user)]))
        // Nothing changes, so there is no order.
        if tokens.isEmpty { return Revocation(drone: drone, revision: place.integer(0, 2) ?? 0, tokens: []) }
        let written = try write(
            """
            WITH next AS (UPDATE drone_lease SET revision = revision + 1 WHERE drone = $1 RETURNING revision),
            revoked AS (
                UPDATE token SET revoked_for = $1, revoked_at = next.revision FROM next
                WHERE backend = $2 AND user_name = $3 AND revoked_at IS NULL)
            SELECT revision FROM next
            """, [.text(drone.text), .integer(number), .text(user)])
        guard !written.rows.isEmpty, let revision = written.integer(0, 0) else { throw Self.missingRow }
        notices.touch(drone)
        return Revocation(drone: drone, revision: revision, tokens: tokens)
    }

    func revokedTokens(for drone: DroneName, after revision: Int64) throws(StoreError) -> [BearerToken] {
        try Self.tokens(
            try read(
                """
                SELECT token FROM token WHERE revoked_for = $1 AND revoked_at > $2 AND expires_ms > $3
                ORDER BY revoked_at, token
                """, [.text(drone.text), .integer(revision), .integer(nowMilliseconds)]))
    }

    /// Reads all rows, of a token each.
    private static func tokens(_ found: borrowing PostgresResult) throws(StoreError) -> [BearerToken] {
        var tokens: [BearerToken] = []
        for row in found.rows {
            guard let token = found.text(row, 0).flatMap(BearerToken.init) else {
                throw StoreError(.corrupt, message: "the database holds a token that is none")
            }
            tokens.append(token)
        }
        return tokens
    }
}

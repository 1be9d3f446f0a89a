internal import Model

/// Tokens. One that was revoked stays until its time is over, so that a drone which was away learns of it.
extension SQLiteTransaction {
    func insert(_ token: TokenRow) throws(StoreError) {
        var statement = try connection.statement(
            """
            INSERT INTO token (token, backend, user, auth, secret, expires_ms)
            VALUES (?, (SELECT fencing_token FROM backend WHERE id = ?), ?, ?, ?, ?)
            """)
        try statement.bind(token.token.text)
        try statement.bind(token.backend.text)
        try statement.bind(token.user)
        try statement.bind(token.auth)
        try statement.bind(token.secret)
        try statement.bind(token.expiresMilliseconds)
        try statement.run()
    }

    func route(_ token: BearerToken) throws(StoreError) -> Route? {
        switch token.kind {
        case .dynamic: return try dynamicRoute(token)
        case .fixed:
            var statement = try connection.statement("SELECT * FROM backend_row WHERE static_token = ?")
            try statement.bind(token.text)
            return try statement.step() ? .fixed(token, try statement.backendRow()) : nil
        }
    }

    private func dynamicRoute(_ token: BearerToken) throws(StoreError) -> Route? {
        var statement = try connection.statement(
            "SELECT backend, user, auth, secret, expires_ms FROM token WHERE token = ? AND revoked_at IS NULL")
        try statement.bind(token.text)
        guard try statement.step() else { return nil }
        var target = try connection.statement("SELECT * FROM backend_row WHERE fencing_token = ?")
        try target.bind(statement.integer(0))
        guard try target.step() else { return nil }
        let backend = try target.backendRow()
        let row = TokenRow(
            token: token, backend: backend.id, user: statement.text(1), auth: statement.text(2) ?? "{}",
            secret: statement.text(3) ?? "", expiresMilliseconds: statement.integer(4) ?? 0)
        return .dynamic(row, backend)
    }

    func revoke(_ user: String, of backend: BackendID) throws(StoreError) -> Revocation? {
        guard let (number, drone, revision) = try place(of: backend) else { return nil }
        let tokens = try tokens(of: user, for: number)
        // Nothing changes, so there is no order.
        if tokens.isEmpty { return Revocation(drone: drone, revision: revision, tokens: []) }
        guard let next = try nextRevision(of: drone) else { return nil }
        var statement = try connection.statement(
            """
            UPDATE token SET revoked_for = ?, revoked_at = ? WHERE backend = ? AND user = ? AND revoked_at IS NULL
            """)
        try statement.bind(drone.text)
        try statement.bind(next)
        try statement.bind(number)
        try statement.bind(user)
        try statement.run()
        return Revocation(drone: drone, revision: next, tokens: tokens)
    }

    /// The number of a backend's row, its drone and that drone's revision.
    private func place(of backend: BackendID) throws(StoreError) -> (Int64, DroneName, Int64)? {
        var statement = try connection.statement(
            """
            SELECT b.fencing_token, d.name, d.revision FROM backend b JOIN drone d ON d.name = b.drone WHERE b.id = ?
            """)
        try statement.bind(backend.text)
        guard try statement.step(), let number = statement.integer(0) else { return nil }
        let drone = try StoredText.checked { () throws(InvalidValue) in try DroneName(statement.text(1) ?? "") }
        return (number, drone, statement.integer(2) ?? 0)
    }

    private func tokens(of user: String, for row: Int64) throws(StoreError) -> [BearerToken] {
        var statement = try connection.statement(
            "SELECT token FROM token WHERE backend = ? AND user = ? AND revoked_at IS NULL ORDER BY token")
        try statement.bind(row)
        try statement.bind(user)
        return try statement.tokens()
    }

    func revokedTokens(for drone: DroneName, after revision: Int64) throws(StoreError) -> [BearerToken] {
        var statement = try connection.statement(
            """
            SELECT token FROM token WHERE revoked_for = ? AND revoked_at > ? AND expires_ms > ?
            ORDER BY revoked_at, token
            """)
        try statement.bind(drone.text)
        try statement.bind(revision)
        try statement.bind(nowMilliseconds)
        return try statement.tokens()
    }
}

extension SQLiteStatement {
    /// Reads all rows that are left, of a token each.
    fileprivate mutating func tokens() throws(StoreError) -> [BearerToken] {
        var tokens: [BearerToken] = []
        while try step() {
            guard let token = text(0).flatMap(BearerToken.init) else {
                throw StoreError(.corrupt, message: "the database holds a token that is none")
            }
            tokens.append(token)
        }
        return tokens
    }
}

import Model
import Store

/// Tokens. One that was revoked stays until its time is over.
extension MemoryTransaction {
    func insert(_ token: TokenRow) throws(StoreError) {
        guard database.backends[token.backend] != nil else {
            throw StoreError(.conflict, message: "a token must lead to a backend")
        }
        if database.tokens[token.token] != nil { throw StoreError(.conflict, message: "the token is used") }
        database.set(MemoryDatabase.StoredToken(row: token, revoked: nil), for: token.token)
    }

    func route(_ token: BearerToken) throws(StoreError) -> Route? {
        switch token.kind {
        case .dynamic:
            guard let stored = database.tokens[token], stored.revoked == nil,
                let backend = database.backends[stored.row.backend]
            else { return nil }
            return .dynamic(stored.row, backend)
        case .fixed:
            return database.byStaticToken[token].flatMap { database.backends[$0] }.map { .fixed(token, $0) }
        }
    }

    func revoke(_ user: String, of backend: BackendID) throws(StoreError) -> Revocation? {
        guard let row = database.backends[backend], let drone = database.drones[row.spec.drone] else { return nil }
        let tokens = (database.tokensOfBackend[backend] ?? [])
            .filter { token in
                guard let stored = database.tokens[token], stored.revoked == nil else { return false }
                return stored.row.user.map { sameBytes($0, user) } ?? false
            }
            .sorted { $0.text < $1.text }
        // Nothing changes, so there is no order.
        guard !tokens.isEmpty, let revision = nextRevision(of: drone.name) else {
            return Revocation(drone: drone.name, revision: drone.revision, tokens: [])
        }
        for token in tokens {
            guard var stored = database.tokens[token] else { continue }
            stored.revoked = (drone.name, revision)
            database.set(stored, for: token)
        }
        return Revocation(drone: drone.name, revision: revision, tokens: tokens)
    }

    func revokedTokens(for drone: DroneName, after revision: Int64) throws(StoreError) -> [BearerToken] {
        var found: [(revision: Int64, token: BearerToken)] = []
        for (token, stored) in database.tokens where stored.row.expiresMilliseconds > nowMilliseconds {
            guard let revoked = stored.revoked, revoked.drone == drone, revoked.revision > revision else { continue }
            found.append((revoked.revision, token))
        }
        return found.sorted { ($0.revision, $0.token.text) < ($1.revision, $1.token.text) }.map(\.token)
    }

    func deleteTokens(expiredBefore milliseconds: Int64, limit: Int) throws(StoreError) -> Int {
        let expired = database.tokens.values.map(\.row).filter { $0.expiresMilliseconds < milliseconds }
            .sorted { ($0.expiresMilliseconds, $0.token.text) < ($1.expiresMilliseconds, $1.token.text) }
            .prefix(limit)
        for row in expired { database.set(nil, for: row.token) }
        return expired.count
    }
}

package import Linux
package import Model

/// Which tokens this drone's proxy was told, and which it has asked about.
///
/// Pure: it sends nothing. An unanswered question is not answered with "unknown": that would tell a client that its
/// backend is gone when only the controller is; the proxy answers 503 by itself when it has waited long enough.
package struct RouteBook: Equatable, Sendable {
    /// What the drone does now.
    package enum Action: Equatable, Sendable {
        /// Ask the controller what this token leads to.
        case ask(token: String)
        /// Tell the proxy.
        case set(RouteGrant, expires: BootInstant)
        /// Tell the proxy that the token leads nowhere.
        case unknown(token: String)
        /// Tell the proxy that the token leads nowhere any more.
        case remove(token: String)
        /// Tell the proxy to cut what is open by the token.
        case cut(token: String)
    }

    /// Whether a grant's backend takes requests on this drone.
    package enum Reach: Sendable {
        case reachable
        case unreachable
    }

    /// Questions at one time; a flood of invented tokens must not grow the drone or bury the controller.
    package static let askedMax = 1024
    /// How long a question is kept; longer than the proxy holds its request.
    package static let askLimit = Duration.seconds(10)
    /// Tokens kept for one backend; the oldest are forgotten first, and asked for again when they come.
    package static let tokensMax = 4096

    /// Revoked tokens that are remembered; about older ones the controller is asked, which knows them as long as it must.
    package static let revokedMax = 16_384

    private var asked: [String: BootInstant] = [:]
    private var revoked: Set<String> = []
    private var revokedInOrder: [String] = []
    private var oldestRevoked = 0
    private var granted: [String: [Grant]] = [:]
    /// Tokens of backends that take no requests any more, until the backend is forgotten: nobody needs to be asked.
    private var shut: [String: String] = [:]

    private struct Grant: Equatable {
        let token: String
        let expires: BootInstant
    }

    /// Empty.
    package init() {}

    /// A request came for a token that the proxy does not know.
    package mutating func needed(_ token: String, now: BootInstant) -> [Action] {
        if shut[token] != nil || revoked.contains(token) { return [.unknown(token: token)] }
        if let since = asked[token], now - since < .seconds(1) { return [] }
        if asked[token] == nil, asked.count >= Self.askedMax {
            asked = asked.filter { now - $0.value < Self.askLimit }
            if asked.count >= Self.askedMax { return [.unknown(token: token)] }
        }
        asked[token] = now
        return [.ask(token: token)]
    }

    /// The controller can be reached again: what was asked before may not have arrived.
    package mutating func linkOpened(now: BootInstant) -> [Action] {
        asked = asked.filter { now - $0.value < Self.askLimit }
        return asked.keys.sorted().map { .ask(token: $0) }
    }

    /// The controller said what a token leads to, asked or not. Its lifetime counts from now, when it arrives: the
    /// controller, which counts from its sending, lets go of it first. From its end on the proxy lets no request of the token
    /// in; what is open then goes on until it ends by itself, is revoked, or its backend ends.
    package mutating func granted(_ grant: RouteGrant, _ reach: Reach, now: BootInstant) -> [Action] {
        let wasAsked = asked.removeValue(forKey: grant.token) != nil
        // An answer that was on its way when the token was revoked.
        if revoked.contains(grant.token) { return wasAsked ? [.unknown(token: grant.token)] : [] }
        switch reach {
        case .unreachable: return wasAsked ? [.unknown(token: grant.token)] : []
        case .reachable:
            let expires = grant.lifetimeMilliseconds.map { now + .milliseconds($0) } ?? BootInstant(nanoseconds: .max)
            shut[grant.token] = nil
            remember(grant, expires: expires, now: now)
            return [.set(grant, expires: expires)]
        }
    }

    /// The controller said that a token leads nowhere.
    package mutating func denied(_ token: String) -> [Action] {
        asked[token] = nil
        return [.unknown(token: token)]
    }

    /// Tokens lead nowhere any more, for good. Those that are not known are remembered as well: their grant may be on its way.
    package mutating func revoked(_ tokens: [String]) -> [Action] {
        var actions: [Action] = []
        for token in tokens {
            let wasAsked = asked.removeValue(forKey: token) != nil
            rememberRevoked(token)
            actions += [.remove(token: token), .cut(token: token)]
            if wasAsked { actions.append(.unknown(token: token)) }
        }
        return actions
    }

    /// A backend takes no requests any more.
    package mutating func closed(backend: String) -> [Action] {
        let grants = granted.removeValue(forKey: backend) ?? []
        for grant in grants { shut[grant.token] = backend }
        return grants.map { .remove(token: $0.token) }
    }

    /// A backend is forgotten; about its tokens only the controller knows.
    package mutating func forgotten(backend: String) { shut = shut.filter { $0.value != backend } }

    private mutating func rememberRevoked(_ token: String) {
        guard revoked.insert(token).inserted else { return }
        if revokedInOrder.count < Self.revokedMax { return revokedInOrder.append(token) }
        revoked.remove(revokedInOrder[oldestRevoked])
        revokedInOrder[oldestRevoked] = token
        oldestRevoked = (oldestRevoked + 1) % Self.revokedMax
    }

    private mutating func remember(_ grant: RouteGrant, expires: BootInstant, now: BootInstant) {
        var tokens = granted[grant.backend] ?? []
        tokens.removeAll { $0.token == grant.token }
        if tokens.count >= Self.tokensMax {
            tokens.removeAll { $0.expires <= now }
            if tokens.count >= Self.tokensMax { tokens.removeFirst() }
        }
        tokens.append(Grant(token: grant.token, expires: expires))
        granted[grant.backend] = tokens
    }
}

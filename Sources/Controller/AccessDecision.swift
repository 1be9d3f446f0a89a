import Model

/// What a request needs before it is answered. Pure.
enum AccessDecision: Equatable {
    /// Let it in.
    case admit(LinkAdmission)
    /// Answer 401.
    case refuse(Failure)
    /// Ask the one who is asked about requests without a token.
    case askForward

    /// What kind of thing a request is about.
    enum Area {
        /// Open to all.
        case open
        /// The trusted API.
        case api
        /// A drone's connection.
        case droneSocket
    }

    /// - Parameters:
    ///   - presented: the token that came with the request.
    ///   - apiTokens: the tokens that open the API; nil when none are asked for.
    ///   - droneSecrets: the secrets that open the drone socket; nil when drones need none of their own.
    ///   - isForwarded: whether somebody is to be asked about what no token decides.
    static func decide(
        _ area: Area, presented: String?, apiTokens: SecretTable<String>?, droneSecrets: SecretTable<DroneName>?,
        isForwarded: Bool
    ) -> AccessDecision {
        switch area {
        case .open: return .admit(.anyDrone)
        case .droneSocket:
            if let droneSecrets {
                if let owner = presented.flatMap({ droneSecrets.search($0).owner }) { return .admit(.only(owner)) }
                return .refuse(.unauthorized(presented, wanted: "the drone's own secret (--drone-secrets)"))
            }
        case .api: break
        }
        if let apiTokens, let presented, apiTokens.search(presented).owner != nil { return .admit(.anyDrone) }
        if isForwarded { return .askForward }
        if apiTokens == nil { return .admit(.anyDrone) }
        return .refuse(.unauthorized(presented, wanted: "an API token"))
    }
}

extension Failure {
    /// RFC 6750 section 3: which scheme is wanted, and, where a token came, that it is the reason.
    static func unauthorized(_ presented: String?, wanted: String) -> Failure {
        let found = presented == nil ? "none came with it" : "the one that came with it is not known here"
        var failure = Failure(
            .unauthorized, "This request needs \(wanted) as \"Authorization: Bearer …\", and \(found).")
        failure.authenticate = "Bearer realm=\"plane\"" + (presented == nil ? "" : ", error=\"invalid_token\"")
        return failure
    }
}

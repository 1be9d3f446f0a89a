public import Model

/// What is decided about a backend when it is made, and never changes.
public struct BackendSpec: Hashable, Sendable {
    /// Its id.
    public var id: BackendID
    /// The key it was made for.
    public var key: KeyConfig
    /// Where it runs.
    public var cluster: ClusterName
    /// The pool that was asked for.
    public var pool: String
    /// The drone that was chosen.
    public var drone: DroneName
    /// What it runs.
    public var executable: Executable
    /// Its own token, if it has one.
    public var staticToken: BearerToken?
    /// The host label its requests come under; nil for any.
    public var subdomain: String?
    /// Seconds that it may live; nil for ever.
    public var lifetimeLimitSeconds: Int64?
    /// Seconds without connection or request until it is swept; nil never.
    public var maxIdleSeconds: Int64?

    /// - Parameters: as the properties say.
    public init(
        id: BackendID, key: KeyConfig, cluster: ClusterName, pool: String, drone: DroneName, executable: Executable,
        staticToken: BearerToken? = nil, subdomain: String? = nil, lifetimeLimitSeconds: Int64? = nil,
        maxIdleSeconds: Int64? = nil
    ) {
        self.id = id
        self.key = key
        self.cluster = cluster
        self.pool = pool
        self.drone = drone
        self.executable = executable
        self.staticToken = staticToken
        self.subdomain = subdomain
        self.lifetimeLimitSeconds = lifetimeLimitSeconds
        self.maxIdleSeconds = maxIdleSeconds
    }
}

/// That somebody asked for a backend's end. Stays on the row until it has ended, so that a drone which was away learns
/// of it when it returns.
public struct DesiredEnd: Hashable, Sendable {
    /// How.
    public var kind: TerminationKind
    /// Why.
    public var reason: TerminationReason

    /// - Parameters: as the properties say.
    public init(kind: TerminationKind, reason: TerminationReason) {
        self.kind = kind
        self.reason = reason
    }
}

/// A backend as the store knows it.
public struct BackendRow: Hashable, Sendable {
    /// What never changes.
    public var spec: BackendSpec
    /// The fencing token of its lease.
    public var fencingToken: FencingToken
    /// The furthest state that was recorded.
    public var state: BackendState
    /// Whether its end was asked for.
    public var desiredEnd: DesiredEnd?
    /// When it was made, the store's clock, milliseconds since 1970.
    public var createdMilliseconds: Int64
    /// When `state` was recorded, the store's clock, milliseconds since 1970.
    public var changedMilliseconds: Int64
    /// How many connects were answered with it.
    public var connects: Int64

    /// - Parameters: as the properties say.
    public init(
        spec: BackendSpec, fencingToken: FencingToken, state: BackendState, desiredEnd: DesiredEnd?,
        createdMilliseconds: Int64, changedMilliseconds: Int64, connects: Int64 = 0
    ) {
        self.spec = spec
        self.fencingToken = fencingToken
        self.state = state
        self.desiredEnd = desiredEnd
        self.createdMilliseconds = createdMilliseconds
        self.changedMilliseconds = changedMilliseconds
        self.connects = connects
    }

    /// Its id.
    public var id: BackendID { spec.id }

    /// Whether it ends, or will as soon as its drone hears of it: a URL to it would soon answer 410.
    public var isEnding: Bool { state.status >= .terminating || desiredEnd != nil }
}

/// A token of one connect call.
public struct TokenRow: Hashable, Sendable {
    /// The token in the URL.
    public var token: BearerToken
    /// The backend it leads to.
    public var backend: BackendID
    /// The caller's user.
    public var user: String?
    /// The caller's `auth`, compact JSON.
    public var auth: String
    /// x-verified-secret.
    public var secret: String
    /// When it ends, the store's clock, milliseconds since 1970.
    public var expiresMilliseconds: Int64

    /// - Parameters: as the properties say.
    public init(
        token: BearerToken, backend: BackendID, user: String?, auth: String, secret: String, expiresMilliseconds: Int64
    ) {
        self.token = token
        self.backend = backend
        self.user = user
        self.auth = auth
        self.secret = secret
        self.expiresMilliseconds = expiresMilliseconds
    }
}

/// What a token leads to.
public enum Route: Hashable, Sendable {
    /// One connect call's token.
    case dynamic(TokenRow, BackendRow)
    /// The backend's own token.
    case fixed(BearerToken, BackendRow)

    /// The backend at the end of it.
    public var backend: BackendRow {
        switch self {
        case .dynamic(_, let backend), .fixed(_, let backend): backend
        }
    }
}

/// Whether new backends may be placed on a drone.
public enum Willingness: Int64, Hashable, Sendable {
    /// It takes backends.
    case accepting = 0
    /// It keeps those it has and takes no new ones.
    case draining = 1
}

/// A drone that has said hello at some time.
public struct DroneRow: Hashable, Sendable {
    /// Its name, unique over all clusters.
    public var name: DroneName
    /// The cluster it serves.
    public var cluster: ClusterName
    /// Its pool.
    public var pool: String
    /// Version of its program.
    public var version: String
    /// The drone process that said hello last.
    public var session: String
    /// Images that it can start, sorted.
    public var images: [ImageName]
    /// Whether it takes new backends. Survives the drone's restart.
    public var willingness: Willingness
    /// Backends on it that have not terminated.
    public var backendCount: Int64
    /// When it was known to be there last, the store's clock, milliseconds since 1970.
    public var seenMilliseconds: Int64

    /// - Parameters: as the properties say.
    public init(
        name: DroneName, cluster: ClusterName, pool: String, version: String, session: String, images: [ImageName],
        willingness: Willingness = .accepting, backendCount: Int64 = 0, seenMilliseconds: Int64 = 0
    ) {
        self.name = name
        self.cluster = cluster
        self.pool = pool
        self.version = version
        self.session = session
        self.images = images
        self.willingness = willingness
        self.backendCount = backendCount
        self.seenMilliseconds = seenMilliseconds
    }
}

/// One line of a backend's history.
public struct HistoryRow: Hashable, Sendable {
    /// Grows with each line of any backend.
    public var number: Int64
    /// Where the backend was from then on.
    public var state: BackendState
    /// When, the store's clock, milliseconds since 1970.
    public var milliseconds: Int64

    /// - Parameters: as the properties say.
    public init(number: Int64, state: BackendState, milliseconds: Int64) {
        self.number = number
        self.state = state
        self.milliseconds = milliseconds
    }

    /// Its public form.
    public var entry: StatusEntry { StatusEntry(state, time: milliseconds) }
}

/// What became of a reported state.
public enum Recording: Hashable, Sendable {
    /// It is the backend's state now, and this is the line of its history.
    case recorded(HistoryRow)
    /// The backend was at least as far already.
    case stale(BackendStatus)
    /// There is no such backend.
    case unknownBackend
}

/// What became of a request to end a backend.
public enum EndRequest: Hashable, Sendable {
    /// It is on the row, with the stronger kind if there were two.
    case requested(BackendRow)
    /// The backend has terminated already.
    case alreadyTerminated
    /// There is no such backend.
    case unknownBackend
}

/// Which backends a listing shows.
public enum BackendSelection: Hashable, Sendable {
    /// Those that have not terminated.
    case live
    /// Those that have terminated, too, until they are cleaned up.
    case all
}

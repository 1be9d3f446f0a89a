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
    /// What its drone promises it; counted against the drone's capacity until it has terminated.
    public var promise: ResourceAmount

    /// - Parameters: as the properties say.
    public init(
        id: BackendID, key: KeyConfig, cluster: ClusterName, pool: String, drone: DroneName, executable: Executable,
        staticToken: BearerToken? = nil, subdomain: String? = nil, lifetimeLimitSeconds: Int64? = nil,
        maxIdleSeconds: Int64? = nil, promise: ResourceAmount = .zero
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
        self.promise = promise
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
    /// The session of its drone that it was placed under.
    public var session: SessionNumber
    /// The drone's revision when an order about it was last added: that it be started, or that it end.
    public var revision: Int64
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
        spec: BackendSpec, fencingToken: FencingToken, session: SessionNumber, revision: Int64, state: BackendState,
        desiredEnd: DesiredEnd?, createdMilliseconds: Int64, changedMilliseconds: Int64, connects: Int64 = 0
    ) {
        self.spec = spec
        self.fencingToken = fencingToken
        self.session = session
        self.revision = revision
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
public enum Willingness: Hashable, Sendable {
    /// It takes backends.
    case accepting
    /// It keeps those it has and takes no new ones. The deadline, on the store's clock in milliseconds since 1970, is when
    /// those that are left are asked to end; nil never.
    case draining(endAtMilliseconds: Int64?)

    /// Whether it takes no new ones.
    public var isDraining: Bool { self != .accepting }
}

/// What a drone's hello says of it.
public struct DroneGreeting: Hashable, Sendable {
    /// Its name, unique over all clusters.
    public var name: DroneName
    /// The cluster it serves.
    public var cluster: ClusterName
    /// Its pool.
    public var pool: String
    /// Version of its program.
    public var version: String
    /// The drone process: random, new with each start.
    public var process: String
    /// Whose sandboxes it speaks for.
    public var machine: MachineIdentity
    /// Images that it can start, sorted by name, each once.
    public var images: [OfferedImage]
    /// Memory and processors that it has for promises.
    public var capacity: ResourceAmount

    /// - Parameters: as the properties say.
    public init(
        name: DroneName, cluster: ClusterName, pool: String, version: String, process: String,
        machine: MachineIdentity, images: [OfferedImage], capacity: ResourceAmount
    ) {
        self.name = name
        self.cluster = cluster
        self.pool = pool
        self.version = version
        self.process = process
        self.machine = machine
        self.images = images
        self.capacity = capacity
    }
}

/// A drone that has said hello at some time.
public struct DroneRow: Hashable, Sendable {
    /// What it said last.
    public var greeting: DroneGreeting
    /// Its session; nil when it holds none: it never began one, or the last one was ended.
    public var session: SessionNumber?
    /// Grows with each hello and each renewal that was recorded. Whoever sees it unchanged for the time of a lease, by one
    /// clock, has proof that the drone's deadlines are over.
    public var renewals: Int64
    /// The longest expiry, in milliseconds from a renewal's receipt, that a controller granted under this session; what
    /// counts is the longer of it and a controller's own.
    public var leaseMilliseconds: Int64
    /// The controller that it is connected to; nil when none says so.
    public var controller: ControllerName?
    /// Grows with each order for it that is added: a backend to start or to end, tokens to revoke.
    public var revision: Int64
    /// Whether it takes new backends. Survives the drone's restart.
    public var willingness: Willingness
    /// Backends on it that have not terminated.
    public var backendCount: Int64
    /// What these were promised together.
    public var promised: ResourceAmount
    /// When it was known to be there last, the store's clock, milliseconds since 1970.
    public var seenMilliseconds: Int64

    /// Its name.
    public var name: DroneName { greeting.name }

    /// - Parameters: as the properties say.
    public init(
        greeting: DroneGreeting, session: SessionNumber?, renewals: Int64, controller: ControllerName?,
        leaseMilliseconds: Int64 = 0, revision: Int64 = 0, willingness: Willingness = .accepting,
        backendCount: Int64 = 0, promised: ResourceAmount = .zero, seenMilliseconds: Int64 = 0
    ) {
        self.greeting = greeting
        self.session = session
        self.renewals = renewals
        self.controller = controller
        self.leaseMilliseconds = leaseMilliseconds
        self.revision = revision
        self.willingness = willingness
        self.backendCount = backendCount
        self.promised = promised
        self.seenMilliseconds = seenMilliseconds
    }
}

/// A controller that uses the store.
public struct ControllerRow: Hashable, Sendable {
    /// Its name.
    public var name: ControllerName
    /// Version of its program.
    public var version: String
    /// Grows with each beat; whoever sees it unchanged for long, by one clock, takes the controller for dead.
    public var beats: Int64
    /// When it beat last, the store's clock, milliseconds since 1970. For people only.
    public var seenMilliseconds: Int64

    /// - Parameters: as the properties say.
    public init(name: ControllerName, version: String, beats: Int64, seenMilliseconds: Int64) {
        self.name = name
        self.version = version
        self.beats = beats
        self.seenMilliseconds = seenMilliseconds
    }
}

/// What became of a revocation.
public struct Revocation: Hashable, Sendable {
    /// The drone that has to be told.
    public var drone: DroneName
    /// The drone's revision with it.
    public var revision: Int64
    /// The tokens that lead nowhere any more, those revoked by this call only.
    public var tokens: [BearerToken]

    /// - Parameters: as the properties say.
    public init(drone: DroneName, revision: Int64, tokens: [BearerToken]) {
        self.drone = drone
        self.revision = revision
        self.tokens = tokens
    }
}

/// A place in the list of held keys, which is ordered by namespace, then name.
public struct KeyPosition: Hashable, Sendable {
    /// Of the key before it.
    public var namespace: String
    /// Of the key before it.
    public var name: String

    /// - Parameters: as the properties say.
    public init(namespace: String, name: String) {
        self.namespace = namespace
        self.name = name
    }
}

/// What another user of a shared store changed. Only a hint to look: one may come twice, late, or never.
public enum StoreNotice: Hashable, Sendable {
    /// A drone's row or its orders.
    case drone(DroneName)
    /// A backend's state.
    case backend(BackendID)
    /// Some were lost; anything may have changed.
    case missed
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

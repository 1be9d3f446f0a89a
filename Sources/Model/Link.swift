/// What a drone tells its controller over the link, one JSON text frame each.
public enum DroneMessage: Hashable, Sendable, Codable {
    /// The first message on every connection: all that the drone has. Both sides converge on it.
    case hello(DroneHello)
    /// Renews the session's lease. The drone's deadlines count from the moment it sends this.
    case renew(sequence: Int64)
    /// A backend's state, repeated until `stateSaved` answers it. The fencing token tells it from another backend that a
    /// restored database knows by the same id.
    case state(backend: String, fencingToken: Int64, state: BackendState)
    /// Asks whether a backend that nobody has used for its idle time may end; asked again until it is answered with
    /// `terminate` or `inUse`. The number is of the last connect that the drone has heard of, 0 for none.
    case sweep(backend: String, connects: Int64)
    /// Asks what a token leads to, when it was not pushed.
    case routeRequest(token: String)
    /// What the proxy did for backends since it was last told, those without a change left out. For people to see;
    /// nothing is decided by it.
    case traffic([BackendTraffic])
}

/// What a drone's proxy has done for one backend since the drone started.
public struct BackendTraffic: Hashable, Sendable, Codable {
    /// Which.
    public var backend: String
    /// Requests in flight and upgraded connections, now.
    public var connections: Int64
    /// Requests ever accepted for it.
    public var requests: Int64
    /// Bytes of bodies and tunnels that went through splice(2), both ways.
    public var bytesSpliced: Int64
    /// Bytes of bodies and tunnels that were copied, both ways.
    public var bytesCopied: Int64

    /// - Parameters: as the properties say.
    public init(backend: String, connections: Int64, requests: Int64, bytesSpliced: Int64, bytesCopied: Int64) {
        self.backend = backend
        self.connections = connections
        self.requests = requests
        self.bytesSpliced = bytesSpliced
        self.bytesCopied = bytesCopied
    }

    enum CodingKeys: String, CodingKey {
        case backend
        case connections
        case requests
        case bytesSpliced = "bytes_spliced"
        case bytesCopied = "bytes_copied"
    }
}

/// All that a drone has when it connects.
public struct DroneHello: Hashable, Sendable, Codable {
    /// The drone's name, the same after a restart.
    public var name: String
    /// Version of the program.
    public var version: String
    /// The cluster it serves.
    public var cluster: String
    /// Its pool.
    public var pool: String
    /// Random, new with each start of the drone process.
    public var process: String
    /// Whose sandboxes it speaks for, a `MachineIdentity`: what is missing from `backends` does not run there.
    public var machine: String
    /// Memory and processors that it has for promises.
    public var capacity: ResourceAmount
    /// Images it can start.
    public var images: [OfferedImage]
    /// Every backend it knows: running, or ended and not yet acknowledged.
    public var backends: [BackendReport]

    /// - Parameters: as the properties say.
    public init(
        name: String, version: String, cluster: String, pool: String, process: String, machine: String,
        capacity: ResourceAmount = .unbounded, images: [OfferedImage], backends: [BackendReport]
    ) {
        self.name = name
        self.version = version
        self.cluster = cluster
        self.pool = pool
        self.process = process
        self.machine = machine
        self.capacity = capacity
        self.images = images
        self.backends = backends
    }
}

/// An image that a drone can start.
public struct OfferedImage: Hashable, Sendable, Codable {
    /// Its name.
    public var name: String
    /// The most that a request may ask of it there, so that one that asks for more is refused before anything starts.
    public var ceilings: ResourceCeilings

    /// - Parameters: as the properties say.
    public init(name: String, ceilings: ResourceCeilings) {
        self.name = name
        self.ceilings = ceilings
    }
}

/// One backend as its drone knows it.
public struct BackendReport: Hashable, Sendable, Codable {
    /// Which.
    public var backend: String
    /// The fencing token it was started with.
    public var fencingToken: Int64
    /// Where it is.
    public var state: BackendState

    /// - Parameters: as the properties say.
    public init(backend: String, fencingToken: Int64, state: BackendState) {
        self.backend = backend
        self.fencingToken = fencingToken
        self.state = state
    }
}

/// What a controller tells a drone.
public enum ControllerMessage: Hashable, Sendable, Codable {
    /// Answers hello: the session, the times that hold from now on, and which backends to keep. Any other is to be killed.
    case welcome(controller: String, session: Int64, lease: LeaseTimes, keep: [String])
    /// Answers a renewal.
    case renewed(sequence: Int64)
    /// Start this backend. A drone that knows the id already ignores it.
    case spawn(SpawnOrder)
    /// End this backend. An id that the drone does not know is answered with terminated, lost.
    case terminate(backend: String, kind: TerminationKind, reason: TerminationReason)
    /// Answers a sweep: a connect with this number was answered with the backend, so its idle time starts anew.
    case inUse(backend: String, connects: Int64)
    /// A token now leads to a backend of this drone. Pushed before connect answers.
    case route(RouteGrant)
    /// Answers a route request; nil when the token leads nowhere.
    case routeAnswer(token: String, grant: RouteGrant?)
    /// These tokens lead nowhere any more: no new request of theirs is let in and their open connections are cut. Repeated
    /// when in doubt; a token that is not known changes nothing.
    case revoke(tokens: [String])
    /// A state is durable; the drone may forget it.
    case stateSaved(backend: String, status: BackendStatus)
}

/// All that a drone needs to start a backend and keep it.
public struct SpawnOrder: Hashable, Sendable, Codable {
    /// Its id.
    public var backend: String
    /// The session it was placed under; an order of another session than the drone's present one is not carried out.
    public var session: Int64
    /// Which image.
    public var image: String
    /// Environment beyond the image's.
    public var environment: [String: String]
    /// Tightened limits.
    public var limits: ResourceLimits
    /// The key's name, for SESSION_BACKEND_KEY.
    public var keyName: String
    /// The lease's fencing token.
    public var fencingToken: Int64
    /// The backend's own token, if it has one.
    public var staticToken: String?
    /// Seconds without connection or request until it is swept.
    public var maxIdleSeconds: Int64?
    /// Seconds that it may live.
    public var lifetimeLimitSeconds: Int64?

    /// - Parameters: as the properties say.
    public init(
        backend: String, session: Int64, image: String, environment: [String: String], limits: ResourceLimits,
        keyName: String, fencingToken: Int64, staticToken: String?, maxIdleSeconds: Int64?, lifetimeLimitSeconds: Int64?
    ) {
        self.backend = backend
        self.session = session
        self.image = image
        self.environment = environment
        self.limits = limits
        self.keyName = keyName
        self.fencingToken = fencingToken
        self.staticToken = staticToken
        self.maxIdleSeconds = maxIdleSeconds
        self.lifetimeLimitSeconds = lifetimeLimitSeconds
    }
}

/// What a token leads to.
public struct RouteGrant: Hashable, Sendable, Codable {
    /// The token in the URL's path.
    public var token: String
    /// The backend it leads to.
    public var backend: String
    /// The cluster whose host name requests must carry.
    public var cluster: String
    /// The host label requests must come under; nil for any.
    public var subdomain: String?
    /// x-verified-username; nil sends no such header.
    public var user: String?
    /// x-verified-user-data: compact JSON; nil for a static token.
    public var userData: String?
    /// x-verified-secret; empty for a static token.
    public var secretToken: String
    /// Milliseconds that the token still lives; nil as long as the backend.
    public var lifetimeMilliseconds: Int64?
    /// How many connects had been answered with the backend when this was written.
    public var connects: Int64

    /// - Parameters: as the properties say.
    public init(
        token: String, backend: String, cluster: String, subdomain: String?, user: String?, userData: String?,
        secretToken: String, lifetimeMilliseconds: Int64?,
        connects: Int64
    ) {
        self.token = token
        self.backend = backend
        self.cluster = cluster
        self.subdomain = subdomain
        self.user = user
        self.userData = userData
        self.secretToken = secretToken
        self.lifetimeMilliseconds = lifetimeMilliseconds
        self.connects = connects
    }
}

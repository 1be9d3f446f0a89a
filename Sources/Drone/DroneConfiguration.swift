public import HTTP
public import Linux
public import Model

/// How a drone is run; all of it from its command line.
public struct DroneConfiguration: Sendable {
    /// Who the drone is to its controller; the same after a restart.
    public var name: DroneName
    /// Any URL of each controller, 1…16; only host, port and user (as bearer token) of it are used. They share one store;
    /// the drone keeps to one of them until it is lost, and then goes to the next.
    public var controllerURLs: [HTTPURL]
    /// Shown to the controller as bearer token, instead of a user in the URL; nil for none. Never logged.
    public var secret: String?
    /// The cluster whose host names lead to this drone's proxy.
    public var cluster: ClusterName
    /// Which spawn requests it takes: those for exactly this pool. Empty by default.
    public var pool: String
    /// What may be promised to backends together.
    public var capacity: ResourceAmount
    /// Where the warden listens: `run/warden.sock` in the state folder.
    public var wardenSocketPath: String
    /// Where the proxy listens; port 0 lets the kernel choose.
    public var proxyAddress: SocketAddress
    /// Event loops of the proxy, 1…64.
    public var proxyThreads: Int
    /// Where the proxy sends `GET /`; nil answers 400.
    public var rootRedirect: String?
    /// Told to the controller and in the proxy's `Server` field.
    public var version: String
    /// What is demanded of the machine's cgroup v2.
    public var controllers: ControllerDemand
    /// Which user the drone is, once it has started.
    public var identity: Identity
    /// What becomes of backends when the drone is told to stop.
    public var stop: StopPolicy

    /// What is demanded of cgroup v2.
    public enum ControllerDemand: Sendable {
        /// Refuse to start when the warden misses one.
        case required
        /// Say loudly which limits are not enforced, and go on (`--allow-missing-controllers`).
        case optional
    }

    /// Which user the drone is.
    public enum Identity: Sendable {
        /// Whoever started it, who must not be root.
        case caller
        /// Root started it, and it becomes this user before it does anything else. Ignored when it was not root.
        case user(UInt32, group: UInt32)
    }

    /// What becomes of backends when the drone is told to stop.
    public enum StopPolicy: Sendable {
        /// They run on in the warden, for the next drone process to adopt, at most until their lease's deadline.
        case keepBackends
        /// They are killed and their end is reported first (`plane dev`).
        case stopBackends
    }

    /// Most controllers that one drone may be given.
    public static let controllersMax = 16
    /// Numeric user and group that need no account: 63180.
    public static let defaultUser: UInt32 = 63180

    /// - Parameters: as the properties say.
    public init(
        name: DroneName, controllerURLs: [HTTPURL], secret: String? = nil, cluster: ClusterName, pool: String = "",
        capacity: ResourceAmount = .unbounded, wardenSocketPath: String, proxyAddress: SocketAddress,
        proxyThreads: Int = 1, rootRedirect: String? = nil, version: String,
        controllers: ControllerDemand = .required,
        identity: Identity = .user(DroneConfiguration.defaultUser, group: DroneConfiguration.defaultUser),
        stop: StopPolicy = .keepBackends
    ) {
        self.name = name
        precondition((1...Self.controllersMax).contains(controllerURLs.count), "a drone has 1 to 16 controllers")
        self.controllerURLs = controllerURLs
        self.secret = secret
        self.cluster = cluster
        self.pool = pool
        self.capacity = capacity
        self.wardenSocketPath = wardenSocketPath
        self.proxyAddress = proxyAddress
        self.proxyThreads = proxyThreads
        self.rootRedirect = rootRedirect
        self.version = version
        self.controllers = controllers
        self.identity = identity
        self.stop = stop
    }
}

/// Why a drone does not start or could not go on, as a sentence with the next step.
public struct DroneRefusal: Error, Equatable, CustomStringConvertible {
    public let description: String

    init(_ sentence: String) { description = sentence }
}

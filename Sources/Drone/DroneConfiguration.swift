public import HTTP
public import Linux
public import Model

/// How a drone is run; all of it from its command line.
public struct DroneConfiguration: Sendable {
    /// Who the drone is to its controller; the same after a restart.
    public var name: DroneName
    /// Any URL of the controller; only host, port and user (as bearer token) of it are used.
    public var controllerURL: HTTPURL
    /// The cluster whose host names lead to this drone's proxy.
    public var cluster: ClusterName
    /// Which spawn requests it takes: those for exactly this pool. Empty by default.
    public var pool: String
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

    /// Numeric user and group that need no account: 63180.
    public static let defaultUser: UInt32 = 63180

    /// - Parameters: as the properties say.
    public init(
        name: DroneName, controllerURL: HTTPURL, cluster: ClusterName, pool: String = "", wardenSocketPath: String,
        proxyAddress: SocketAddress, proxyThreads: Int = 1, rootRedirect: String? = nil, version: String,
        controllers: ControllerDemand = .required,
        identity: Identity = .user(DroneConfiguration.defaultUser, group: DroneConfiguration.defaultUser),
        stop: StopPolicy = .keepBackends
    ) {
        self.name = name
        self.controllerURL = controllerURL
        self.cluster = cluster
        self.pool = pool
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

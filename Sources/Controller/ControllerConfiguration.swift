public import Linux
public import Model

/// All that a controller is told when it starts.
public struct ControllerConfiguration: Sendable {
    /// Where its HTTP server listens.
    public var address: SocketAddress
    /// How clients reach it: the beginning of every `status_url`. Without a slash at its end.
    public var controllerURL: String
    /// The cluster of a connect that names none; nil refuses those.
    public var defaultCluster: ClusterName?
    /// The database file; its folder must exist.
    public var databasePath: String
    /// How long drones may be silent, and what follows when.
    public var lease: LeaseTimes
    /// Of how many drones, drawn at random, the least loaded takes a new backend. The reference's `--best-of`.
    public var bestOf: Int
    /// The version that `/ctrl/status` tells.
    public var version: String
    /// The hash of the source that `/ctrl/status` tells: 8 hexadecimal digits, or `unknown`.
    public var sourceHash: String

    /// Everything that has no default; the rest is at its default and may be set afterwards.
    public init(address: SocketAddress, controllerURL: String, databasePath: String, version: String) {
        self.address = address
        self.controllerURL = controllerURL
        self.databasePath = databasePath
        self.version = version
        lease = .standard
        bestOf = 2
        sourceHash = "unknown"
    }

    /// How long a connect waits for the end of the key's ending backend before it is refused.
    static let endWait = Duration.seconds(15)
    /// How long a connect waits for the return of a drone that is silent but not yet given up.
    static let droneWait = Duration.seconds(5)
    /// How long a token of one connect call leads anywhere. The reference's value.
    static let tokenLifetimeMilliseconds: Int64 = 3_600_000
    /// How long terminated backends, with their history and tokens, and absent drones are kept.
    static let endedKeptMilliseconds: Int64 = 7 * 24 * 3_600_000
    /// Between two cleanings. The reference's value.
    static let cleaningInterval = Duration.seconds(180)
    /// Most rows of one kind that one job deletes, so that no connect waits long behind it.
    static let cleaningBatch = 500
    /// Between two comments on a silent status stream. The reference's value.
    static let keepAliveInterval = Duration.seconds(15)
    /// How long a drone may take from the socket's opening to its hello.
    static let helloLimit = Duration.seconds(10)
    /// Bytes of one frame of a drone: a hello with 50,000 backends fits.
    static let linkMessageBytesMax = 16 * 1024 * 1024
    /// Between two pings to a drone.
    static let linkPingInterval = Duration.seconds(3)
    /// A drone that was not heard for that long is not connected any more, so that connects wait for it instead of
    /// leading to a host that may be dead. The drone holds its controller to the same.
    static let linkSilenceLimit = Duration.seconds(9)
    /// How long pending requests may take when the controller stops; the reference's 2 s less the rest of stopping.
    static let stopGrace = Duration.milliseconds(1500)
}

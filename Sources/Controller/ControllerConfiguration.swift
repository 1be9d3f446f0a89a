import HTTP
public import Linux
public import Model
import Store

/// All that a controller is told when it starts.
public struct ControllerConfiguration: Sendable {
    /// Where its HTTP server listens.
    public var address: SocketAddress
    /// How clients reach it: the beginning of every `status_url`. Without a slash at its end.
    public var controllerURL: String
    /// The cluster of a connect that names none; nil refuses those.
    public var defaultCluster: ClusterName?
    /// What is durable, and where.
    public var database: Database
    /// How long drones may be silent, and what follows when.
    public var lease: LeaseTimes
    /// Of how many drones, drawn at random, the least loaded takes a new backend. The reference's `--best-of`.
    public var bestOf: Int
    /// The version that `/ctrl/status` tells.
    public var version: String
    /// The hash of the source that `/ctrl/status` tells: 8 hexadecimal digits, or `unknown`.
    public var sourceHash: String

    /// Who may call it.
    public var access = AccessConfiguration()
    /// What a client of its HTTP server may use up.
    var limits = Self.standardLimits

    /// Bodies up to 1 MiB: the largest request that is taken has a tenth of that.
    static var standardLimits: HTTPServer.Limits {
        var limits = HTTPServer.Limits()
        limits.bodyByteCountMax = 1 << 20
        limits.bodyDeadline = .seconds(30)
        limits.connectionCountMax = 16_384
        return limits
    }

    /// A database.
    public enum Database: Hashable, Sendable {
        /// A file, for one controller; its folder must exist.
        case sqlite(path: String)
        /// PostgreSQL, which any number of controllers share.
        case postgres(url: String)

        /// Reads what a person wrote: `postgres://…` or `postgresql://…`, else a file, also as `sqlite:FILE`.
        public init(_ text: String) {
            if PostgresURL.isOne(text) {
                self = .postgres(url: text)
            } else {
                self = .sqlite(path: text.hasPrefix("sqlite:") ? String(text.dropFirst("sqlite:".count)) : text)
            }
        }
    }

    /// Everything that has no default; the rest is at its default and may be set afterwards.
    public init(address: SocketAddress, controllerURL: String, database: Database, version: String) {
        self.address = address
        self.controllerURL = controllerURL
        self.database = database
        self.version = version
        lease = .standard
        bestOf = 2
        sourceHash = "unknown"
    }

    /// How long a connect waits for the end of the key's ending backend before it is refused.
    static let endWait = Duration.seconds(15)
    /// How long a connect waits for the return of a drone that is silent but not yet given up.
    static let droneWait = Duration.seconds(5)
    /// How long a connect waits for its backend to be ready, if that was asked for.
    static let readyWait = Duration.seconds(120)
    /// Between two beats of a controller that shares its store.
    static let beatInterval = Duration.seconds(2)
    /// Between two readings of the rows, with a shared store.
    static let readInterval = Duration.seconds(1)
    /// Most drones in one page of a reading.
    static let readBatch = 500
    /// How long the row of a controller that does not beat any more is kept.
    static let deadControllerKeptMilliseconds: Int64 = 60_000
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

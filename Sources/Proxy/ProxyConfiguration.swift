public import Linux

/// What a proxy is started with.
public struct ProxyConfiguration: Sendable {
    /// Where it listens; port 0 lets the kernel choose, see ``Proxy/address``.
    public var address: SocketAddress
    /// Event loops, each with its own listener, 1…64. One serves a small machine: the kernel's TCP is the limit.
    public var threadCount: Int
    /// Client connections at one time, over all threads, at least 1. Each needs two descriptors.
    public var connectionLimit: Int
    /// Pipes at one time, over all threads. Without one a transfer is copied. An unprivileged user may own 256 of them
    /// at full size (pipe-user-pages-soft, pipe(7)).
    public var pipeLimit: Int
    /// The `Server` field of every response: `Plane/` and the version.
    public var serverName: String
    /// Where `GET /` is sent by a 301; nil answers it with 400.
    public var rootRedirect: String?
    /// How long things may take.
    public var deadlines: ProxyDeadlines

    /// - Parameters: as the properties say.
    public init(
        address: SocketAddress, threadCount: Int = 1, connectionLimit: Int = 8192, pipeLimit: Int = 192,
        serverName: String, rootRedirect: String? = nil, deadlines: ProxyDeadlines = ProxyDeadlines()
    ) {
        self.address = address
        self.threadCount = threadCount
        self.connectionLimit = connectionLimit
        self.pipeLimit = pipeLimit
        self.serverName = serverName
        self.rootRedirect = rootRedirect
        self.deadlines = deadlines
    }
}

/// How long a connection may stay in each of its phases. Tunnels and bodies that move have no limit.
public struct ProxyDeadlines: Sendable {
    /// For a whole request head, from the connection's start or from the head's first byte; not extended per byte.
    public var head = Duration.seconds(10)
    /// For a client that keeps its connection open between requests.
    public var idle = Duration.seconds(60)
    /// For the owner's answer to a question about a token; then 503.
    public var route = Duration.seconds(5)
    /// For a starting backend; then 504.
    public var start = Duration.seconds(300)
    /// For a socket to a ready backend; then 503.
    public var socket = Duration.seconds(10)
    /// For a client that neither sends the rest of its request body nor takes more of a response.
    public var stall = Duration.seconds(120)
    /// For a client to close after it has been sent the last byte.
    public var linger = Duration.seconds(2)
    /// For a tunnel of which one direction has ended and in which nothing moves.
    public var halfClosed = Duration.seconds(300)
    /// For a client that acknowledges nothing, or whose window stays shut: TCP_USER_TIMEOUT, tcp(7).
    public var deadPeer = Duration.seconds(120)

    /// The durations that the properties show.
    public init() {}
}

import CLinux
import Glibc

/// An IPv4 address and port. ip(7).
public struct SocketAddress: Hashable, Sendable, CustomStringConvertible {
    /// The address in host byte order: 127.0.0.1 is 0x7f000001.
    public let host: UInt32
    /// The port in host byte order.
    public let port: UInt16

    /// - Parameters:
    ///   - host: host byte order.
    ///   - port: host byte order; 0 lets bind(2) choose.
    public init(host: UInt32, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// 127.0.0.1 with a port.
    public static func loopback(_ port: UInt16) -> SocketAddress { SocketAddress(host: 0x7f00_0001, port: port) }

    /// Dotted decimal, four parts of 0–255 without leading zeros, or `localhost`; nil for anything else.
    public static func parseHost(_ text: String) -> UInt32? {
        if text == "localhost" { return 0x7f00_0001 }
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var host: UInt32 = 0
        for part in parts {
            guard let value = UInt8(part), String(value) == part else { return nil }
            host = host << 8 | UInt32(value)
        }
        return host
    }

    public var description: String {
        "\(host >> 24).\(host >> 16 & 255).\(host >> 8 & 255).\(host & 255):\(port)"
    }
}

/// Sockets, all closed on exec. socket(2), tcp(7), unix(7).
public enum Socket {
    /// An unconnected nonblocking TCP socket, born in the calling thread's network namespace and of it for ever.
    public static func tcp() throws(SystemError) -> Descriptor {
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        return Descriptor(owning: Int32(try check("socket", result(socket(AF_INET, type, 0)))))
    }

    /// A nonblocking TCP listener with SO_REUSEADDR.
    /// - Parameter sharing: whether further listeners on the same address may share its connections (SO_REUSEPORT).
    public static func tcpListener(
        _ address: SocketAddress, backlog: Int32 = 1024, sharing: PortSharing = .exclusive
    ) throws(SystemError) -> Descriptor {
        let listener = try tcp()
        try check("setsockopt SO_REUSEADDR", plane_setsockopt_int(listener.raw, SOL_SOCKET, SO_REUSEADDR, 1))
        if sharing == .shared {
            try check("setsockopt SO_REUSEPORT", plane_setsockopt_int(listener.raw, SOL_SOCKET, SO_REUSEPORT, 1))
        }
        try check("bind \(address)", plane_bind_in4(listener.raw, address.host, address.port))
        try check("listen \(address)", result(listen(listener.raw, backlog)))
        return listener
    }

    /// Whether several listeners may share one address. socket(7).
    public enum PortSharing: Sendable {
        case exclusive
        case shared
    }

    /// The next waiting connection, nonblocking, or nil when none waits. accept4(2).
    public static func accept(_ listener: Int32) throws(SystemError) -> AcceptedSocket? {
        var storage = sockaddr_storage()
        let fd = retrying { plane_accept(listener, &storage) }
        // A connection that was reset while it waited is not an event for anybody.
        if fd == -Int(EAGAIN) || fd == -Int(ECONNABORTED) { return nil }
        let socket = Descriptor(owning: Int32(try check("accept4", fd)))
        guard storage.ss_family == sa_family_t(AF_INET) else { return AcceptedSocket(socket, peer: nil) }
        let peer = withUnsafeBytes(of: &storage) { bytes in
            let address = bytes.loadUnaligned(as: sockaddr_in.self)
            return SocketAddress(
                host: UInt32(bigEndian: address.sin_addr.s_addr), port: UInt16(bigEndian: address.sin_port))
        }
        return AcceptedSocket(socket, peer: peer)
    }

    /// How far a nonblocking connect(2) got.
    public enum Connecting: Sendable {
        case established
        /// Writable when it is decided; then ask `pendingError`.
        case inProgress
    }

    /// Starts to connect. connect(2).
    public static func connect(_ socket: Int32, to address: SocketAddress) throws(SystemError) -> Connecting {
        let outcome = plane_connect_in4(socket, address.host, address.port)
        if outcome == -Int(EINPROGRESS) { return .inProgress }
        try check("connect \(address)", outcome)
        return .established
    }

    /// The error that a nonblocking operation left behind, 0 for none. SO_ERROR, socket(7).
    public static func pendingError(_ socket: Int32) -> Int32 {
        Int32(clamping: plane_getsockopt_int(socket, SOL_SOCKET, SO_ERROR))
    }

    /// The port that a bound socket has.
    public static func localPort(_ socket: Int32) throws(SystemError) -> UInt16 {
        UInt16(try check("getsockname", plane_local_port(socket)))
    }

    /// Sends small writes at once. TCP_NODELAY, tcp(7).
    public static func setNoDelay(_ socket: Int32) {
        _ = plane_setsockopt_int(socket, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
    }

    /// Notices a dead peer. SO_KEEPALIVE with TCP_KEEPIDLE/INTVL/CNT and TCP_USER_TIMEOUT, tcp(7).
    /// - Parameters:
    ///   - idle: quiet time before the first probe, whole seconds.
    ///   - timeout: unacknowledged data or probes for this long end the connection.
    public static func setKeepAlive(_ socket: Int32, idle: Duration, timeout: Duration) {
        let tcp = Int32(IPPROTO_TCP)
        _ = plane_setsockopt_int(socket, SOL_SOCKET, SO_KEEPALIVE, 1)
        _ = plane_setsockopt_int(socket, tcp, TCP_KEEPIDLE, Int32(clamping: max(1, idle.components.seconds)))
        _ = plane_setsockopt_int(socket, tcp, TCP_KEEPINTVL, 10)
        _ = plane_setsockopt_int(socket, tcp, TCP_KEEPCNT, 3)
        _ = plane_setsockopt_int(socket, tcp, TCP_USER_TIMEOUT, timeout.millisecondsRoundedUp)
    }

    /// Makes close(2) send a reset, to pass a peer's reset on. SO_LINGER with zero time, socket(7).
    public static func resetOnClose(_ socket: Int32) { _ = plane_set_linger_zero(socket) }

    /// A pair of connected packet sockets: boundaries kept, end of the peer seen. socketpair(2), SOCK_SEQPACKET.
    public static func packetPair() throws(SystemError) -> DescriptorPair {
        var ends: [Int32] = [-1, -1]
        let type = Int32(SOCK_SEQPACKET.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        try check("socketpair", result(socketpair(AF_UNIX, type, 0, &ends)))
        return DescriptorPair(Descriptor(owning: ends[0]), Descriptor(owning: ends[1]))
    }

    /// A listening packet socket at a path. unix(7).
    ///
    /// The path is unlinked first, so the caller must own the folder and hold whatever lock says that it is alone.
    /// - Parameter owner: gets the socket file, mode 0600; nobody else but root can connect.
    public static func packetListener(path: String, owner: UInt32) throws(SystemError) -> Descriptor {
        let type = Int32(SOCK_SEQPACKET.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let listener = Descriptor(owning: Int32(try check("socket", result(socket(AF_UNIX, type, 0)))))
        _ = unlink(path)
        // The mode of a socket file comes from the mask: there is no moment at which others could connect.
        let mask = umask(0o177)
        let bound = plane_bind_unix(listener.raw, path)
        umask(mask)
        try check("bind \(path)", bound)
        try check("chown \(path)", result(chown(path, owner, owner)))
        try check("listen \(path)", result(listen(listener.raw, 16)))
        return listener
    }

    /// Connects a blocking packet socket to a path; set it nonblocking afterwards where a loop reads it.
    public static func packetConnection(path: String) throws(SystemError) -> Descriptor {
        let type = Int32(SOCK_SEQPACKET.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let socket = Descriptor(owning: Int32(try check("socket", result(Glibc.socket(AF_UNIX, type, 0)))))
        try check("connect \(path)", plane_connect_unix(socket.raw, path))
        return socket
    }

    /// Who is on the other side of a Unix socket, as the kernel saw it at connect. SO_PEERCRED, unix(7).
    public static func peer(_ socket: Int32) throws(SystemError) -> PeerCredentials {
        var peer = plane_peer()
        try check("getsockopt SO_PEERCRED", plane_peer_credentials(socket, &peer))
        return PeerCredentials(processID: peer.pid, userID: peer.uid, groupID: peer.gid)
    }

    /// Descriptors that fit in one packet.
    public static let packetDescriptorsMax = Int(PLANE_DESCRIPTORS_MAX)

    /// Sends one packet with descriptors, which stay the caller's. sendmsg(2), SCM_RIGHTS.
    /// - Returns: false when a nonblocking socket has no room now.
    public static func sendPacket(
        _ socket: Int32, _ bytes: [UInt8], descriptors: [Int32] = []
    ) throws(SystemError) -> Bool {
        let sent = bytes.withUnsafeBytes { part in
            retrying { plane_send_packet(socket, part.baseAddress, part.count, descriptors, Int32(descriptors.count)) }
        }
        if sent == -Int(EAGAIN) { return false }
        try check("sendmsg", sent)
        return true
    }

    /// A received packet with a copy of its bytes.
    public struct ReceivedPacket {
        /// What it says; empty, with no descriptors, when the peer has gone.
        public let bytes: [UInt8]
        /// Descriptors that came along, now the receiver's, who owns or closes each.
        public let descriptors: [Int32]
    }

    /// Lets longer packets be sent than the system's default allows. SO_SNDBUFFORCE, socket(7); needs CAP_NET_ADMIN, and
    /// without it the default stays.
    public static func growSendBuffer(_ socket: Int32, bytes: Int32) {
        let forced: Int32 = 32
        _ = plane_setsockopt_int(socket, SOL_SOCKET, forced, bytes)
    }

    /// Waits for the next packet and tells how long it is, 0 when the peer has gone. recv(2) with MSG_PEEK.
    public static func nextPacketLength(_ socket: Int32) throws(SystemError) -> Int {
        try check("recv", retrying { plane_next_packet_length(socket) })
    }

    /// Receives one packet. recvmsg(2). - Returns: nil when a nonblocking socket has none now.
    public static func receivePacket(_ socket: Int32, capacity: Int) throws(SystemError) -> ReceivedPacket? {
        var bytes = [UInt8](repeating: 0, count: capacity)
        var descriptors = [Int32](repeating: -1, count: packetDescriptorsMax)
        var count: Int32 = 0
        let received = bytes.withUnsafeMutableBytes { part in
            retrying { plane_receive_packet(socket, part.baseAddress, part.count, &descriptors, &count) }
        }
        if received == -Int(EAGAIN) { return nil }
        let length = try check("recvmsg", received)
        return ReceivedPacket(
            bytes: Array(bytes.prefix(length)), descriptors: Array(descriptors.prefix(Int(count))))
    }
}

/// A connection taken from a listener.
public struct AcceptedSocket: ~Copyable {
    /// Nonblocking, closed on exec.
    public let socket: Descriptor
    /// Who connected; nil for what is not IPv4.
    public let peer: SocketAddress?

    init(_ socket: consuming Descriptor, peer: SocketAddress?) {
        self.socket = socket
        self.peer = peer
    }

    /// Gives the descriptor up to the caller.
    public consuming func release() -> Int32 { socket.release() }
}

/// Two descriptors that belong together.
public struct DescriptorPair: ~Copyable {
    /// The one the creator keeps.
    public let mine: Descriptor
    /// The one the creator gives away.
    public let theirs: Descriptor

    init(_ mine: consuming Descriptor, _ theirs: consuming Descriptor) {
        self.mine = mine
        self.theirs = theirs
    }

    /// Gives both up.
    public consuming func split() -> (mine: Int32, theirs: Int32) {
        let first = mine.release()
        let second = theirs.release()
        return (first, second)
    }
}

/// The process on the other side of a Unix socket.
public struct PeerCredentials: Equatable, Sendable {
    /// Its process id when it connected.
    public let processID: Int32
    /// Its effective user id when it connected.
    public let userID: UInt32
    /// Its effective group id when it connected.
    public let groupID: UInt32
}

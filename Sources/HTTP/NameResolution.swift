internal import Glibc
internal import Linux

/// Host names to addresses. Numbers and `localhost` are decided here; other names ask the system's resolver, which
/// **blocks the thread** for as long as that takes: configure addresses where a loop must never wait.
enum NameResolution {
    static func resolve(_ url: HTTPURL) throws(HTTPClientError) -> SocketAddress {
        if let host = SocketAddress.parseHost(url.host) { return SocketAddress(host: host, port: url.port) }
        var hints = addrinfo()
        hints.ai_family = AF_INET
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(url.host, nil, &hints, &list)
        guard code == 0, let first = list, let address = first.pointee.ai_addr else {
            throw .cannotResolve(url, reason: String(cString: gai_strerror(code)))
        }
        defer { freeaddrinfo(first) }
        let found = UnsafeRawPointer(address).loadUnaligned(as: sockaddr_in.self)
        return SocketAddress(host: UInt32(bigEndian: found.sin_addr.s_addr), port: url.port)
    }
}

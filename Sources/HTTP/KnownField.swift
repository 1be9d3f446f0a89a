/// The fields that framing, routing and relaying have to recognise; all others are passed on as they are.
///
/// Names are compared on ASCII bytes without case. An underscore counts as a hyphen: CGI, WSGI and their like cannot tell
/// the two apart, so `X_Verified_Username` must be removed exactly as `X-Verified-Username` is.
public enum KnownField: UInt8, Equatable, Sendable {
    /// Anything else.
    case other
    /// Host
    case host
    /// Content-Length
    case contentLength
    /// Transfer-Encoding
    case transferEncoding
    /// Connection
    case connection
    /// Keep-Alive
    case keepAlive
    /// Proxy-Connection
    case proxyConnection
    /// Upgrade
    case upgrade
    /// TE
    case te
    /// Trailer
    case trailer
    /// HTTP2-Settings
    case http2Settings
    /// Expect
    case expect
    /// X-Forwarded-For
    case forwardedFor
    /// X-Forwarded-Proto
    case forwardedProto
    /// Any name that begins with X-Verified-: what the proxy promises the backend, never accepted from a client.
    case verified
    /// Server
    case server
    /// X-Plane-Backend-Id
    case backendID
    /// Access-Control-Allow-Origin, -Methods or -Headers.
    case accessControlAllow
    /// A field that `Connection` declares to be meant for the next hop only.
    case nominatedByConnection

    /// Whether the field speaks about one connection only, so that a proxy must not pass it on. RFC 9110 section 7.6.1.
    /// Transfer-Encoding is left out: the proxy relays the framing that it has checked.
    public var isHopByHop: Bool {
        switch self {
        case .connection, .keepAlive, .proxyConnection, .upgrade, .te, .trailer, .http2Settings, .nominatedByConnection:
            true
        case .other, .host, .contentLength, .transferEncoding, .expect, .forwardedFor, .forwardedProto, .verified,
            .server, .backendID, .accessControlAllow:
            false
        }
    }

    /// Which field a name means.
    static func named(_ name: UnsafeRawBufferPointer) -> KnownField {
        // By length first: most names are decided by one comparison.
        switch name.count {
        case 2: if same(name, "te") { return .te }
        case 4: if same(name, "host") { return .host }
        case 6:
            if same(name, "expect") { return .expect }
            if same(name, "server") { return .server }
        case 7:
            if same(name, "upgrade") { return .upgrade }
            if same(name, "trailer") { return .trailer }
        case 10:
            if same(name, "connection") { return .connection }
            if same(name, "keep-alive") { return .keepAlive }
        case 14:
            if same(name, "content-length") { return .contentLength }
            if same(name, "http2-settings") { return .http2Settings }
        case 15: if same(name, "x-forwarded-for") { return .forwardedFor }
        case 16: if same(name, "proxy-connection") { return .proxyConnection }
        case 17:
            if same(name, "transfer-encoding") { return .transferEncoding }
            if same(name, "x-forwarded-proto") { return .forwardedProto }
        case 18: if same(name, "x-plane-backend-id") { return .backendID }
        case 27: if same(name, "access-control-allow-origin") { return .accessControlAllow }
        case 28:
            if same(name, "access-control-allow-methods") || same(name, "access-control-allow-headers") {
                return .accessControlAllow
            }
        default: break
        }
        let prefix: StaticString = "x-verified-"
        let prefixCount = prefix.utf8CodeUnitCount
        if name.count >= prefixCount, same(UnsafeRawBufferPointer(rebasing: name[..<prefixCount]), prefix) {
            return .verified
        }
        return .other
    }

    @inline(__always)
    private static func same(_ name: UnsafeRawBufferPointer, _ expected: StaticString) -> Bool {
        let wanted = expected.utf8Start
        for index in 0..<expected.utf8CodeUnitCount {
            let byte = name[index]
            if (byte == 0x5F ? 0x2D : ASCII.lowercase(byte)) != wanted[index] { return false }
        }
        return true
    }
}

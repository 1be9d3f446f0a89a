/// An `http://` or `ws://` URL, checked. There is no TLS here: it ends in front of the controller and the drone.
public struct HTTPURL: Equatable, Sendable, CustomStringConvertible {
    /// Whose text is no such URL, with a sentence for a person.
    public struct Malformed: Error, Equatable, Sendable, CustomStringConvertible {
        /// What is wrong and how to write it.
        public let description: String
    }

    /// The host name or IPv4 address, without user or port.
    public let host: String
    /// The port; 80 if none is written.
    public let port: UInt16
    /// The path, percent-encoded, beginning with `/`.
    public private(set) var path: String
    /// The decoded query.
    public private(set) var query: Query
    /// The user name in front of `@`: clients send it as bearer token.
    public private(set) var user: String?

    /// Parses a URL. `http` and `ws` are taken alike, so one configured address serves for calls and sockets.
    public init(_ text: String) throws(Malformed) {
        guard let separator = text.firstRange(ofText: "://") else {
            throw Malformed(description: "\"\(text)\" is not a URL. Write http://host:port/path.")
        }
        let scheme = text[..<separator.lowerBound]
        guard ASCII.equalIgnoringCase(scheme, "http") || ASCII.equalIgnoringCase(scheme, "ws") else {
            throw Malformed(description: "\"\(text)\" does not begin with http:// or ws://; TLS is not spoken here.")
        }
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw Malformed(description: "\"\(text)\" contains a space or a character that must be percent-encoded.")
        }
        let rest = text[separator.upperBound...].prefix { $0 != "#" }
        let authorityEnd = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        var authority = rest[..<authorityEnd]
        var user: String?
        if let at = authority.firstIndex(of: "@") {
            user = PercentEncoding.decode(authority[..<at].prefix { $0 != ":" })
            authority = authority[authority.index(after: at)...]
        }
        let colon = authority.firstIndex(of: ":") ?? authority.endIndex
        let written = authority[colon...].dropFirst()
        guard Array(authority.utf8).withUnsafeBytes(Authority.isValid), authority.first != "[",
            let port = colon == authority.endIndex ? 80 : UInt16(written), port > 0
        else { throw Malformed(description: "\"\(text)\" has no valid host and port. Write http://host:port/path.") }
        let target = rest[authorityEnd...]
        let queryStart = target.firstIndex(of: "?") ?? target.endIndex
        let path = target[..<queryStart]
        guard let query = Query(parsing: target[queryStart...].dropFirst()), PercentEncoding.decode(path) != nil else {
            throw Malformed(description: "\"\(text)\" has a percent sign without two hexadecimal digits behind it.")
        }
        host = String(authority[..<colon])
        self.port = port
        self.path = path.isEmpty ? "/" : String(path)
        self.query = query
        self.user = user.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// What the Host field says: the port is left away if it is 80.
    public var authority: String { port == 80 ? host : "\(host):\(port)" }

    /// The same server and user, another resource.
    /// - Parameter path: absolute and percent-encoded.
    public func replacingPath(_ path: String, query: Query = Query()) -> HTTPURL {
        precondition(path.hasPrefix("/"), "a path begins with a slash")
        var copy = self
        copy.path = path
        copy.query = query
        return copy
    }

    /// The same resource without authentication, for public ones.
    public var withoutUser: HTTPURL {
        var copy = self
        copy.user = nil
        return copy
    }

    /// The URL without the user, so that it can be logged.
    public var description: String { "http://\(authority)\(path)\(query.isEmpty ? "" : "?\(query.encoded)")" }
}

extension String {
    fileprivate func firstRange(ofText text: String) -> Range<Index>? {
        indices.first { self[$0...].hasPrefix(text) }.map { $0..<index($0, offsetBy: text.count) }
    }
}

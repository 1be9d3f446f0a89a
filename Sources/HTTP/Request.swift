/// A whole request, for the control plane: small, and decoded where that is safe.
public struct Request: Equatable, Sendable {
    /// The method.
    public var method: RequestMethod
    /// The path as sent, beginning with `/`, still percent-encoded, without the query.
    public var path: String
    /// The decoded query.
    public var query: Query
    /// All fields.
    public var fields: HeaderFields
    /// The body; at most the server's limit.
    public var body: [UInt8]

    /// A request to send.
    public init(
        _ method: RequestMethod, path: String, query: Query = Query(), fields: HeaderFields = [:], body: [UInt8] = []
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.fields = fields
        self.body = body
    }

    /// The segments of the path, each decoded by itself, so that an encoded slash stays inside its segment.
    /// `/a/b%20c/` gives `a`, `b c` and an empty one. nil if an escape is malformed.
    public var pathSegments: [String]? {
        var segments: [String] = []
        for segment in path.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            guard let decoded = PercentEncoding.decode(segment) else { return nil }
            segments.append(decoded)
        }
        return segments
    }

    /// The token of `Authorization: Bearer …`, RFC 6750 section 2.1.
    public var bearerToken: String? {
        guard let value = fields["authorization"], let space = value.firstIndex(of: " "),
            ASCII.equalIgnoringCase(value[..<space], "bearer")
        else { return nil }
        return String(value[space...].trimmingSpaces)
    }

    /// Whether this is a WebSocket handshake by its fields. RFC 6455 section 4.2.1.
    public var asksForWebSocket: Bool {
        method == .get && fields.list("connection", contains: "upgrade")
            && fields.list("upgrade", contains: "websocket")
    }

    init(_ layout: borrowing RequestLayout, in bytes: UnsafeRawBufferPointer) throws(HeadRefusal) {
        let target = String(layout.target, in: bytes)
        let split = target.firstIndex(of: "?") ?? target.endIndex
        guard let query = Query(parsing: target[split...].dropFirst()) else { throw .malformedPercentEncoding }
        method = layout.method
        path = String(target[..<split])
        self.query = query
        fields = HeaderFields(layout.fields, in: bytes)
        body = []
        guard pathSegments != nil else { throw .malformedPercentEncoding }
    }

    /// The head and the body as bytes. `Host` and `Content-Length` are written here, not taken from the fields.
    func encode(host: String) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(256 + body.count)
        output += "\(method.name) \(path)\(query.isEmpty ? "" : "?\(query.encoded)") HTTP/1.1\r\n".utf8
        output += "host: \(host)\r\n".utf8
        if !body.isEmpty || method == .post || method == .put || method == .patch {
            output += "content-length: \(body.count)\r\n".utf8
        }
        fields.encode(into: &output)
        output += "\r\n".utf8
        output += body
        return output
    }
}

extension RequestMethod {
    /// The method as it is written. `.other` is only ever received, never sent.
    public var name: String {
        switch self {
        case .get: "GET"
        case .head: "HEAD"
        case .post: "POST"
        case .put: "PUT"
        case .patch: "PATCH"
        case .delete: "DELETE"
        case .options: "OPTIONS"
        case .other: preconditionFailure("an unknown method has no name to send")
        }
    }
}

/// The decoded names and values of a query, in their order.
public struct Query: Equatable, Sendable, ExpressibleByDictionaryLiteral {
    private struct Item: Equatable, Sendable {
        let name: String
        let value: String
    }

    private var items: [Item] = []

    /// Without items.
    public init() {}

    /// Items in the order of the literal, not encoded.
    public init(dictionaryLiteral elements: (String, String)...) {
        items = elements.map { Item(name: $0.0, value: $0.1) }
    }

    /// Parses the text behind the question mark; nil if an escape is malformed. A name without `=` has an empty value.
    public init?(parsing text: some StringProtocol) {
        for pair in text.split(separator: "&") {
            let halves = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = PercentEncoding.decode(halves[0], plus: .space),
                let value = halves.count == 2 ? PercentEncoding.decode(halves[1], plus: .space) : ""
            else { return nil }
            items.append(Item(name: name, value: value))
        }
    }

    /// Adds an item behind the others, not encoded.
    public mutating func add(_ name: String, _ value: String) { items.append(Item(name: name, value: value)) }

    /// The value of the first item of that name; names are compared exactly.
    public subscript(name: String) -> String? { items.first { $0.name == name }?.value }

    /// The names of all items, in their order; one that is there twice comes twice.
    public var names: [String] { items.map(\.name) }

    /// Whether there are no items.
    public var isEmpty: Bool { items.isEmpty }

    /// The text to put behind a question mark.
    public var encoded: String {
        items.map { "\(PercentEncoding.encode($0.name))=\(PercentEncoding.encode($0.value))" }.joined(separator: "&")
    }
}

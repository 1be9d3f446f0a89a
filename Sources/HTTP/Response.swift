/// A whole response, for the control plane.
public struct Response: Equatable, Sendable {
    /// 200…599.
    public var status: Int
    /// All fields but Content-Length, Connection and Date-like ones, which the server writes itself.
    public var fields: HeaderFields
    /// The body.
    public var body: [UInt8]

    /// A response with any body.
    public init(status: Int, fields: HeaderFields = [:], body: [UInt8] = []) {
        self.status = status
        self.fields = fields
        self.body = body
    }

    /// A response with a sentence for a person.
    public static func text(_ status: Int, _ sentence: String) -> Response {
        Response(
            status: status, fields: ["content-type": "text/plain; charset=utf-8"], body: Array("\(sentence)\n".utf8))
    }

    /// A response with JSON that the caller has encoded.
    public static func json(_ status: Int, _ body: [UInt8]) -> Response {
        Response(status: status, fields: ["content-type": "application/json"], body: body)
    }

    /// The phrase that RFC 9110 section 15 gives a status; empty for rare ones.
    static func reasonPhrase(_ status: Int) -> String {
        switch status {
        case 101: "Switching Protocols"
        case 200: "OK"
        case 201: "Created"
        case 202: "Accepted"
        case 204: "No Content"
        case 301: "Moved Permanently"
        case 302: "Found"
        case 304: "Not Modified"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 410: "Gone"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 415: "Unsupported Media Type"
        case 417: "Expectation Failed"
        case 422: "Unprocessable Content"
        case 426: "Upgrade Required"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        default: ""
        }
    }

    /// The body that a server sends along with a head.
    enum BodyLength {
        /// The head tells the length of ``Response/body``.
        case known
        /// The body ends with the connection.
        case untilClose
        /// The head has no framing at all (101).
        case absent
    }

    /// Status line, fields and the empty line.
    func encodeHead(_ length: BodyLength, persistence: ConnectionPersistence) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(256 + body.count)
        output += "HTTP/1.1 \(status) \(Self.reasonPhrase(status))\r\n".utf8
        fields.encode(into: &output)
        switch length {
        case .known:
            // RFC 9110 section 8.6: never with 1xx and 204.
            if status != 204 && status >= 200 { output += "content-length: \(body.count)\r\n".utf8 }
            if persistence == .close { output += "connection: close\r\n".utf8 }
        case .untilClose: output += "connection: close\r\n".utf8
        case .absent: break
        }
        output += "\r\n".utf8
        return output
    }

    init(_ layout: borrowing ResponseLayout, in bytes: UnsafeRawBufferPointer) {
        status = Int(layout.status)
        fields = HeaderFields(layout.fields, in: bytes)
        body = []
    }
}

import HTTP
import Model

/// How a request is put before the one who decides about it, and what the answer means. Pure.
///
/// As the reference does it: the same method, the same fields, no body, and `x-original-path` with what follows `/ctrl`.
/// Added are the method and the host that were asked for, which one method and one path cannot tell. What belongs to the
/// caller's connection or to the body that is not sent along stays behind.
struct ForwardQuestion: Equatable {
    let method: RequestMethod
    let fields: HeaderFields

    /// - Parameters:
    ///   - request: the one to decide about.
    ///   - segments: its path's, decoded.
    init(_ request: Request, segments: [String]) throws(Failure) {
        guard request.method != .other else {
            throw .methodNotAllowed(["GET", "HEAD", "POST"])
        }
        method = request.method
        var fields = HeaderFields()
        for field in request.fields.all where Self.isPassedOn(field.name, in: request.fields) {
            fields.add(field.name, field.value)
        }
        fields.add("x-original-path", Self.path(segments))
        if !request.query.isEmpty { fields.add("x-original-query", request.query.encoded) }
        fields.add("x-original-method", method.name)
        if let host = request.fields["host"] { fields.add("x-original-host", host) }
        self.fields = fields
    }

    /// Fields of the connection (RFC 9110 section 7.6.1), of the body, of the WebSocket handshake, and of this question.
    private static let heldBack: Set<String> = [
        "host", "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
        "http2-settings", "expect", "content-length", "content-encoding", "content-type", "content-range",
        "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions", "sec-websocket-protocol",
    ]

    private static func isPassedOn(_ name: String, in fields: HeaderFields) -> Bool {
        // Some servers read an underscore as a hyphen: none may be passed off as a field of ours.
        let plain = name.lowercased().replacing("_", with: "-")
        return !heldBack.contains(plain) && !plain.hasPrefix("x-original-")
            && !fields.list("connection", contains: name)
    }

    /// The path behind `/ctrl` in one spelling, so that nothing hides from the one who decides behind an escape.
    private static func path(_ segments: [String]) -> String {
        "/"
            + segments.dropFirst().map { segment in
                // A cluster's name has a colon, which needs no escape in a path. RFC 3986 section 3.3.
                PercentEncoding.encode(segment).replacing("%3A", with: ":")
            }.joined(separator: "/")
    }

    /// What becomes of the request.
    enum Verdict: Equatable {
        /// It is answered.
        case admit
        /// It is answered with this.
        case refuse(Failure)
    }

    /// What the answer to the question means.
    static func verdict(_ result: Result<Response, HTTPClientError>) -> Verdict {
        switch result {
        case .failure(let error):
            return .refuse(Failure(.other, status: 502, "Who may do this could not be asked: \(error)."))
        case .success(let response):
            switch response.status {
            case 200..<300: return .admit
            case 401, 403:
                var failure = Failure(.unauthorized, "The authority for this controller does not allow this request.")
                let schemes = response.fields.all.filter { $0.name.lowercased() == "www-authenticate" }
                failure.authenticate =
                    schemes.isEmpty
                    ? "Bearer realm=\"plane\"" : schemes.map(\.value).joined(separator: ", ")
                return .refuse(failure)
            case let status:
                return .refuse(
                    Failure(
                        .other, status: 502, "The authority for this controller answered \(status) and decided nothing."
                    ))
            }
        }
    }
}

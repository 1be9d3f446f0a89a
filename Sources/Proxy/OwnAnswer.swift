/// A response that the proxy gives by itself.
struct OwnAnswer {
    let status: Status
    /// What to count it as; nil if nothing was refused.
    let refusal: Refusal?
    /// For a person: cause and, where there is one, the next step.
    let sentence: Sentence

    init(_ status: Status, _ refusal: Refusal?, _ sentence: StaticString) {
        self.status = status
        self.refusal = refusal
        self.sentence = .fixed(sentence)
    }

    init(_ status: Status, _ refusal: Refusal?, reason: String) {
        self.status = status
        self.refusal = refusal
        self.sentence = .reason(reason)
    }

    enum Sentence {
        case fixed(StaticString)
        /// Text from elsewhere, to be escaped.
        case reason(String)
    }

    /// A status code with its phrase. RFC 9110 section 15.
    enum Status: UInt16 {
        case ok = 200
        case movedPermanently = 301
        case badRequest = 400
        case forbidden = 403
        case requestTimeout = 408
        case gone = 410
        case uriTooLong = 414
        case expectationFailed = 417
        case fieldsTooLarge = 431
        case internalError = 500
        case notImplemented = 501
        case badGateway = 502
        case unavailable = 503
        case gatewayTimeout = 504
        case versionNotSupported = 505

        var phrase: StaticString {
            switch self {
            case .ok: "OK"
            case .movedPermanently: "Moved Permanently"
            case .badRequest: "Bad Request"
            case .forbidden: "Forbidden"
            case .requestTimeout: "Request Timeout"
            case .gone: "Gone"
            case .uriTooLong: "URI Too Long"
            case .expectationFailed: "Expectation Failed"
            case .fieldsTooLarge: "Request Header Fields Too Large"
            case .internalError: "Internal Server Error"
            case .notImplemented: "Not Implemented"
            case .badGateway: "Bad Gateway"
            case .unavailable: "Service Unavailable"
            case .gatewayTimeout: "Gateway Timeout"
            case .versionNotSupported: "HTTP Version Not Supported"
            }
        }
    }

    /// What a body is written in.
    enum Form {
        case json
        case html
    }

    /// Whether a body follows the head.
    enum Body {
        case sent
        /// The request was HEAD.
        case omitted
    }

    /// Composes the whole response.
    /// - Parameter location: for `movedPermanently`.
    func compose(
        _ writer: inout ByteWriter, serverName: String, form: Form, body: Body,
        connection: ResponseRewriting.ConnectionField, location: String? = nil
    ) {
        let text = bodyText(form)
        writer.append("HTTP/1.1 ")
        writer.append(decimal: UInt64(status.rawValue))
        writer.append(" ")
        writer.append(status.phrase)
        writer.append("\r\ncontent-type: ")
        writer.append(form == .html ? "text/html; charset=utf-8" : "application/json")
        writer.append("\r\ncontent-length: ")
        writer.append(decimal: UInt64(text.count))
        writer.append("\r\ncache-control: no-store\r\n")
        if let location {
            writer.append("location: ")
            writer.append(text: location)
            writer.append("\r\n")
        }
        switch connection {
        case .close: writer.append("connection: close\r\n")
        case .keepAlive: writer.append("connection: keep-alive\r\n")
        case .unsaid, .upgrade: break
        }
        writer.append("server: ")
        writer.append(text: serverName)
        writer.append("\r\n")
        writer.append(ResponseRewriting.accessControlDefaults)
        writer.append("\r\n")
        if body == .sent { text.withUnsafeBytes { writer.append($0) } }
    }

    private func bodyText(_ form: Form) -> [UInt8] {
        let sentence: String =
            switch self.sentence {
            case .fixed(let text): text.description
            // A reason is a sentence, not a log: bounded, so that the answer fits its buffer.
            case .reason(let text): String(text.prefix(1000))
            }
        switch form {
        case .json:
            return Array("{\"status\":\(status.rawValue),\"message\":\"\(Self.jsonEscaped(sentence))\"}\n".utf8)
        case .html:
            let title = "\(status.rawValue) \(status.phrase)"
            return Array(
                ("<!doctype html><meta charset=utf-8><title>\(title)</title><h1>\(title)</h1>"
                    + "<p>\(Self.htmlEscaped(sentence))</p>\n").utf8)
        }
    }

    private static func jsonEscaped(_ text: String) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": escaped += "\\\""
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            case _ where scalar.value < 0x20: escaped += " "
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }

    private static func htmlEscaped(_ text: String) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}

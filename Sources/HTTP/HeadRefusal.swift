/// Why a message head cannot be accepted. Each case has one HTTP status and one sentence.
///
/// The rules are those of RFC 9110 and RFC 9112, read strictly: whatever passes must have one reading only, because the
/// programs behind the proxy have parsers of every quality.
public enum HeadRefusal: Error, Equatable, Sendable {
    /// A line feed without a carriage return before it, or a carriage return without a line feed after it.
    case bareLineBreak
    /// A control character other than tab in a field value, or in the reason phrase of a response.
    case controlCharacter
    /// A field value continued on the next line (obs-fold).
    case foldedField
    /// A field line whose name is empty, is not a token, or has no colon directly behind it.
    case malformedFieldName
    /// A field name that many servers read as `Content-Length` or `Transfer-Encoding`, spelt with an underscore.
    case lookAlikeFieldName
    /// The first line is not `METHOD SP target SP HTTP/1.x CRLF`.
    case malformedRequestLine
    /// The status line is not `HTTP/1.x SP 3DIGIT [SP reason] CRLF`, or its status is outside 100…599.
    case malformedStatusLine
    /// A method longer than any real one.
    case methodTooLong
    /// CONNECT, which a token-routed proxy has no meaning for, or TRACE, which would send the client the secrets that
    /// the proxy adds for the backend.
    case methodNotOffered
    /// The target contains a control character, a non-ASCII byte, a fragment, or a backslash in its path.
    case malformedTarget
    /// `OPTIONS *`: it names no resource, so it cannot be routed.
    case asteriskTarget
    /// The target is longer than ``HeadLimits/targetByteCount``.
    case targetTooLong
    /// The head is longer than ``HeadLimits/headByteCount``.
    case headTooLong
    /// There are more fields than ``HeadLimits/fieldCount``.
    case tooManyFields
    /// A well-formed version other than HTTP/1.0 and HTTP/1.1.
    case unsupportedVersion
    /// HTTP/1.1 without `Host`.
    case missingHost
    /// `Host` is there twice, or is not `name[:port]`.
    case malformedHost
    /// The target names another host than the `Host` field.
    case contradictingHost
    /// `Content-Length` is there twice, or is not a plain decimal number up to 2⁶³−1.
    case malformedContentLength
    /// `Transfer-Encoding` is there twice, or in an HTTP/1.0 message, or has characters that only a lax parser skips.
    case malformedTransferEncoding
    /// A transfer coding other than `chunked`.
    case unsupportedTransferCoding
    /// `Content-Length` together with `Transfer-Encoding`.
    case contradictingLengths
    /// `Connection` is not a list of tokens, or asks to remove a field that decides framing or routing.
    case malformedConnection
    /// `Upgrade` is malformed, or a WebSocket handshake is not a GET without a body.
    case malformedUpgrade
    /// An expectation other than `100-continue`.
    case unsupportedExpectation
    /// A percent sign that two hexadecimal digits do not follow, or escapes that are not UTF-8.
    case malformedPercentEncoding
    /// A backend answered 101 to a request that did not ask for an upgrade.
    case uninvitedUpgrade

    /// The status to answer a refused *request* with. A refused *response* is always answered with 502.
    public var status: UInt16 {
        switch self {
        case .targetTooLong: 414
        case .headTooLong, .tooManyFields: 431
        case .unsupportedExpectation: 417
        case .methodTooLong, .methodNotOffered, .unsupportedTransferCoding: 501
        case .unsupportedVersion: 505
        case .uninvitedUpgrade, .malformedStatusLine: 502
        case .bareLineBreak, .controlCharacter, .foldedField, .malformedFieldName, .lookAlikeFieldName,
            .malformedRequestLine, .malformedTarget, .asteriskTarget, .missingHost, .malformedHost, .contradictingHost,
            .malformedContentLength, .malformedTransferEncoding, .contradictingLengths, .malformedConnection,
            .malformedUpgrade, .malformedPercentEncoding:
            400
        }
    }

    /// The reason as a sentence for a person.
    public var reason: StaticString {
        switch self {
        case .bareLineBreak: "Lines of the head must end in CR LF; this one has only one of the two."
        case .controlCharacter: "A field value contains a control character."
        case .foldedField: "A field value goes on in the next line; write it in one line."
        case .malformedFieldName: "A field line must begin with a name and a colon without space between them."
        case .lookAlikeFieldName: "A framing field is spelt with an underscore; spell it with a hyphen."
        case .malformedRequestLine: "The first line must be a method, a target and HTTP/1.1, one space apart."
        case .malformedStatusLine: "The status line must be HTTP/1.1, a status of three digits and a reason."
        case .methodTooLong: "The method name is longer than any known one."
        case .methodNotOffered: "CONNECT and TRACE are not offered here."
        case .malformedTarget:
            "The target must be a path of visible ASCII characters; percent-encode others and leave the fragment away."
        case .asteriskTarget: "The target * names no resource; send OPTIONS with a path."
        case .targetTooLong: "The target is longer than 8 KiB."
        case .headTooLong: "The head is longer than 16 KiB."
        case .tooManyFields: "The head has more than 100 fields."
        case .unsupportedVersion: "Only HTTP/1.1 and HTTP/1.0 are spoken here."
        case .missingHost: "HTTP/1.1 requires a Host field."
        case .malformedHost: "There must be one Host field of the form name or name:port."
        case .contradictingHost: "The target names another host than the Host field."
        case .malformedContentLength: "Content-Length must be there once and be a plain decimal number."
        case .malformedTransferEncoding: "Transfer-Encoding must be there once, in HTTP/1.1, and be exactly chunked."
        case .unsupportedTransferCoding: "The only transfer coding understood here is chunked."
        case .contradictingLengths: "Content-Length and Transfer-Encoding exclude each other."
        case .malformedConnection: "Connection must list tokens and may not name Host or a framing field."
        case .malformedUpgrade: "An upgrade to WebSocket must be a GET without a body."
        case .unsupportedExpectation: "The only expectation understood here is 100-continue."
        case .malformedPercentEncoding: "A percent sign must be followed by two hexadecimal digits that make UTF-8."
        case .uninvitedUpgrade: "The backend switched protocols without being asked to."
        }
    }
}

/// Limits of a message head. They bound memory per connection and every offset to 16 bits.
public enum HeadLimits {
    /// Bytes of a whole head with its last empty line: 16 KiB. Longer → 431.
    public static let headByteCount = 16 * 1024
    /// Bytes of a request target: 8 KiB. Longer → 414.
    public static let targetByteCount = 8 * 1024
    /// Fields of one head. More → 431.
    public static let fieldCount = 100
    /// Bytes of a method. The longest registered one has 17.
    static let methodByteCount = 32
}

/// What a parse of the bytes so far has found.
public enum HeadParse: Equatable, Sendable {
    /// Nothing is wrong so far, and the head goes on. Parse again from the start when more bytes have come.
    case incomplete
    /// The head must be refused, however it goes on.
    case invalid(HeadRefusal)
    /// The head is whole and accepted; the body or the next message begins after `byteCount` bytes.
    case complete(byteCount: Int)
}

/// The request methods that anything here depends on.
public enum RequestMethod: UInt8, Equatable, Sendable {
    /// GET
    case get
    /// HEAD: its response has no body, whatever its fields say.
    case head
    /// POST
    case post
    /// PUT
    case put
    /// PATCH
    case patch
    /// DELETE
    case delete
    /// OPTIONS
    case options
    /// Any other token. Its spelling is in ``RequestLayout/methodName``.
    case other

    /// Methods are case-sensitive. nil: CONNECT or TRACE.
    static func named(_ name: UnsafeRawBufferPointer) -> RequestMethod? {
        func same(_ expected: StaticString) -> Bool {
            name.count == expected.utf8CodeUnitCount
                && zip(name, UnsafeBufferPointer(start: expected.utf8Start, count: name.count)).allSatisfy(==)
        }
        if same("GET") { return .get }
        if same("POST") { return .post }
        if same("HEAD") { return .head }
        if same("OPTIONS") { return .options }
        if same("PUT") { return .put }
        if same("DELETE") { return .delete }
        if same("PATCH") { return .patch }
        // Compared without case: a lax backend may fold what we would have taken for an unknown method.
        if ASCII.matches(name, "connect") || ASCII.matches(name, "trace") { return nil }
        return .other
    }
}

/// The head of a request, as offsets into the bytes it was parsed from. Reuse one value for many heads: parsing allocates
/// nothing, and after anything but `.complete` the contents mean nothing.
///
/// Everything that decides framing, routing or the connection is already decided here; a relay copies the fields whose
/// ``FieldLayout/known`` lets them pass and never interprets one again.
public struct RequestLayout: Sendable {
    /// The method.
    public private(set) var method = RequestMethod.get
    /// The method as sent, a token.
    public private(set) var methodName = ByteRange()
    /// The target in origin form: it begins with `/` and holds visible ASCII only. An absolute target is accepted if it
    /// names the same host as `Host`; then this is the part behind the host. Not decoded, not normalised.
    public private(set) var target = ByteRange()
    /// 0 or 1, of HTTP/1.0 or HTTP/1.1.
    public private(set) var minorVersion: UInt8 = 1
    /// All fields in their order.
    public private(set) var fields = FieldTable()
    /// `host[:port]`, checked. Empty only on HTTP/1.0 without one.
    public private(set) var host = ByteRange()
    /// How long the body is; never `.untilClose`.
    public private(set) var framing = BodyFraming.none
    /// Whether the client lets the connection be used again.
    public private(set) var persistence = ConnectionPersistence.keepAlive
    /// What the client wants to switch to. Only on a GET in HTTP/1.1 without a body; `Connection` and `Upgrade` are
    /// hop-by-hop and must be written anew towards the backend.
    public private(set) var upgrade = UpgradeOffer.none
    /// What the client does with its body until it is answered.
    public private(set) var expectation = Expectation.none

    /// Whether the body waits for an interim response.
    public enum Expectation: Equatable, Sendable {
        /// The body follows the head at once.
        case none
        /// The client waits for `100 Continue` before it sends the body. RFC 9110 section 10.1.1.
        case continueFirst
    }

    /// Storage for heads to come.
    public init() {}

    /// Parses the bytes received so far from the start of a request, in one pass over them.
    /// - Parameter bytes: may go on behind the head; of at most 64 KiB only the first 16 KiB are looked at.
    /// - Returns: `.complete` with the length of the head, including an empty line in front of it that was skipped.
    public mutating func parse(_ bytes: UnsafeRawBufferPointer) -> HeadParse {
        var scanner = HeadScanner(bytes)
        do throws(HeadStop) {
            try scanner.skipOneEmptyLine()
            try parseMethod(&scanner)
            let absoluteHost = try parseTarget(&scanner)
            minorVersion = try scanner.version(or: .malformedRequestLine)
            guard try scanner.current() == ASCII.carriageReturn else { throw .invalid(.malformedRequestLine) }
            try scanner.lineEnd()
            var facts = FieldFacts()
            try scanner.fields(into: &fields, facts: &facts)
            try decide(facts, absoluteHost: absoluteHost, bytes)
        } catch {
            return HeadParse(error)
        }
        return .complete(byteCount: scanner.position)
    }

    private mutating func parseMethod(_ scanner: inout HeadScanner) throws(HeadStop) {
        let start = scanner.position
        while ASCII.isToken(try scanner.current()) {
            scanner.advance()
            if scanner.position - start > HeadLimits.methodByteCount { throw .invalid(.methodTooLong) }
        }
        guard scanner.position > start, try scanner.current() == ASCII.space else {
            throw .invalid(try scanner.current() == ASCII.lineFeed ? .bareLineBreak : .malformedRequestLine)
        }
        methodName = ByteRange(start, scanner.position)
        guard let method = RequestMethod.named(methodName.bytes(in: scanner.bytes)) else {
            throw .invalid(.methodNotOffered)
        }
        self.method = method
        scanner.advance()
    }

    /// Reads the target and the space behind it.
    /// - Returns: the host that an absolute target names.
    private mutating func parseTarget(_ scanner: inout HeadScanner) throws(HeadStop) -> ByteRange? {
        let start = scanner.position
        var isPath = true
        while true {
            let byte = try scanner.current()
            if byte == ASCII.space { break }
            guard byte > 0x20, byte < 0x7F, byte != UInt8(ascii: "#") else { throw .invalid(Self.targetRefusal(byte)) }
            if byte == UInt8(ascii: "?") { isPath = false }
            if byte == UInt8(ascii: "\\"), isPath { throw .invalid(.malformedTarget) }
            scanner.advance()
            if scanner.position - start > HeadLimits.targetByteCount { throw .invalid(.targetTooLong) }
        }
        target = ByteRange(start, scanner.position)
        scanner.advance()
        let text = target.bytes(in: scanner.bytes)
        guard let first = text.first else { throw .invalid(.malformedRequestLine) }
        if first == ASCII.slash { return nil }
        if first == UInt8(ascii: "*"), text.count == 1 { throw .invalid(.asteriskTarget) }
        return try splitAbsoluteTarget(text)
    }

    private static func targetRefusal(_ byte: UInt8) -> HeadRefusal {
        switch byte {
        case ASCII.carriageReturn, ASCII.tab: .malformedRequestLine
        case ASCII.lineFeed: .bareLineBreak
        default: .malformedTarget
        }
    }

    /// `http://host/path` → the host; ``target`` becomes `/path`. RFC 9112 section 3.2.2.
    private mutating func splitAbsoluteTarget(_ text: UnsafeRawBufferPointer) throws(HeadStop) -> ByteRange {
        let schemeEnd = text.firstIndex(of: ASCII.colon) ?? 0
        let scheme = UnsafeRawBufferPointer(rebasing: text[..<schemeEnd])
        let hostStart = schemeEnd + 3
        guard ASCII.matches(scheme, "http") || ASCII.matches(scheme, "https"), text.count > hostStart,
            text[schemeEnd + 1] == ASCII.slash, text[schemeEnd + 2] == ASCII.slash
        else { throw .invalid(.malformedTarget) }
        var hostEnd = hostStart
        while hostEnd < text.count, text[hostEnd] != ASCII.slash {
            if text[hostEnd] == UInt8(ascii: "?") { throw .invalid(.malformedTarget) }
            hostEnd += 1
        }
        let offset = Int(target.offset)
        let host = ByteRange(offset + hostStart, offset + hostEnd)
        guard Authority.isValid(UnsafeRawBufferPointer(rebasing: text[hostStart..<hostEnd])) else {
            throw .invalid(.malformedTarget)
        }
        // Without a path the target is "/"; a slash to point at stands right before the host.
        target =
            hostEnd < text.count
            ? ByteRange(offset + hostEnd, offset + text.count)
            : ByteRange(offset + hostStart - 1, offset + hostStart)
        return host
    }

    private mutating func decide(
        _ facts: FieldFacts, absoluteHost: ByteRange?, _ bytes: UnsafeRawBufferPointer
    ) throws(HeadStop) {
        if minorVersion == 1, facts.host == nil { throw .invalid(.missingHost) }
        if let named = absoluteHost, let host = facts.host {
            let pair = zip(named.bytes(in: bytes), host.bytes(in: bytes))
            guard named.count == host.count, pair.allSatisfy({ ASCII.lowercase($0) == ASCII.lowercase($1) }) else {
                throw .invalid(.contradictingHost)
            }
        }
        host = facts.host ?? absoluteHost ?? ByteRange()
        framing = try facts.declaredFraming(minorVersion: minorVersion) ?? .none
        persistence = facts.persistence(minorVersion: minorVersion)
        // HTTP/1.0 knows neither upgrades nor expectations: RFC 9110 sections 7.8 and 10.1.1 have them ignored.
        expectation = facts.expect != nil && minorVersion == 1 && hasBody ? .continueFirst : .none
        upgrade = minorVersion == 1 ? try facts.upgradeOffer(in: bytes) : .none
        if upgrade != .none, hasBody || method != .get {
            if upgrade == .webSocket { throw .invalid(.malformedUpgrade) }
            upgrade = .none
        }
        try facts.markNominated(in: &fields, bytes)
    }

    private var hasBody: Bool {
        switch framing {
        case .none, .length(0): false
        case .length, .chunked, .untilClose: true
        }
    }
}

/// What a response answers, as far as its framing depends on that.
public enum AnsweredRequest: Equatable, Sendable {
    /// Any request but the ones below.
    case ordinary
    /// A HEAD request: the response ends with its head.
    case head
    /// A request that asked for an upgrade: it may be answered with 101.
    case upgrade
}

/// The head of a response, as offsets into the bytes it was parsed from. Reuse one value for many heads.
/// A refused response is to be answered with 502, whatever the refusal's own status is.
public struct ResponseLayout: Sendable {
    /// 100…599. Below 200 and not 101 it is interim: the final response follows.
    public private(set) var status: UInt16 = 200
    /// The text behind the status; may be empty.
    public private(set) var reasonPhrase = ByteRange()
    /// 0 or 1, of HTTP/1.0 or HTTP/1.1.
    public private(set) var minorVersion: UInt8 = 1
    /// All fields in their order. A status that has no body (1xx, 204) may still carry framing fields; they are
    /// meaningless there and must not be relayed (RFC 9112 section 6.1).
    public private(set) var fields = FieldTable()
    /// How the body ends. RFC 9112 section 6.3.
    public private(set) var framing = BodyFraming.none
    /// Whether the connection can be used again after the body.
    public private(set) var persistence = ConnectionPersistence.keepAlive
    /// What a 101 switches to. Of no meaning with other statuses.
    public private(set) var upgrade = UpgradeOffer.none

    /// Storage for heads to come.
    public init() {}

    /// Parses the bytes received so far from the start of a response, in one pass over them.
    /// - Parameters:
    ///   - bytes: may go on behind the head; only the first 16 KiB are looked at.
    ///   - request: what is being answered.
    public mutating func parse(_ bytes: UnsafeRawBufferPointer, answering request: AnsweredRequest) -> HeadParse {
        var scanner = HeadScanner(bytes)
        do throws(HeadStop) {
            try parseStatusLine(&scanner)
            var facts = FieldFacts()
            try scanner.fields(into: &fields, facts: &facts)
            try decide(facts, answering: request, bytes)
        } catch {
            return HeadParse(error)
        }
        return .complete(byteCount: scanner.position)
    }

    private mutating func parseStatusLine(_ scanner: inout HeadScanner) throws(HeadStop) {
        minorVersion = try scanner.version(or: .malformedStatusLine)
        try scanner.literal(" ", or: .malformedStatusLine)
        var number: UInt16 = 0
        for _ in 0..<3 {
            let byte = try scanner.current()
            guard ASCII.isDigit(byte) else { throw .invalid(.malformedStatusLine) }
            number = number * 10 + UInt16(byte - 0x30)
            scanner.advance()
        }
        guard (100...599).contains(number) else { throw .invalid(.malformedStatusLine) }
        status = number
        // The space before an empty reason is required, but many programs leave it away, and nothing hangs on it.
        let next = try scanner.current()
        if next == ASCII.space {
            scanner.advance()
        } else if next != ASCII.carriageReturn {
            throw .invalid(next == ASCII.lineFeed ? .bareLineBreak : .malformedStatusLine)
        }
        let start = scanner.position
        reasonPhrase = ByteRange(start, max(start, try scanner.value()))
        try scanner.lineEnd()
    }

    private mutating func decide(
        _ facts: FieldFacts, answering request: AnsweredRequest, _ bytes: UnsafeRawBufferPointer
    ) throws(HeadStop) {
        let declared = try facts.declaredFraming(minorVersion: minorVersion)
        persistence = facts.persistence(minorVersion: minorVersion)
        upgrade = try facts.upgradeOffer(in: bytes)
        try facts.markNominated(in: &fields, bytes)
        switch status {
        case 101:
            guard request == .upgrade else { throw .invalid(.uninvitedUpgrade) }
            framing = .none
        case 100..<200, 204, 304:
            framing = .none
        default:
            framing = request == .head ? .none : declared ?? .untilClose
        }
        if framing == .untilClose { persistence = .close }
    }
}

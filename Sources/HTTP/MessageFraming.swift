/// How the end of a body is found. Decided from the whole head, never guessed from bytes.
public enum BodyFraming: Equatable, Sendable {
    /// There is no body: the next message follows the head.
    case none
    /// Exactly so many bytes, at most 2⁶³−1; may be zero.
    case length(UInt64)
    /// Chunks, to be followed with a ``ChunkedScanner``.
    case chunked
    /// All until the sender closes. Only in responses.
    case untilClose
}

/// Whether another message may follow on the connection.
public enum ConnectionPersistence: Equatable, Sendable {
    /// The connection stays open for the next message.
    case keepAlive
    /// The sender closes after this message.
    case close
}

/// The protocol that the sender asks to switch to.
public enum UpgradeOffer: Equatable, Sendable {
    /// No upgrade is asked for, or only to HTTP/2, which is never switched to here.
    case none
    /// WebSocket, RFC 6455.
    case webSocket
    /// A single other protocol: its name. Whether to allow it is the caller's choice; refusing means to ignore it.
    case other(ByteRange)
}

/// What the fields say together about framing, routing and the connection; gathered field by field.
struct FieldFacts {
    private(set) var contentLength: UInt64?
    private(set) var transferEncoding: ByteRange?
    private(set) var host: ByteRange?
    private(set) var expect: ByteRange?
    private(set) var upgrade: ByteRange?
    private var connection = ConnectionTokens()

    mutating func note(_ field: FieldLayout, index: Int, in bytes: UnsafeRawBufferPointer) throws(HeadStop) {
        switch field.known {
        case .contentLength:
            try refuseLookAlike(field, bytes)
            guard contentLength == nil, let length = Self.decimal(field.value.bytes(in: bytes)),
                hasPlainSpacing(field, bytes)
            else { throw .invalid(.malformedContentLength) }
            contentLength = length
        case .transferEncoding:
            try refuseLookAlike(field, bytes)
            guard transferEncoding == nil, hasPlainSpacing(field, bytes) else {
                throw .invalid(.malformedTransferEncoding)
            }
            try Self.checkCodings(field.value.bytes(in: bytes))
            transferEncoding = field.value
        case .host:
            guard host == nil, Authority.isValid(field.value.bytes(in: bytes)), hasPlainSpacing(field, bytes) else {
                throw .invalid(.malformedHost)
            }
            host = field.value
        case .connection:
            try connection.note(field.value.bytes(in: bytes))
        case .upgrade:
            guard upgrade == nil, field.value.count > 0 else { throw .invalid(.malformedUpgrade) }
            upgrade = field.value
        case .expect:
            guard expect == nil, ASCII.matches(field.value.bytes(in: bytes), "100-continue") else {
                throw .invalid(.unsupportedExpectation)
            }
            expect = field.value
        case .other, .keepAlive, .proxyConnection, .te, .trailer, .http2Settings, .forwardedFor, .forwardedProto,
            .verified, .server, .backendID, .accessControlAllow, .nominatedByConnection:
            break
        }
    }

    /// Framing by length or chunks; nil if the fields say neither. RFC 9112 section 6.
    func declaredFraming(minorVersion: UInt8) throws(HeadStop) -> BodyFraming? {
        if transferEncoding != nil {
            guard minorVersion == 1 else { throw .invalid(.malformedTransferEncoding) }
            guard contentLength == nil else { throw .invalid(.contradictingLengths) }
            return .chunked
        }
        return contentLength.map { .length($0) }
    }

    /// RFC 9112 section 9.3: `close` beats `keep-alive`, and the version decides when neither is there.
    func persistence(minorVersion: UInt8) -> ConnectionPersistence {
        if connection.saysClose { return .close }
        return minorVersion == 1 || connection.saysKeepAlive ? .keepAlive : .close
    }

    /// What `Upgrade` offers, provided that `Connection` says so too. RFC 9110 section 7.8.
    func upgradeOffer(in bytes: UnsafeRawBufferPointer) throws(HeadStop) -> UpgradeOffer {
        guard connection.saysUpgrade, let upgrade else { return .none }
        var offer = UpgradeOffer.none
        var elements = ListElements(upgrade)
        while let element = elements.next(in: bytes) {
            let name = element.bytes(in: bytes)
            guard name.allSatisfy({ ASCII.isToken($0) || $0 == ASCII.slash }) else {
                throw .invalid(.malformedUpgrade)
            }
            if ASCII.matches(name, "websocket") { return .webSocket }
            if offer == .none, !ASCII.matches(name, "h2c"), !ASCII.matches(name, "h2") { offer = .other(element) }
        }
        return offer
    }

    /// Marks the fields that `Connection` declares to be hop-by-hop. A second pass, but only when there is such a token.
    func markNominated(in table: inout FieldTable, _ bytes: UnsafeRawBufferPointer) throws(HeadStop) {
        guard connection.nominates else { return }
        for index in 0..<table.count where table[index].known == .connection {
            var elements = ListElements(table[index].value)
            while let element = elements.next(in: bytes) {
                let token = element.bytes(in: bytes)
                for other in 0..<table.count where table[other].known == .other {
                    let name = table[other].name.bytes(in: bytes)
                    guard name.count == token.count,
                        zip(name, token).allSatisfy({ ASCII.lowercase($0) == ASCII.lowercase($1) })
                    else { continue }
                    table.mark(other, as: .nominatedByConnection)
                }
            }
        }
    }

    /// `1*DIGIT` up to 2⁶³−1, without leading zeros: some programs read those as octal.
    static func decimal(_ text: UnsafeRawBufferPointer) -> UInt64? {
        guard text.count >= 1, text.count <= 19, text.count == 1 || text[0] != 0x30 else { return nil }
        var value: UInt64 = 0
        for byte in text {
            guard ASCII.isDigit(byte) else { return nil }
            value = value &* 10 &+ UInt64(byte &- 0x30)
        }
        // Nineteen digits stay below 2⁶⁴, so the product cannot have wrapped.
        return value <= UInt64(Int64.max) ? value : nil
    }

    private static func checkCodings(_ value: UnsafeRawBufferPointer) throws(HeadStop) {
        if ASCII.matches(value, "chunked") { return }
        let isPlain =
            value.count > 0 && value.allSatisfy { ASCII.isToken($0) || $0 == ASCII.space || $0 == ASCII.comma }
        throw .invalid(isPlain ? .unsupportedTransferCoding : .malformedTransferEncoding)
    }

    private func refuseLookAlike(_ field: FieldLayout, _ bytes: UnsafeRawBufferPointer) throws(HeadStop) {
        if field.name.bytes(in: bytes).contains(0x5F) { throw .invalid(.lookAlikeFieldName) }
    }

    /// Around a value that decides framing or routing only spaces are let through: parsers differ about tabs.
    private func hasPlainSpacing(_ field: FieldLayout, _ bytes: UnsafeRawBufferPointer) -> Bool {
        let afterColon = Int(field.name.offset) + Int(field.name.count) + 1
        for index in afterColon..<Int(field.value.offset) where bytes[index] == ASCII.tab { return false }
        var index = Int(field.value.offset) + Int(field.value.count)
        while bytes[index] != ASCII.carriageReturn {
            if bytes[index] == ASCII.tab { return false }
            index += 1
        }
        return true
    }
}

/// What all `Connection` fields of a head say together. RFC 9110 section 7.6.1.
private struct ConnectionTokens {
    private(set) var saysClose = false
    private(set) var saysKeepAlive = false
    private(set) var saysUpgrade = false
    private(set) var nominates = false

    mutating func note(_ value: UnsafeRawBufferPointer) throws(HeadStop) {
        var elements = ListElements(ByteRange(0, value.count))
        while let element = elements.next(in: value) {
            let token = element.bytes(in: value)
            guard token.allSatisfy(ASCII.isToken) else { throw .invalid(.malformedConnection) }
            if ASCII.matches(token, "close") {
                saysClose = true
            } else if ASCII.matches(token, "keep-alive") {
                saysKeepAlive = true
            } else if ASCII.matches(token, "upgrade") {
                saysUpgrade = true
            } else {
                try checkNomination(token)
                nominates = true
            }
        }
    }

    /// A proxy that obeyed `Connection: content-length` would strip the framing that it has just checked.
    private func checkNomination(_ token: UnsafeRawBufferPointer) throws(HeadStop) {
        switch KnownField.named(token) {
        case .host, .contentLength, .transferEncoding, .connection, .expect, .verified, .forwardedFor, .forwardedProto,
            .backendID:
            throw .invalid(.malformedConnection)
        case .other, .keepAlive, .proxyConnection, .upgrade, .te, .trailer, .http2Settings, .server,
            .accessControlAllow, .nominatedByConnection:
            return
        }
    }
}

/// The elements of a comma-separated list, without white space around them; empty ones are skipped (RFC 9110, 5.6.1).
struct ListElements {
    private var position: Int
    private let end: Int

    init(_ range: ByteRange) {
        position = Int(range.offset)
        end = position + Int(range.count)
    }

    mutating func next(in bytes: UnsafeRawBufferPointer) -> ByteRange? {
        while position < end {
            var start = position
            while position < end, bytes[position] != ASCII.comma { position += 1 }
            var stop = position
            position += 1
            while start < stop, bytes[start] == ASCII.space || bytes[start] == ASCII.tab { start += 1 }
            while stop > start, bytes[stop - 1] == ASCII.space || bytes[stop - 1] == ASCII.tab { stop -= 1 }
            if stop > start { return ByteRange(start, stop) }
        }
        return nil
    }
}

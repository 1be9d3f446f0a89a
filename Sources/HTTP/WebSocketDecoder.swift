/// Turns received bytes into messages. Pure and incremental: bytes may be cut anywhere.
///
/// It enforces what RFC 6455 leaves to the receiver: masks by role, no reserved bits, control frames whole and short,
/// shortest length forms, fragments in order, a limit on the reassembled message, UTF-8 text and valid close codes.
public struct WebSocketDecoder: Sendable {
    private struct Partial {
        let opcode: WebSocketOpcode
        var payload: [UInt8]
    }

    private struct Header {
        let isFinal: Bool
        let opcode: WebSocketOpcode
        let payloadStart: Int
        let payloadCount: Int
        let key: ArraySlice<UInt8>
    }

    private let role: WebSocketRole
    private let messageByteCountMax: Int
    private var buffer: [UInt8] = []
    private var consumed = 0
    private var partial: Partial?

    /// - Parameters:
    ///   - role: ours.
    ///   - messageByteCountMax: limit of one reassembled message; larger ones are refused when their length is announced.
    public init(role: WebSocketRole, messageByteCountMax: Int = 2 * 1024 * 1024) {
        self.role = role
        self.messageByteCountMax = messageByteCountMax
    }

    /// Adds received bytes; then call ``next()`` until it gives nil.
    public mutating func append(_ bytes: some Collection<UInt8>) {
        if consumed > 0 {
            buffer.removeFirst(consumed)
            consumed = 0
        }
        buffer += bytes
    }

    /// The next whole message, or nil until more bytes have come. After an error the decoder is of no more use.
    public mutating func next() throws(WebSocketViolation) -> WebSocketMessage? {
        while let header = try header() {
            guard buffer.count - header.payloadStart >= header.payloadCount else { return nil }
            var payload = Array(buffer[header.payloadStart..<header.payloadStart + header.payloadCount])
            for index in payload.indices where !header.key.isEmpty {
                payload[index] ^= header.key[header.key.startIndex + (index & 3)]
            }
            consumed = header.payloadStart + header.payloadCount
            if let message = try message(header, payload) { return message }
        }
        return nil
    }

    private func header() throws(WebSocketViolation) -> Header? {
        let bytes = buffer[consumed...]
        guard bytes.count >= 2 else { return nil }
        let first = buffer[consumed]
        let second = buffer[consumed + 1]
        guard first & 0x70 == 0 else { throw WebSocketViolation(.protocolError, "A reserved bit is set.") }
        guard let opcode = WebSocketOpcode(rawValue: first & 0x0F) else {
            throw WebSocketViolation(.protocolError, "The opcode is unknown.")
        }
        let isMasked = second & 0x80 != 0
        guard isMasked == (role == .server) else {
            throw WebSocketViolation(.protocolError, "Frames of a client must be masked, those of a server must not.")
        }
        let isFinal = first & 0x80 != 0
        let short = Int(second & 0x7F)
        if opcode.isControl, !isFinal || short > 125 {
            throw WebSocketViolation(.protocolError, "A control frame is fragmented or longer than 125 bytes.")
        }
        let lengthCount = short < 126 ? 0 : short == 126 ? 2 : 8
        let payloadStart = consumed + 2 + lengthCount + (isMasked ? 4 : 0)
        guard bytes.count >= 2 + lengthCount else { return nil }
        let payloadCount = try payloadCount(short, lengthCount)
        let whole = payloadCount + (opcode.isControl ? 0 : partial?.payload.count ?? 0)
        guard whole <= messageByteCountMax || opcode.isControl else {
            throw WebSocketViolation(.tooBig, "The message is larger than this endpoint takes.")
        }
        guard buffer.count >= payloadStart else { return nil }
        let key = isMasked ? buffer[payloadStart - 4..<payloadStart] : []
        return Header(
            isFinal: isFinal, opcode: opcode, payloadStart: payloadStart, payloadCount: payloadCount, key: key)
    }

    private func payloadCount(_ short: Int, _ lengthCount: Int) throws(WebSocketViolation) -> Int {
        if lengthCount == 0 { return short }
        let digits = buffer[consumed + 2..<consumed + 2 + lengthCount]
        let value = digits.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard value >= (lengthCount == 2 ? 126 : 65536), value <= UInt64(Int64.max) else {
            throw WebSocketViolation(.protocolError, "The payload length is not in its shortest form.")
        }
        // Beyond any limit; kept small so that adding to it cannot overflow.
        return Int(min(value, UInt64(Int32.max)))
    }

    private mutating func message(
        _ header: Header, _ payload: [UInt8]
    ) throws(WebSocketViolation) -> WebSocketMessage? {
        switch header.opcode {
        case .ping: return .ping(payload)
        case .pong: return .pong(payload)
        case .close: return try close(payload)
        case .text, .binary:
            guard partial == nil else {
                throw WebSocketViolation(.protocolError, "A message began before the one before it was over.")
            }
            partial = Partial(opcode: header.opcode, payload: payload)
        case .continuation:
            guard partial != nil else {
                throw WebSocketViolation(.protocolError, "A fragment came without a message that it continues.")
            }
            partial?.payload += payload
        }
        guard header.isFinal, let whole = partial else { return nil }
        partial = nil
        if whole.opcode == .binary { return .binary(whole.payload) }
        guard let text = String(validating: whole.payload, as: UTF8.self) else {
            throw WebSocketViolation(.invalidData, "The text is not UTF-8.")
        }
        return .text(text)
    }

    private func close(_ payload: [UInt8]) throws(WebSocketViolation) -> WebSocketMessage {
        if payload.isEmpty { return .close(code: nil, reason: "") }
        guard payload.count >= 2 else {
            throw WebSocketViolation(.protocolError, "The close code has one byte instead of two.")
        }
        let code = WebSocketCloseCode(rawValue: UInt16(payload[0]) << 8 | UInt16(payload[1]))
        guard code.isSendable else { throw WebSocketViolation(.protocolError, "The close code is a reserved one.") }
        guard let reason = String(validating: payload[2...], as: UTF8.self) else {
            throw WebSocketViolation(.invalidData, "The close reason is not UTF-8.")
        }
        return .close(code: code, reason: reason)
    }
}

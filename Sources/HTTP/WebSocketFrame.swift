/// The side of a WebSocket that we are: it decides who masks. RFC 6455 section 5.1.
public enum WebSocketRole: Sendable {
    /// We accepted: frames to us are masked, ours are not.
    case server
    /// We dialled: ours are masked, frames to us are not.
    case client
}

/// Why a WebSocket was or is to be closed. RFC 6455 section 7.4.
public struct WebSocketCloseCode: RawRepresentable, Hashable, Sendable {
    /// The number on the wire.
    public let rawValue: UInt16

    /// Any number.
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// The purpose is fulfilled.
    public static let normal = WebSocketCloseCode(rawValue: 1000)
    /// The server shuts down.
    public static let goingAway = WebSocketCloseCode(rawValue: 1001)
    /// A frame broke the protocol.
    public static let protocolError = WebSocketCloseCode(rawValue: 1002)
    /// A kind of message that is not taken here.
    public static let unsupportedData = WebSocketCloseCode(rawValue: 1003)
    /// Text that is not UTF-8.
    public static let invalidData = WebSocketCloseCode(rawValue: 1007)
    /// The endpoint's rules forbid it.
    public static let policyViolation = WebSocketCloseCode(rawValue: 1008)
    /// A message beyond the receiver's limit.
    public static let tooBig = WebSocketCloseCode(rawValue: 1009)

    /// Whether a peer may send it: the reserved numbers only describe what was seen locally.
    var isSendable: Bool {
        switch rawValue {
        case 1000...1003, 1007...1014, 3000...4999: true
        default: false
        }
    }
}

/// A whole message or control frame.
public enum WebSocketMessage: Equatable, Sendable {
    /// Text, reassembled and valid UTF-8.
    case text(String)
    /// Bytes, reassembled.
    case binary([UInt8])
    /// To be answered with a pong of the same payload.
    case ping([UInt8])
    /// The answer to a ping, or a sign of life.
    case pong([UInt8])
    /// The peer sends nothing more. `code` is nil if it gave none.
    case close(code: WebSocketCloseCode?, reason: String)
}

/// A peer broke the protocol or a limit; the connection is to be closed with ``code``.
public struct WebSocketViolation: Error, Equatable, Sendable {
    /// The code to close with.
    public let code: WebSocketCloseCode
    /// The reason as a sentence.
    public let reason: StaticString

    init(_ code: WebSocketCloseCode, _ reason: StaticString) {
        self.code = code
        self.reason = reason
    }

    /// Equal if the code and the sentence are.
    public static func == (left: WebSocketViolation, right: WebSocketViolation) -> Bool {
        left.code == right.code && left.reason.description == right.reason.description
    }
}

/// Turns a message into one frame. Pure. RFC 6455 section 5.2.
public enum WebSocketEncoder {
    /// The frame's bytes.
    /// - Parameters:
    ///   - message: control payloads are cut to the 125 bytes that the protocol allows.
    ///   - role: ours; a client draws a fresh random mask for every frame.
    public static func encode(_ message: WebSocketMessage, as role: WebSocketRole) -> [UInt8] {
        switch message {
        case .text(let text): return frame(.text, Array(text.utf8), role)
        case .binary(let bytes): return frame(.binary, bytes, role)
        case .ping(let payload): return frame(.ping, Array(payload.prefix(125)), role)
        case .pong(let payload): return frame(.pong, Array(payload.prefix(125)), role)
        case .close(let code, let reason):
            guard let code else { return frame(.close, [], role) }
            var payload = [UInt8(code.rawValue >> 8), UInt8(code.rawValue & 255)]
            for character in reason.unicodeScalars {
                let encoded = String(character).utf8
                if payload.count + encoded.count > 125 { break }
                payload += encoded
            }
            return frame(.close, payload, role)
        }
    }

    private static func frame(_ opcode: WebSocketOpcode, _ payload: [UInt8], _ role: WebSocketRole) -> [UInt8] {
        switch role {
        case .server: return frame(opcode, payload, mask: nil)
        case .client: return frame(opcode, payload, mask: UInt32.random(in: 0...UInt32.max))
        }
    }

    static func frame(_ opcode: WebSocketOpcode, _ payload: [UInt8], mask: UInt32?, final: UInt8 = 0x80) -> [UInt8] {
        var output: [UInt8] = []
        output.reserveCapacity(payload.count + 14)
        output.append(final | opcode.rawValue)
        let maskBit: UInt8 = mask == nil ? 0 : 0x80
        switch payload.count {
        case ...125: output.append(maskBit | UInt8(payload.count))
        case ...0xFFFF:
            output.append(maskBit | 126)
            output += [UInt8(payload.count >> 8), UInt8(payload.count & 255)]
        default:
            output.append(maskBit | 127)
            output += (0..<8).map { UInt8(truncatingIfNeeded: payload.count >> (56 - 8 * $0)) }
        }
        guard let mask else { return output + payload }
        let key = (0..<4).map { UInt8(truncatingIfNeeded: mask >> (24 - 8 * UInt32($0))) }
        output += key
        for (index, byte) in payload.enumerated() { output.append(byte ^ key[index & 3]) }
        return output
    }
}

enum WebSocketOpcode: UInt8 {
    case continuation = 0
    case text = 1
    case binary = 2
    case close = 8
    case ping = 9
    case pong = 10

    var isControl: Bool { rawValue >= 8 }
}

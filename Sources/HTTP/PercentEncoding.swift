/// Percent-encoding of paths and queries, RFC 3986 section 2. Strict: what is not two hexadecimal digits, or not UTF-8
/// once decoded, is refused rather than passed through.
public enum PercentEncoding {
    /// What a plus sign means in the text to decode.
    public enum PlusSign: Sendable {
        /// Itself, as in paths.
        case literal
        /// A space, as forms write it in queries.
        case space
    }

    /// The decoded text, or nil if it is malformed or contains NUL.
    public static func decode(_ text: some StringProtocol, plus: PlusSign = .literal) -> String? {
        var decoded: [UInt8] = []
        decoded.reserveCapacity(text.utf8.count)
        var bytes = text.utf8.makeIterator()
        while let byte = bytes.next() {
            switch byte {
            case UInt8(ascii: "%"):
                guard let first = bytes.next().flatMap(ASCII.hexValue),
                    let second = bytes.next().flatMap(ASCII.hexValue),
                    first | second != 0
                else { return nil }
                decoded.append(first << 4 | second)
            case UInt8(ascii: "+") where plus == .space: decoded.append(ASCII.space)
            default: decoded.append(byte)
            }
        }
        return String(validating: decoded, as: UTF8.self)
    }

    /// The text with all but unreserved characters escaped: safe as one path segment and as a query name or value.
    public static func encode(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var encoded: [UInt8] = []
        encoded.reserveCapacity(text.utf8.count)
        for byte in text.utf8 {
            if ASCII.isAlphanumeric(byte) || byte == 0x2D || byte == 0x2E || byte == 0x5F || byte == 0x7E {
                encoded.append(byte)
            } else {
                encoded += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: encoded, as: UTF8.self)
    }
}

/// The `host[:port]` of a Host field or an absolute target. Stricter than RFC 3986: no user information, no escapes, no
/// empty host, so that every reader finds the same name in it.
enum Authority {
    static func isValid(_ text: UnsafeRawBufferPointer) -> Bool {
        guard let first = text.first else { return false }
        let hostEnd: Int
        if first == UInt8(ascii: "[") {
            guard let bracket = text.firstIndex(of: UInt8(ascii: "]")), bracket > 2,
                text[1..<bracket].allSatisfy({ ASCII.hexValue($0) != nil || $0 == ASCII.colon || $0 == 0x2E })
            else { return false }
            hostEnd = bracket + 1
        } else {
            hostEnd = text.firstIndex(of: ASCII.colon) ?? text.count
            guard hostEnd > 0, hostEnd <= 255, text[..<hostEnd].allSatisfy(isNameByte) else { return false }
        }
        if hostEnd == text.count { return true }
        return text[hostEnd] == ASCII.colon && isPort(UnsafeRawBufferPointer(rebasing: text[(hostEnd + 1)...]))
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        ASCII.isAlphanumeric(byte) || byte == 0x2D || byte == 0x2E || byte == 0x5F || byte == 0x7E
    }

    private static func isPort(_ text: UnsafeRawBufferPointer) -> Bool {
        guard text.count >= 1, text.count <= 5, text.allSatisfy(ASCII.isDigit) else { return false }
        return text.reduce(0) { $0 * 10 + Int($1 &- 0x30) } <= 65535
    }
}

internal import Model

/// Reads JSON text (RFC 8259) that a person wrote, and says the line and column of what is wrong.
///
/// Unlike `JSONDecoder` it refuses a name that stands twice in one object: of two limits the reader would see one and the
/// sandbox get the other.
struct JSONText {
    /// Where the text is wrong and how.
    struct SyntaxError: Error, Equatable {
        /// `line 3, column 7`, both from 1; a column is a Unicode scalar.
        let place: String
        let problem: String
    }

    /// Arrays and objects within each other. The reader recurses, and no policy needs more.
    static let depthMax = 32

    private let bytes: [UInt8]
    private var position = 0
    private var depth = 0

    private init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// The one value that the text holds.
    static func parse(_ bytes: [UInt8]) throws(SyntaxError) -> JSONValue {
        var text = JSONText(bytes)
        text.skipSpace()
        let value = try text.value()
        text.skipSpace()
        guard text.next == nil else { throw text.unexpected("nothing behind the end of the document") }
        return value
    }

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { position += 1 }
    }

    private mutating func take(_ byte: Character) -> Bool {
        guard next == byte.asciiValue else { return false }
        position += 1
        return true
    }

    private mutating func value() throws(SyntaxError) -> JSONValue {
        switch next {
        case UInt8(ascii: "{"): try nested { (text) throws(SyntaxError) in .object(try text.members()) }
        case UInt8(ascii: "["): try nested { (text) throws(SyntaxError) in .array(try text.items()) }
        case UInt8(ascii: "\""): .string(try string())
        case UInt8(ascii: "t"): try word("true", .bool(true))
        case UInt8(ascii: "f"): try word("false", .bool(false))
        case UInt8(ascii: "n"): try word("null", .null)
        case .some(UInt8(ascii: "0")...UInt8(ascii: "9")), UInt8(ascii: "-"): try number()
        default: throw unexpected("a value")
        }
    }

    private mutating func nested(
        _ read: (inout JSONText) throws(SyntaxError) -> JSONValue
    ) throws(SyntaxError) -> JSONValue {
        guard depth < Self.depthMax else {
            throw error(at: position, "more than \(Self.depthMax) objects and arrays within each other")
        }
        depth += 1
        position += 1
        skipSpace()
        let value = try read(&self)
        depth -= 1
        return value
    }

    private mutating func members() throws(SyntaxError) -> [String: JSONValue] {
        var members: [String: JSONValue] = [:]
        if take("}") { return members }
        while true {
            guard next == UInt8(ascii: "\"") else { throw unexpected("a field's name in quotes") }
            let start = position
            let name = try string()
            skipSpace()
            guard take(":") else { throw unexpected("\":\" behind a field's name") }
            skipSpace()
            guard members.updateValue(try value(), forKey: name) == nil else {
                throw error(at: start, "\"\(name.prefix(80))\" stands twice in one object")
            }
            skipSpace()
            if take("}") { return members }
            guard take(",") else { throw unexpected("\",\" or \"}\"") }
            skipSpace()
        }
    }

    private mutating func items() throws(SyntaxError) -> [JSONValue] {
        var items: [JSONValue] = []
        if take("]") { return items }
        while true {
            items.append(try value())
            skipSpace()
            if take("]") { return items }
            guard take(",") else { throw unexpected("\",\" or \"]\"") }
            skipSpace()
        }
    }

    private mutating func word(_ word: String, _ value: JSONValue) throws(SyntaxError) -> JSONValue {
        guard bytes[position...].starts(with: word.utf8) else { throw unexpected("a value") }
        position += word.utf8.count
        return value
    }

    private mutating func digits() -> Int {
        let start = position
        while let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { position += 1 }
        return position - start
    }

    private mutating func number() throws(SyntaxError) -> JSONValue {
        let start = position
        _ = take("-")
        if !take("0"), digits() == 0 { throw unexpected("a digit") }
        if take("."), digits() == 0 { throw unexpected("a digit") }
        if take("e") || take("E") {
            if !take("-") { _ = take("+") }
            if digits() == 0 { throw unexpected("a digit") }
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if let integer = Int64(text) { return .integer(integer) }
        guard let value = Double(text), value.isFinite else {
            throw error(at: start, "the number \(text.prefix(40)) is too large")
        }
        // 1.0 and 1e3 are integers that someone wrote differently.
        if let integer = Int64(exactly: value), value.magnitude < 0x1p53 { return .integer(integer) }
        return .number(value)
    }

    private mutating func string() throws(SyntaxError) -> String {
        let start = position
        position += 1
        var raw: [UInt8] = []
        while let byte = next {
            switch byte {
            case UInt8(ascii: "\""):
                position += 1
                guard let text = String(validating: raw, as: UTF8.self) else {
                    throw error(at: start, "the text that begins here is not UTF-8")
                }
                return text
            case UInt8(ascii: "\\"):
                raw += String(try escape()).utf8
            case 0..<0x20:
                throw error(at: position, "a control character within a text; write it as an escape such as \\n")
            default:
                raw.append(byte)
                position += 1
            }
        }
        throw error(at: start, "the text that begins here has no closing quote")
    }

    private mutating func escape() throws(SyntaxError) -> Unicode.Scalar {
        let start = position
        position += 1
        defer { position += 1 }
        switch next {
        case UInt8(ascii: "\""): return "\""
        case UInt8(ascii: "\\"): return "\\"
        case UInt8(ascii: "/"): return "/"
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{c}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): break
        default: throw error(at: start, "an unknown escape; allowed are \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX")
        }
        guard let unit = hexadecimalUnit() else { throw error(at: start, "\\u without four hexadecimal digits") }
        if let scalar = Unicode.Scalar(unit) { return scalar }
        // Half of a surrogate pair: the other half has to follow (RFC 8259, section 7).
        position += 1
        if unit < 0xdc00, take("\\"), next == UInt8(ascii: "u"), let low = hexadecimalUnit(),
            (0xdc00...0xdfff).contains(low),
            let scalar = Unicode.Scalar(0x10000 + (UInt32(unit) - 0xd800) << 10 + (UInt32(low) - 0xdc00))
        {
            return scalar
        }
        throw error(at: start, "half of a surrogate pair without the other half")
    }

    /// Reads the four digits behind the `u` at `position` and stops on the last of them.
    private mutating func hexadecimalUnit() -> UInt16? {
        guard position + 4 < bytes.count else { return nil }
        var unit: UInt16 = 0
        for byte in bytes[position + 1...position + 4] {
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else { return nil }
            unit = unit << 4 | UInt16(digit)
        }
        position += 4
        return unit
    }

    private func unexpected(_ wanted: String) -> SyntaxError {
        let found =
            switch next {
            case nil: "the end of the file"
            case .some(let byte) where (0x21...0x7e).contains(byte): "\"\(Character(Unicode.Scalar(byte)))\""
            case .some(let byte): "the byte 0x" + String(byte, radix: 16)
            }
        return error(at: position, "expected \(wanted), found \(found)")
    }

    private func error(at index: Int, _ problem: String) -> SyntaxError {
        let before = bytes[..<min(index, bytes.count)]
        let line = before.count { $0 == 0x0a } + 1
        let lineStart = before.lastIndex(of: 0x0a).map { $0 + 1 } ?? 0
        // Every scalar has one byte that is not a continuation byte 10xxxxxx.
        let column = before[lineStart...].count { $0 & 0xc0 != 0x80 } + 1
        return SyntaxError(place: "line \(line), column \(column)", problem: problem)
    }
}

/// Text that is not JSON, and where it stops being so.
public struct JSONSyntaxError: Error, Equatable, Sendable, CustomStringConvertible {
    /// From 1.
    public let line: Int
    /// In bytes from the line's beginning, from 1.
    public let column: Int
    /// What is wrong there, as the rest of a sentence.
    public let problem: String

    public var description: String { "line \(line), column \(column): \(problem)" }
}

extension JSONValue {
    /// Deepest nesting of arrays and objects that is read; the parser calls itself, so its stack is bounded by this.
    public static let depthMax = 64

    /// Reads one JSON text, RFC 8259. Stricter than most readers where those disagree with each other: a member's name
    /// may come once, a number must keep its value (an integer that 64 bits cannot hold is refused, not rounded), and
    /// text must be UTF-8 without lone surrogates. What two readers understand differently, an attacker can use.
    public init(parsing bytes: [UInt8]) throws(JSONSyntaxError) {
        var parser = JSONParser(bytes)
        self = try parser.document()
    }

    /// The value as compact JSON, members sorted by name, everything beyond ASCII escaped: it may stand in a header.
    public var text: String {
        var writer = JSONWriter()
        writer.write(self)
        return String(decoding: writer.bytes, as: UTF8.self)
    }
}

/// One pass over the bytes; recursion only for nesting, and that is bounded.
private struct JSONParser {
    let bytes: [UInt8]
    var at = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func document() throws(JSONSyntaxError) -> JSONValue {
        skipSpace()
        if at == bytes.count { throw wrong("the text is empty; a JSON value is needed") }
        let value = try value(depth: 0)
        skipSpace()
        if at < bytes.count { throw wrong("something follows the end of the value") }
        return value
    }

    mutating func value(depth: Int) throws(JSONSyntaxError) -> JSONValue {
        guard let byte = peek else { throw wrong("the text ends where a value should stand") }
        switch byte {
        case UInt8(ascii: "{"): return try object(depth: depth + 1)
        case UInt8(ascii: "["): return try array(depth: depth + 1)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "-"), 48...57: return try number()
        default: throw wrong("a value cannot begin with \(named(byte))")
        }
    }

    mutating func object(depth: Int) throws(JSONSyntaxError) -> JSONValue {
        try checkDepth(depth)
        var members: [String: JSONValue] = [:]
        at += 1
        skipSpace()
        if take(UInt8(ascii: "}")) { return .object(members) }
        while true {
            guard peek == UInt8(ascii: "\"") else { throw wrong("a member's name in double quotes is needed") }
            let start = at
            let name = try string()
            if members[name] != nil { throw wrong("the member \"\(name.prefix(80))\" comes twice", at: start) }
            skipSpace()
            guard take(UInt8(ascii: ":")) else { throw wrong("a colon is needed after a member's name") }
            skipSpace()
            members[name] = try value(depth: depth)
            skipSpace()
            if take(UInt8(ascii: "}")) { return .object(members) }
            guard take(UInt8(ascii: ",")) else { throw wrong("a comma or } is needed after a member") }
            skipSpace()
        }
    }

    mutating func array(depth: Int) throws(JSONSyntaxError) -> JSONValue {
        try checkDepth(depth)
        var items: [JSONValue] = []
        at += 1
        skipSpace()
        if take(UInt8(ascii: "]")) { return .array(items) }
        while true {
            items.append(try value(depth: depth))
            skipSpace()
            if take(UInt8(ascii: "]")) { return .array(items) }
            guard take(UInt8(ascii: ",")) else { throw wrong("a comma or ] is needed after an item") }
            skipSpace()
        }
    }

    mutating func string() throws(JSONSyntaxError) -> String {
        let start = at
        at += 1
        var text: [UInt8] = []
        while let byte = peek {
            switch byte {
            case UInt8(ascii: "\""):
                at += 1
                guard let string = String(validating: text, as: UTF8.self) else {
                    throw wrong("the string is not UTF-8", at: start)
                }
                return string
            case UInt8(ascii: "\\"):
                try escape(into: &text)
            case 0..<32:
                throw wrong("a control character in a string must be escaped")
            default:
                text.append(byte)
                at += 1
            }
        }
        throw wrong("the string that begins here has no end", at: start)
    }

    mutating func escape(into text: inout [UInt8]) throws(JSONSyntaxError) {
        let start = at
        at += 1
        guard let byte = peek else { throw wrong("the text ends within a string") }
        at += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(8)
        case UInt8(ascii: "f"): text.append(12)
        case UInt8(ascii: "n"): text.append(10)
        case UInt8(ascii: "r"): text.append(13)
        case UInt8(ascii: "t"): text.append(9)
        case UInt8(ascii: "u"):
            var code = try fourHexDigits()
            if (0xD800..<0xDC00).contains(code), peek == UInt8(ascii: "\\"), at + 1 < bytes.count,
                bytes[at + 1] == UInt8(ascii: "u")
            {
                at += 2
                let low = try fourHexDigits()
                guard (0xDC00..<0xE000).contains(low) else { throw wrong("half of a surrogate pair", at: start) }
                code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw wrong("half of a surrogate pair", at: start) }
            text.append(contentsOf: Array(String(Character(scalar)).utf8))
        default: throw wrong("\\ must not be followed by \(named(byte))", at: start)
        }
    }

    mutating func fourHexDigits() throws(JSONSyntaxError) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = peek, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw wrong("\\u needs four hexadecimal digits")
            }
            code = code << 4 | UInt32(digit)
            at += 1
        }
        return code
    }

    mutating func number() throws(JSONSyntaxError) -> JSONValue {
        let start = at
        var isInteger = true
        _ = take(UInt8(ascii: "-"))
        let leadingZero = peek == UInt8(ascii: "0")
        let digits = takeDigits()
        if digits == 0 { throw wrong("a digit is needed after -") }
        if leadingZero && digits > 1 { throw wrong("a number must not begin with 0", at: start) }
        if take(UInt8(ascii: ".")) {
            isInteger = false
            if takeDigits() == 0 { throw wrong("a digit is needed after the point") }
        }
        if peek == UInt8(ascii: "e") || peek == UInt8(ascii: "E") {
            isInteger = false
            at += 1
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            if takeDigits() == 0 { throw wrong("a digit is needed in the exponent") }
        }
        let text = String(decoding: bytes[start..<at], as: UTF8.self)
        if isInteger {
            guard let value = Int64(text) else {
                throw wrong("the integer does not fit into 64 bits; write it as a string", at: start)
            }
            return .integer(value)
        }
        guard let value = Double(text), value.isFinite else { throw wrong("the number is too large", at: start) }
        return .number(value)
    }

    mutating func takeDigits() -> Int {
        let start = at
        while let byte = peek, (48...57).contains(byte) { at += 1 }
        return at - start
    }

    mutating func word(_ word: StaticString, _ value: JSONValue) throws(JSONSyntaxError) -> JSONValue {
        let end = at + word.utf8CodeUnitCount
        guard end <= bytes.count, bytes[at..<end].elementsEqual(Array("\(word)".utf8)) else {
            throw wrong("this is not true, false or null")
        }
        at = end
        return value
    }

    func checkDepth(_ depth: Int) throws(JSONSyntaxError) {
        if depth > JSONValue.depthMax { throw wrong("more than \(JSONValue.depthMax) levels of nesting") }
    }

    var peek: UInt8? { at < bytes.count ? bytes[at] : nil }

    mutating func take(_ byte: UInt8) -> Bool {
        guard peek == byte else { return false }
        at += 1
        return true
    }

    mutating func skipSpace() {
        while let byte = peek, byte == 32 || byte == 9 || byte == 10 || byte == 13 { at += 1 }
    }

    func named(_ byte: UInt8) -> String {
        (33...126).contains(byte) ? "\(Character(Unicode.Scalar(byte)))" : "byte \(byte)"
    }

    func wrong(_ problem: String, at position: Int? = nil) -> JSONSyntaxError {
        let before = bytes[..<(position ?? at)]
        let newline = UInt8(ascii: "\n")
        let line = before.reduce(1) { $1 == newline ? $0 + 1 : $0 }
        let column = before.count - (before.lastIndex(of: newline).map { $0 + 1 } ?? 0) + 1
        return JSONSyntaxError(line: line, column: column, problem: problem)
    }
}

private struct JSONWriter {
    var bytes: [UInt8] = []

    mutating func write(_ value: JSONValue) {
        switch value {
        case .null: append("null")
        case .bool(let flag): append(flag ? "true" : "false")
        case .integer(let number): append(String(number))
        case .number(let number):
            precondition(number.isFinite, "JSON has no infinity and no NaN")
            append(String(number))
        case .string(let text): write(text)
        case .array(let items):
            append("[")
            for (index, item) in items.enumerated() {
                if index > 0 { append(",") }
                write(item)
            }
            append("]")
        case .object(let members):
            append("{")
            for (index, member) in members.sorted(by: { $0.key < $1.key }).enumerated() {
                if index > 0 { append(",") }
                write(member.key)
                append(":")
                write(member.value)
            }
            append("}")
        }
    }

    mutating func write(_ text: String) {
        append("\"")
        for unit in text.utf16 {
            switch unit {
            case 0x22: append("\\\"")
            case 0x5C: append("\\\\")
            case 0x20..<0x7F: bytes.append(UInt8(unit))
            default:
                let digits = String(unit, radix: 16)
                append("\\u" + String(repeating: "0", count: 4 - digits.count) + digits)
            }
        }
        append("\"")
    }

    private mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }
}

/// A byte sequence that does not say what it should. Its sender is broken or hostile.
public struct WireError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What was expected at which byte.
    public let problem: String
    public var description: String { problem }

    /// - Parameter problem: a sentence.
    public init(_ problem: String) { self.problem = problem }
}

/// Writes the fixed-layout messages between drone, warden and policy compiler: little-endian integers, and byte
/// strings and lists behind a 32-bit count. No JSON, so that the warden needs no parser that could surprise it.
public struct WireWriter: Sendable {
    /// What has been written.
    public private(set) var bytes: [UInt8] = []

    /// Empty.
    public init() {}

    /// Appends an integer, least significant byte first.
    public mutating func write<Value: FixedWidthInteger>(_ value: Value) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    /// Appends a count and UTF-8 bytes.
    public mutating func write(_ text: String) {
        let utf8 = Array(text.utf8)
        write(UInt32(utf8.count))
        bytes.append(contentsOf: utf8)
    }

    /// Appends a count and bytes.
    public mutating func write(_ raw: [UInt8]) {
        write(UInt32(raw.count))
        bytes.append(contentsOf: raw)
    }

    /// Appends a flag byte and, for a value, the value.
    public mutating func write<Value: FixedWidthInteger>(_ value: Value?) {
        write(UInt8(value == nil ? 0 : 1))
        if let value { write(value) }
    }

    /// Appends a count and texts.
    public mutating func write(_ texts: [String]) {
        write(UInt32(texts.count))
        for text in texts { write(text) }
    }
}

/// Reads what `WireWriter` wrote, checking every length against what is there and against the reader's own bounds.
public struct WireReader: Sendable {
    private let bytes: [UInt8]
    private var position = 0

    /// - Parameter bytes: one whole message.
    public init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// Whether nothing is left. A message with bytes behind its end is as wrong as one that is too short.
    public var isAtEnd: Bool { position == bytes.count }

    /// The next integer.
    public mutating func read<Value: FixedWidthInteger>(_: Value.Type) throws(WireError) -> Value {
        let size = MemoryLayout<Value>.size
        guard bytes.count - position >= size else {
            throw WireError("message ends at byte \(bytes.count), within an integer that begins at \(position)")
        }
        var value: Value = 0
        for index in 0..<size { value |= Value(truncatingIfNeeded: bytes[position + index]) << Value(index * 8) }
        position += size
        return value
    }

    /// The next text. - Parameter limit: most bytes it may have.
    public mutating func readText(limit: Int) throws(WireError) -> String {
        let raw = try readBytes(limit: limit)
        guard let text = String(validating: raw, as: UTF8.self) else {
            throw WireError("text before byte \(position) is not UTF-8")
        }
        return text
    }

    /// The next byte string. - Parameter limit: most bytes it may have.
    public mutating func readBytes(limit: Int) throws(WireError) -> [UInt8] {
        let count = Int(try read(UInt32.self))
        guard count <= limit else {
            throw WireError("\(count) bytes at byte \(position); at most \(limit) are allowed")
        }
        guard bytes.count - position >= count else {
            throw WireError("message ends at byte \(bytes.count), within \(count) bytes that begin at \(position)")
        }
        defer { position += count }
        return Array(bytes[position..<position + count])
    }

    /// The next optional integer.
    public mutating func readOptional<Value: FixedWidthInteger>(_ type: Value.Type) throws(WireError) -> Value? {
        switch try read(UInt8.self) {
        case 0: return nil
        case 1: return try read(type)
        case let flag: throw WireError("flag \(flag) before byte \(position) is neither 0 nor 1")
        }
    }

    /// The next list of texts. - Parameters: most texts, and most bytes of each.
    public mutating func readTexts(limit: Int, each: Int) throws(WireError) -> [String] {
        let count = try readCount(limit: limit)
        var texts: [String] = []
        for _ in 0..<count { texts.append(try readText(limit: each)) }
        return texts
    }

    /// The length of a list. - Parameter limit: most items it may have.
    public mutating func readCount(limit: Int) throws(WireError) -> Int {
        let count = Int(try read(UInt32.self))
        guard count <= limit else {
            throw WireError("a list of \(count) at byte \(position); at most \(limit) are allowed")
        }
        return count
    }
}

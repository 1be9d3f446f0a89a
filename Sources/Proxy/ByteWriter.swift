/// Composes a message in memory that it does not own.
struct ByteWriter {
    let base: UnsafeMutableRawPointer
    let capacity: Int
    private(set) var count = 0

    init(_ buffer: UnsafeMutableRawBufferPointer) {
        // The callers' buffers are never empty.
        base = buffer.baseAddress.unsafelyUnwrapped
        capacity = buffer.count
    }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }
    var room: Int { capacity - count }

    @inline(__always)
    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        precondition(bytes.count <= capacity - count, "a composed message is longer than its limit")
        guard let source = bytes.baseAddress else { return }
        (base + count).copyMemory(from: source, byteCount: bytes.count)
        count &+= bytes.count
    }

    @inline(__always)
    mutating func append(_ text: StaticString) {
        append(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Named, so that no literal is taken for a String and copied on its way.
    mutating func append(text: String) {
        var text = text
        text.withUTF8 { append(UnsafeRawBufferPointer($0)) }
    }

    mutating func append(decimal value: UInt64) {
        if value >= 10 { append(decimal: value / 10) }
        append(byte: UInt8(truncatingIfNeeded: value % 10) &+ 0x30)
    }

    mutating func append(byte: UInt8) {
        precondition(count < capacity, "a composed message is longer than its limit")
        base.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
        count &+= 1
    }
}

/// Comparisons on raw bytes. Only ASCII letters are ever folded.
enum ByteText {
    @inline(__always)
    static func lowercase(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }

    /// Whether the bytes spell `name`, which must be lower case, whatever their own case is.
    static func equals(_ bytes: UnsafeRawBufferPointer, _ name: StaticString) -> Bool {
        bytes.count == name.utf8CodeUnitCount && hasPrefix(bytes, name)
    }

    /// Whether the bytes begin with `name`, which must be lower case; an underscore counts as a hyphen.
    static func hasPrefix(_ bytes: UnsafeRawBufferPointer, _ name: StaticString) -> Bool {
        guard bytes.count >= name.utf8CodeUnitCount else { return false }
        for index in 0..<name.utf8CodeUnitCount {
            let byte = bytes[index]
            if (byte == 0x5F ? 0x2D : lowercase(byte)) != name.utf8Start[index] { return false }
        }
        return true
    }

    static func contains(_ bytes: UnsafeRawBufferPointer, _ name: StaticString) -> Bool {
        let count = name.utf8CodeUnitCount
        guard bytes.count >= count else { return false }
        for start in 0...(bytes.count - count) {
            if hasPrefix(UnsafeRawBufferPointer(rebasing: bytes[start...]), name) { return true }
        }
        return false
    }
}

/// A range of bytes in a head. Sixteen bits suffice: a head is at most 16 KiB.
public struct ByteRange: Equatable, Sendable {
    /// Index of the first byte, from the start of the parsed buffer.
    public var offset: UInt16
    /// Number of bytes.
    public var count: UInt16

    /// A range of `count` bytes from `offset`.
    @inlinable
    public init(offset: UInt16 = 0, count: UInt16 = 0) {
        self.offset = offset
        self.count = count
    }

    @inline(__always)
    init(_ start: Int, _ end: Int) {
        offset = UInt16(truncatingIfNeeded: start)
        count = UInt16(truncatingIfNeeded: end &- start)
    }

    /// The bytes of this range in the buffer that was parsed. Borrowed: valid as long as that buffer.
    @inlinable
    public func bytes(in buffer: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: buffer[Int(offset)..<Int(offset) + Int(count)])
    }
}

/// One field of a head: where it stands, and which one it is if the proxy has to know it.
public struct FieldLayout: Equatable, Sendable {
    /// The name, without the colon.
    public var name = ByteRange()
    /// The value, without white space around it. May be empty.
    public var value = ByteRange()
    /// Which field it is.
    public var known = KnownField.other
}

/// The fields of one head in their order, in fixed storage: parsing allocates nothing.
public struct FieldTable: Sendable {
    private var fields = InlineArray<100, FieldLayout>(repeating: FieldLayout())
    /// Number of fields, at most ``HeadLimits/fieldCount``.
    public private(set) var count = 0

    init() {}

    /// The field at `index`, which must be below ``count``.
    public subscript(index: Int) -> FieldLayout {
        precondition(index < count, "field index beyond the parsed fields")
        return fields[index]
    }

    /// All fields at once, for a relay that looks at each: subscripting copies the table every time.
    /// - Parameter body: gets the fields in their order; the pointer is valid during the call only.
    public func withAll<Result>(_ body: (UnsafeBufferPointer<FieldLayout>) -> Result) -> Result {
        fields.span.withUnsafeBufferPointer { body(UnsafeBufferPointer(rebasing: $0[..<count])) }
    }

    mutating func removeAll() { count = 0 }

    mutating func append(_ field: FieldLayout) throws(HeadStop) {
        guard count < HeadLimits.fieldCount else { throw .invalid(.tooManyFields) }
        fields[count] = field
        count &+= 1
    }

    mutating func mark(_ index: Int, as known: KnownField) {
        fields[index].known = known
    }
}

/// The fields of a message in their order, for the control plane. Names are compared without case, on ASCII only.
public struct HeaderFields: Equatable, Sendable, ExpressibleByDictionaryLiteral {
    /// One field.
    public struct Field: Equatable, Sendable {
        /// The name as it was given.
        public let name: String
        /// The value, without line breaks.
        public let value: String
    }

    /// All fields, in the order they were added.
    public private(set) var all: [Field] = []

    /// No fields.
    public init() {}

    /// Fields in the order of the literal.
    public init(dictionaryLiteral elements: (String, String)...) {
        for (name, value) in elements { add(name, value) }
    }

    /// The value of the first field of that name.
    public subscript(name: String) -> String? {
        all.first { ASCII.equalIgnoringCase($0.name, name) }?.value
    }

    /// Adds a field behind the others.
    /// - Parameters:
    ///   - name: a token; names come from the program, so anything else is a defect of it.
    ///   - value: CR, LF and other control characters in it become spaces (RFC 9110 section 5.5), so that a value can
    ///     never begin a line of its own.
    public mutating func add(_ name: String, _ value: String) {
        precondition(!name.isEmpty && name.utf8.allSatisfy(ASCII.isToken), "not a field name: \(name)")
        if value.utf8.allSatisfy(ASCII.isFieldValue) {
            all.append(Field(name: name, value: value))
        } else {
            let clean = value.utf8.map { ASCII.isFieldValue($0) ? $0 : ASCII.space }
            all.append(Field(name: name, value: String(decoding: clean, as: UTF8.self)))
        }
    }

    /// Removes all fields of that name and adds one.
    public mutating func set(_ name: String, _ value: String) {
        remove(name)
        add(name, value)
    }

    /// Removes all fields of that name.
    public mutating func remove(_ name: String) {
        all.removeAll { ASCII.equalIgnoringCase($0.name, name) }
    }

    /// Whether a comma-separated list in the fields of that name has that element, compared without case.
    public func list(_ name: String, contains element: String) -> Bool {
        all.contains { field in
            ASCII.equalIgnoringCase(field.name, name)
                && field.value.split(separator: ",").contains {
                    ASCII.equalIgnoringCase($0.trimmingSpaces, element)
                }
        }
    }

    init(_ table: FieldTable, in bytes: UnsafeRawBufferPointer) {
        all.reserveCapacity(table.count)
        for index in 0..<table.count {
            let field = table[index]
            all.append(Field(name: String(field.name, in: bytes), value: String(field.value, in: bytes)))
        }
    }

    func encode(into output: inout [UInt8]) {
        for field in all {
            output += field.name.utf8
            output += [ASCII.colon, ASCII.space]
            output += field.value.utf8
            output += [ASCII.carriageReturn, ASCII.lineFeed]
        }
    }
}

extension String {
    /// The text of a parsed range; bytes that are not UTF-8 become replacement characters.
    init(_ range: ByteRange, in bytes: UnsafeRawBufferPointer) {
        self.init(decoding: range.bytes(in: bytes), as: UTF8.self)
    }
}

extension StringProtocol {
    /// Without spaces and tabs at both ends.
    var trimmingSpaces: SubSequence {
        var rest = self[...]
        while let first = rest.first, first == " " || first == "\t" { rest.removeFirst() }
        while let last = rest.last, last == " " || last == "\t" { rest.removeLast() }
        return rest
    }
}

/// Why scanning stopped before the end of the head. A trivial value: throwing it costs a register.
enum HeadStop: Error {
    case incomplete
    case invalid(HeadRefusal)
}

extension HeadParse {
    init(_ stop: HeadStop) {
        switch stop {
        case .incomplete: self = .incomplete
        case .invalid(let refusal): self = .invalid(refusal)
        }
    }
}

/// Reads the elements of a head from left to right. It refuses at the first byte that cannot belong to a valid head, and
/// so tells "not yet" from "never" on every prefix.
struct HeadScanner {
    let bytes: UnsafeRawBufferPointer
    private(set) var position = 0
    private let end: Int
    /// What running out of bytes means: more may come, or the head has reached its limit.
    private let exhausted: HeadStop

    init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes
        end = min(bytes.count, HeadLimits.headByteCount)
        exhausted = bytes.count >= HeadLimits.headByteCount ? .invalid(.headTooLong) : .incomplete
    }

    @inline(__always)
    func current() throws(HeadStop) -> UInt8 {
        guard position < end else { throw exhausted }
        return bytes[position]
    }

    @inline(__always)
    mutating func advance() { position &+= 1 }

    /// One empty line before the message is left over from careless clients; RFC 9112 section 2.2 has it ignored.
    mutating func skipOneEmptyLine() throws(HeadStop) {
        if try current() == ASCII.carriageReturn { try lineEnd() }
    }

    /// CR LF and nothing else.
    @inline(__always)
    mutating func lineEnd() throws(HeadStop) {
        guard try current() == ASCII.carriageReturn else { throw .invalid(.bareLineBreak) }
        advance()
        guard try current() == ASCII.lineFeed else { throw .invalid(.bareLineBreak) }
        advance()
    }

    /// Reads exactly `text`, or refuses with `refusal` at the first byte that differs.
    mutating func literal(_ text: StaticString, or refusal: HeadRefusal) throws(HeadStop) {
        let expected = text.utf8Start
        for index in 0..<text.utf8CodeUnitCount {
            guard try current() == expected[index] else { throw .invalid(refusal) }
            advance()
        }
    }

    /// `HTTP/1.0` or `HTTP/1.1`; gives the last digit.
    mutating func version(or refusal: HeadRefusal) throws(HeadStop) -> UInt8 {
        try literal("HTTP/", or: refusal)
        let major = try current()
        guard ASCII.isDigit(major) else { throw .invalid(refusal) }
        advance()
        try literal(".", or: refusal)
        let minor = try current()
        guard ASCII.isDigit(minor) else { throw .invalid(refusal) }
        advance()
        // A further digit is malformed ("HTTP/1.10"), not unsupported, so look at it before judging the number.
        let next = try current()
        guard next == ASCII.carriageReturn || next == ASCII.space else {
            throw .invalid(next == ASCII.lineFeed ? .bareLineBreak : refusal)
        }
        guard major == 0x31, minor <= 0x31 else { throw .invalid(.unsupportedVersion) }
        return minor &- 0x30
    }

    /// All fields up to and including the empty line.
    mutating func fields(into table: inout FieldTable, facts: inout FieldFacts) throws(HeadStop) {
        table.removeAll()
        while true {
            let first = try current()
            if first == ASCII.carriageReturn {
                try lineEnd()
                return
            }
            let field = try field(startingWith: first)
            try facts.note(field, index: table.count, in: bytes)
            try table.append(field)
        }
    }

    @inline(__always)
    private mutating func field(startingWith first: UInt8) throws(HeadStop) -> FieldLayout {
        if first == ASCII.lineFeed { throw .invalid(.bareLineBreak) }
        if first == ASCII.space || first == ASCII.tab { throw .invalid(.foldedField) }
        let nameStart = position
        while ASCII.isToken(try current()) { advance() }
        let nameEnd = position
        guard nameEnd > nameStart, bytes[nameEnd] == ASCII.colon else { throw .invalid(.malformedFieldName) }
        advance()
        var byte = try current()
        while byte == ASCII.space || byte == ASCII.tab {
            advance()
            byte = try current()
        }
        let valueStart = position
        let valueEnd = try value()
        try lineEnd()
        var field = FieldLayout()
        field.name = ByteRange(nameStart, nameEnd)
        field.value = ByteRange(valueStart, max(valueStart, valueEnd))
        field.known = KnownField.named(UnsafeRawBufferPointer(rebasing: bytes[nameStart..<nameEnd]))
        return field
    }

    /// Scans to the end of the line and gives the end of the value without trailing white space.
    @inline(__always)
    mutating func value() throws(HeadStop) -> Int {
        skipPlainWords()
        var byte = try current()
        while ASCII.isFieldValue(byte) {
            advance()
            byte = try current()
        }
        if byte == ASCII.lineFeed { throw .invalid(.bareLineBreak) }
        if byte != ASCII.carriageReturn { throw .invalid(.controlCharacter) }
        var valueEnd = position
        while valueEnd > 0, bytes[valueEnd - 1] == ASCII.space || bytes[valueEnd - 1] == ASCII.tab { valueEnd -= 1 }
        return valueEnd
    }

    /// Steps over eight bytes at a time while none of them is a control character; cookies are long.
    @inline(__always)
    private mutating func skipPlainWords() {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let highBits: UInt64 = 0x8080_8080_8080_8080
        while position &+ 8 <= end {
            let word = bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self)
            let below0x20 = (word &- ones &* 0x20) & ~word & highBits
            let delete = word ^ (ones &* 0x7F)
            let is0x7F = (delete &- ones) & ~delete & highBits
            guard below0x20 | is0x7F == 0 else { return }
            position &+= 8
        }
    }
}

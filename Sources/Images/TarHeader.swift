/// One header block of a tar archive. POSIX.1-1988 ustar, with GNU tar's binary numbers.
struct TarHeader: Equatable {
    /// What an entry is. tar(5).
    enum Kind: Equatable {
        case file
        case hardLink
        case symbolicLink
        case characterDevice
        case blockDevice
        case folder
        case fifo
        /// pax: fields of the next entry.
        case nextFields
        /// pax: fields of all later entries.
        case commonFields
        /// GNU tar: the next entry's name.
        case nextName
        /// GNU tar: the next entry's link target.
        case nextTarget
        /// GNU tar: a file whose holes are left out.
        case sparse
        case unknown(UInt8)

        init(_ type: UInt8) {
            switch type {
            case 0, UInt8(ascii: "0"), UInt8(ascii: "7"): self = .file
            case UInt8(ascii: "1"): self = .hardLink
            case UInt8(ascii: "2"): self = .symbolicLink
            case UInt8(ascii: "3"): self = .characterDevice
            case UInt8(ascii: "4"): self = .blockDevice
            case UInt8(ascii: "5"): self = .folder
            case UInt8(ascii: "6"): self = .fifo
            case UInt8(ascii: "x"): self = .nextFields
            case UInt8(ascii: "g"): self = .commonFields
            case UInt8(ascii: "L"): self = .nextName
            case UInt8(ascii: "K"): self = .nextTarget
            case UInt8(ascii: "S"): self = .sparse
            case let other: self = .unknown(other)
            }
        }
    }

    static let blockBytes = 512

    var kind: Kind
    var name: [UInt8]
    var target: [UInt8]
    var size: Int64
    var userID: Int64
    var groupID: Int64

    /// Nil when the block's sum is wrong or a number is none: this is no tar archive, or a damaged one.
    init?(_ block: some RandomAccessCollection<UInt8>) {
        let block = Array(block)
        precondition(block.count == Self.blockBytes, "a header is one block")
        var sum: Int64 = 0
        for (index, byte) in block.enumerated() { sum += (148..<156).contains(index) ? 32 : Int64(byte) }
        guard Self.number(block[148..<156]) == sum else { return nil }
        guard let size = Self.number(block[124..<136]), let userID = Self.number(block[108..<116]),
            let groupID = Self.number(block[116..<124])
        else { return nil }
        kind = Kind(block[156])
        self.size = size
        self.userID = userID
        self.groupID = groupID
        name = Self.text(block[0..<100])
        target = Self.text(block[157..<257])
        // GNU tar's own magic ends with spaces, and means that no prefix is there.
        if Array(block[257..<263]) == Array("ustar".utf8) + [0] {
            let prefix = Self.text(block[345..<500])
            if !prefix.isEmpty { name = prefix + [UInt8(ascii: "/")] + name }
        }
    }

    private static func text(_ field: ArraySlice<UInt8>) -> [UInt8] { Array(field.prefix { $0 != 0 }) }

    /// Octal digits between spaces, or with the highest bit set a binary number; negative ones are nil.
    private static func number(_ field: ArraySlice<UInt8>) -> Int64? {
        guard let first = field.first else { return nil }
        if first & 0x80 != 0 {
            guard first & 0x40 == 0 else { return nil }
            var value = Int64(first & 0x3f)
            for byte in field.dropFirst() {
                guard value <= Int64.max >> 8 else { return nil }
                value = value << 8 | Int64(byte)
            }
            return value
        }
        let digits = field.drop { $0 == 32 }.prefix { $0 != 0 && $0 != 32 }
        var value: Int64 = 0
        for digit in digits {
            guard (UInt8(ascii: "0")...UInt8(ascii: "7")).contains(digit) else { return nil }
            value = value << 3 | Int64(digit - UInt8(ascii: "0"))
        }
        return value
    }
}

/// The fields of a pax header: lines of length, space, name, equals sign, value, line feed. POSIX.1-2001, pax.
enum PaxFields {
    /// Nil when it is not made so.
    static func parse(_ bytes: [UInt8]) -> [(name: String, value: [UInt8])]? {
        var fields: [(String, [UInt8])] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            guard let space = rest.firstIndex(of: 32), space - rest.startIndex <= 10,
                let length = Int(String(decoding: rest[..<space], as: UTF8.self)), length > space - rest.startIndex + 1,
                length <= rest.count
            else { return nil }
            let line = rest[(space + 1)..<(rest.startIndex + length)]
            guard line.last == UInt8(ascii: "\n"), let equals = line.firstIndex(of: UInt8(ascii: "=")) else {
                return nil
            }
            fields.append((String(decoding: line[..<equals], as: UTF8.self), Array(line[(equals + 1)...].dropLast())))
            rest = rest[(rest.startIndex + length)...]
        }
        return fields
    }
}

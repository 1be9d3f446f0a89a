/// A name of one file, or a path below a folder, as the kernel keeps it: bytes without zero, which need not be UTF-8.
public struct FileName: Hashable, Sendable {
    /// The bytes, without a terminating zero.
    public let bytes: [UInt8]

    /// - Parameter bytes: as the property says.
    public init(_ bytes: [UInt8]) {
        precondition(!bytes.contains(0), "a file's name has no zero byte")
        self.bytes = bytes
    }

    /// The folder's path and the name in it; `.` where there is none.
    func split() -> (folder: FileName, name: FileName) {
        let own = FileName([UInt8(ascii: ".")])
        guard let slash = bytes.lastIndex(of: UInt8(ascii: "/")) else { return (own, bytes.isEmpty ? own : self) }
        return (FileName(Array(bytes[..<slash])), FileName(Array(bytes[(slash + 1)...])))
    }

    /// Calls with the name as C wants it.
    func withCString<Result>(_ body: (UnsafePointer<CChar>) -> Result) -> Result {
        (bytes.map { CChar(bitPattern: $0) } + [0]).withUnsafeBufferPointer { buffer in
            guard let start = buffer.baseAddress else { preconditionFailure("there is always the zero") }
            return body(start)
        }
    }
}

extension FileName: CustomStringConvertible {
    /// For a person: what is neither printable ASCII nor a part of UTF-8 text stands as `\xHH`, since a name in an archive
    /// may hold a terminal's control sequences.
    public var description: String {
        var text = ""
        for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
            switch scalar.value {
            case 0..<32, 92, 127..<160: text += "\\x" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
            case 0x202a...0x202e, 0x2066...0x2069: text += "\\u" + String(scalar.value, radix: 16)
            case _: text.unicodeScalars.append(scalar)
            }
        }
        return text.count <= 200 ? text : text.prefix(200) + "…"
    }
}

extension FileName: Comparable {
    /// By bytes, so that the order is the same on every machine.
    public static func < (left: FileName, right: FileName) -> Bool { left.bytes.lexicographicallyPrecedes(right.bytes) }
}

/// The text of a file of secrets: API tokens, or what drones show. Pure.
///
/// One secret in each line, with a name in front of it or without; `#` begins a comment line. A secret is 16 to 256 visible
/// ASCII characters, so that it can stand in an `Authorization` field as it is (RFC 6750 section 2.1).
public struct SecretLines: Equatable, Sendable {
    /// One line.
    public struct Line: Equatable, Sendable {
        /// The word in front of the secret; nil when there is none.
        public var name: String?
        /// The secret itself; never to be logged.
        public var secret: String
        /// Its line's number, from 1.
        public var number: Int

        /// - Parameters: as the properties say.
        public init(name: String?, secret: String, number: Int) {
            self.name = name
            self.secret = secret
            self.number = number
        }
    }

    /// How long a secret may be, in characters. Below the first, trying them all is thinkable.
    public static let lengths = 16...256

    /// In the file's order, at least one.
    public let lines: [Line]

    /// Reads a file's text. Errors name the line, and never repeat what stands there.
    public init(parsing text: String) throws(InvalidValue) {
        var lines: [Line] = []
        var seen: [String: Int] = [:]
        for (index, row) in Self.rows(of: text).enumerated() {
            let words = row.split { $0 == " " || $0 == "\t" }
            guard let first = words.first, !first.hasPrefix("#") else { continue }
            let field = "line \(index + 1)"
            guard words.count <= 2, let secret = words.last else {
                throw InvalidValue(field: field, problem: "has more than a name and a secret")
            }
            try Self.check(secret, field)
            let text = String(secret)
            if let earlier = seen.updateValue(index + 1, forKey: text) {
                throw InvalidValue(field: field, problem: "has the same secret as line \(earlier)")
            }
            lines.append(Line(name: words.count == 2 ? String(first) : nil, secret: text, number: index + 1))
        }
        guard !lines.isEmpty else {
            throw InvalidValue(field: "the file", problem: "holds no secret; write one in a line, or NAME SECRET")
        }
        self.lines = lines
    }

    /// CR LF is one `Character`, so that each of the usual line ends is one separator.
    private static func rows(of text: String) -> [Substring] {
        text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    }

    private static func check(_ secret: Substring, _ field: String) throws(InvalidValue) {
        guard lengths.contains(secret.utf8.count) else {
            throw InvalidValue(
                field: field,
                problem: "has a secret of \(secret.utf8.count) characters; "
                    + "write \(lengths.lowerBound) to \(lengths.upperBound)")
        }
        guard secret.utf8.allSatisfy({ (33...126).contains($0) }) else {
            throw InvalidValue(field: field, problem: "has a secret with characters other than visible ASCII")
        }
    }
}

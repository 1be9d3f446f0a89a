import Model

/// Secrets and whose they are, looked up in a time that tells nothing about them. Pure.
///
/// Each secret is padded to one length and compared whole, and every one is compared, whichever fits: how long a search
/// takes depends on how many there are and on nothing else.
struct SecretTable<Owner: Sendable>: Sendable {
    private struct Entry: Sendable {
        let owner: Owner
        let padded: [UInt8]
    }

    /// What a search found.
    struct Search {
        /// Whose secret it is; nil when it is nobody's.
        var owner: Owner?
        /// Bytes compared: the same for every search of one table.
        var bytesCompared: Int
    }

    private let entries: [Entry]

    /// - Parameter owner: whose secret a line holds.
    init(_ lines: SecretLines, owner: (SecretLines.Line) throws(InvalidValue) -> Owner) throws(InvalidValue) {
        var entries: [Entry] = []
        for line in lines.lines {
            entries.append(Entry(owner: try owner(line), padded: Self.padded(line.secret)))
        }
        self.entries = entries
    }

    /// How many secrets there are.
    var count: Int { entries.count }

    /// Looks a secret up. None is ever shown to who asks.
    func search(_ presented: String) -> Search {
        let wanted = Self.padded(presented)
        var bytesCompared = 0
        var found = 0
        for (index, entry) in entries.enumerated() {
            var difference: UInt8 = 0
            for position in 0..<Self.width {
                difference |= wanted[position] ^ entry.padded[position]
                bytesCompared += 1
            }
            // All ones when there is no difference, without a branch. The file's reader lets no secret in twice.
            let isEqual = Int((UInt16(difference) &- 1) >> 15)
            found |= (0 &- isEqual) & (index + 1)
        }
        return Search(owner: found == 0 ? nil : entries[found - 1].owner, bytesCompared: bytesCompared)
    }

    /// Room for the longest secret, and two bytes of length: padding is no part of a secret.
    private static var width: Int { SecretLines.lengths.upperBound + 2 }

    /// The text's bytes in a field of that width. What is longer than any secret is cut; its length gives it away.
    private static func padded(_ text: String) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: width)
        for (index, byte) in text.utf8.prefix(width - 2).enumerated() { bytes[index] = byte }
        let length = UInt16(clamping: text.utf8.count)
        bytes[width - 2] = UInt8(length >> 8)
        bytes[width - 1] = UInt8(length & 255)
        return bytes
    }
}

extension SecretTable<String> {
    /// API tokens: the names are for the log.
    init(apiTokens lines: SecretLines) throws(InvalidValue) {
        try self.init(lines) { (line) throws(InvalidValue) in line.name ?? "line \(line.number)" }
    }
}

extension SecretTable<DroneName> {
    /// What drones show; a drone may have several, while one is exchanged for another.
    init(droneSecrets lines: SecretLines) throws(InvalidValue) {
        try self.init(lines) { (line) throws(InvalidValue) in
            let field = "line \(line.number)"
            guard let name = line.name else {
                throw InvalidValue(field: field, problem: "names no drone; write DRONE-NAME SECRET")
            }
            return try DroneName(name, field: field)
        }
    }
}

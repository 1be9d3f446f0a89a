/// Text in columns, and quantities as policies write them.
enum ColumnText {
    /// Rows of as many cells each, indented; the last column is not padded.
    static func table(_ rows: [[String]]) -> String {
        let columns = rows.first?.count ?? 0
        let widths = (0..<columns).map { column in rows.reduce(0) { max($0, $1[column].count) } }
        return rows.map { row in
            row.enumerated().reduce(" ") { line, cell in
                let isLast = cell.offset == columns - 1
                let padding = isLast ? 0 : widths[cell.offset] - cell.element.count
                return line + (cell.offset == 0 ? " " : "  ") + cell.element + String(repeating: " ", count: padding)
            }
        }.joined(separator: "\n")
    }

    /// Words in indented lines of at most 100 characters.
    static func wrapped(_ words: [String]) -> [String] {
        var lines: [String] = []
        for word in words {
            if let last = lines.last, last.count + 1 + word.count <= 100 {
                lines[lines.count - 1] = last + " " + word
            } else {
                lines.append("    " + word)
            }
        }
        return lines
    }

    static func size(_ bytes: UInt64) -> String { ByteSize(bytes: bytes).text }
    static func duration(_ seconds: UInt64) -> String { TimeLength(seconds: seconds).text }
    static func number(_ value: Double) -> String { Int64(exactly: value).map(String.init) ?? String(value) }
}

/// How a result is printed.
enum OutputForm {
    /// For people.
    case text
    /// For programs.
    case json

    init(_ arguments: Arguments) { self = arguments.isGiven(.json) ? .json : .text }
}

extension Flag {
    /// `--json` of every subcommand that has it.
    static let json = Flag("--json", .bare, "print JSON for programs")
}

/// Columns under headings.
enum Table {
    static func text(_ headings: [String], _ rows: [[String]]) -> String {
        let all = [headings] + rows
        let widths = headings.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        let lines = all.map { row in
            row.indices.map { column in
                // The last column is not padded: nothing stands behind it.
                if column == row.count - 1 { return row[column] }
                return row[column] + String(repeating: " ", count: widths[column] - row[column].count)
            }.joined(separator: "  ")
        }
        return lines.joined(separator: "\n") + "\n"
    }
}

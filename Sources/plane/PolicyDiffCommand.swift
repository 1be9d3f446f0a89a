import Policy

/// Two policies side by side.
struct PolicyDiffCommand: Subcommand {
    static let syntax = CommandSyntax(
        "policy diff", .words(2...2, "FILE-A FILE-B"),
        purpose: """
            say how policy B differs from A, and whether it lets a sandbox do more

            Each field that differs is looser, tighter or neither; system calls gained and lost follow. Exit status: 0
            when B is nowhere looser than A, 1 when it is, or when a file cannot be used.
            """,
        flags: [])

    private let first: String
    private let second: String

    init(_ arguments: Arguments) throws(UsageError) {
        first = arguments.operands[0]
        second = arguments.operands[1]
    }

    func run() throws -> Int32 {
        let comparison = PolicyComparison(try PolicySource.read(first), try PolicySource.read(second))
        StandardOutput.write(comparison.text(first, second))
        return comparison.isLooser ? 1 : 0
    }
}

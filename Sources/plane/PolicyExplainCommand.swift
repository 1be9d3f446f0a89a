import Policy

/// A policy in words.
struct PolicyExplainCommand: Subcommand {
    static let syntax = CommandSyntax(
        "policy explain", .words(1...1, "FILE"),
        purpose: "say in words what a sandbox under a policy can and cannot do",
        flags: [])

    private let file: String

    init(_ arguments: Arguments) throws(UsageError) { file = arguments.operands[0] }

    func run() throws -> Int32 {
        StandardOutput.write(PolicyExplanation.text(try PolicySource.read(file), name: file))
        return 0
    }
}

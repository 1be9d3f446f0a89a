import Model

/// Which build this is.
struct VersionCommand: Subcommand {
    static let syntax = CommandSyntax(
        "version", purpose: "print the version and the hash of the source", flags: [.json])

    private let form: OutputForm

    init(_ arguments: Arguments) throws(UsageError) { form = OutputForm(arguments) }

    func run() throws -> Int32 {
        switch form {
        case .text: StandardOutput.say("plane \(planeVersion) \(BuildIdentity.sourceHash)")
        case .json:
            let members: [String: JSONValue] = [
                "version": .string(planeVersion), "hash": .string(BuildIdentity.sourceHash),
            ]
            StandardOutput.say(JSONValue.object(members).text)
        }
        return 0
    }
}

/// What this build was made of.
enum BuildIdentity {
    /// The reference tells 8 hexadecimal digits of its commit here. A build knows nothing of version control, so that it
    /// gives the same bytes for the same files.
    static let sourceHash = "unknown"
}

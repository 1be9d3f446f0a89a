import Model

/// Takes a user's access to a backend away.
struct RevokeCommand: Subcommand {
    static let syntax = CommandSyntax(
        "revoke", .words(2...2, "BACKEND USER"),
        purpose: """
            take a user's access to a backend away, and cut the connections that the user has open there

            USER is what connects named with --user. Other users are not touched, nor are static tokens, which belong
            to no user; a later connect of the same user gives access again.
            """,
        flags: [.json] + ControllerAPI.flags)

    private let api: ControllerAPI
    private let backend: BackendID
    private let user: String
    private let form: OutputForm

    init(_ arguments: Arguments) throws(UsageError) {
        api = try ControllerAPI(arguments)
        backend = try BackendOperand.parse(arguments)
        user = arguments.operands[1]
        form = OutputForm(arguments)
        do throws(RequestProblem) {
            try ConnectRequest.check(user: user)
        } catch {
            throw arguments.wrong("USER: \(error.detail.problem)")
        }
    }

    func run() throws -> Int32 {
        // The API takes a revocation for a backend that it does not know for done; a person has mistyped the id.
        _ = try api.get("/pub/b/\(backend)/status")
        let answer = try api.post(
            "/ctrl/b/revoke", .object(["backend_id": .string(backend.text), "user": .string(user)]))
        switch form {
        case .json: StandardOutput.say(answer.text)
        case .text: StandardOutput.say("\(user) has no access to \(backend) any more")
        }
        return 0
    }
}

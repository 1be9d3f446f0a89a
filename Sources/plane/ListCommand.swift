import HTTP
import Model

/// Lists the backends that a controller knows.
struct ListCommand: Subcommand {
    static let syntax = CommandSyntax(
        "ls", purpose: "list the backends that run, with key, status and image",
        flags: [all, .json, ControllerAPI.flag])

    private static let all = Flag("--all", .bare, "those that have ended too")

    private let api: ControllerAPI
    private let selection: String
    private let form: OutputForm

    init(_ arguments: Arguments) throws(UsageError) {
        api = try ControllerAPI(arguments)
        selection = arguments.isGiven(Self.all) ? "all" : "live"
        form = OutputForm(arguments)
    }

    func run() throws -> Int32 {
        let backends = try fetch()
        switch form {
        case .json: StandardOutput.say(JSONValue.array(backends).text)
        case .text where backends.isEmpty:
            StandardError.say("no backend runs; start one: plane connect --key demo --image python-repl")
        case .text:
            var rows: [[String]] = []
            for backend in backends { rows.append(try Self.row(backend)) }
            StandardOutput.write(
                Table.text(["BACKEND", "KEY", "STATUS", "AGE", "IMAGE", "DRONE"], rows))
        }
        return 0
    }

    private func fetch() throws -> [JSONValue] {
        var backends: [JSONValue] = []
        var query: Query = ["state": selection, "limit": "1000"]
        while true {
            let page = try api.get("/ctrl/backends", query: query)
            if case .array(let items)? = page.members?["backends"] { backends += items }
            guard case .string(let next)? = page.members?["next"] else { return backends }
            query = ["state": selection, "limit": "1000", "after": next]
        }
    }

    private static func row(_ backend: JSONValue) throws(InvalidValue) -> [String] {
        var reader = try JSONReader(backend, path: "backends")
        var key = try reader.object("key")
        let namespace = try key?.string("namespace") ?? ""
        let name = try key?.string("name") ?? "?"
        let age = try reader.integer("age_seconds", in: 0...Int64.max) ?? 0
        return [
            try reader.string("id") ?? "?", namespace.isEmpty ? name : "\(namespace)/\(name)",
            try reader.string("status") ?? "?", ElapsedTime.age(seconds: age), try reader.string("image") ?? "?",
            try reader.string("drone") ?? "?",
        ]
    }
}

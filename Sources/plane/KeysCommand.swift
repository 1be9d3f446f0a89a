import HTTP
import Model

/// Lists held keys, or looks one up.
struct KeysCommand: Subcommand {
    static let syntax = CommandSyntax(
        "keys", .words(0...1, "KEY"),
        purpose: """
            list the keys that are held, with their backends and fencing tokens, or show who holds one

            Exit status 1 if KEY is held by nobody.
            """,
        flags: [namespace, .json] + ControllerAPI.flags)

    private static let namespace = Flag(
        "--namespace", .value("NAME", default: nil), "of KEY; without KEY only keys of that namespace")

    private let api: ControllerAPI
    private let key: KeyConfig?
    private let namespace: String?
    private let form: OutputForm

    init(_ arguments: Arguments) throws(UsageError) {
        api = try ControllerAPI(arguments)
        namespace = arguments.text(Self.namespace)
        form = OutputForm(arguments)
        guard let name = arguments.operands.first else {
            key = nil
            return
        }
        do throws(InvalidValue) {
            key = try KeyConfig(name: name, namespace: namespace ?? "")
        } catch {
            throw arguments.wrong("KEY: \(error.problem)")
        }
    }

    func run() throws -> Int32 {
        if let key {
            let found = try api.get("/ctrl/key", query: ["namespace": key.namespace, "name": key.name])
            switch form {
            case .json: StandardOutput.say(found.text)
            case .text: try show([found])
            }
            return 0
        }
        let keys = try api.all("/ctrl/keys", "keys", following: Self.place).filter { row in
            namespace == nil || row.members?["namespace"] == namespace.map(JSONValue.string)
        }
        switch form {
        case .json: StandardOutput.say(JSONValue.array(keys).text)
        case .text where keys.isEmpty:
            StandardError.say("no key is held; plane connect --key NAME --image IMAGE takes one")
        case .text: try show(keys)
        }
        return 0
    }

    private static func place(_ next: JSONValue) -> [(String, String)] {
        guard case .string(let namespace)? = next.members?["after_namespace"],
            case .string(let name)? = next.members?["after_name"]
        else { return [] }
        return [("after_namespace", namespace), ("after_name", name)]
    }

    private func show(_ keys: [JSONValue]) throws {
        var rows: [[String]] = []
        for key in keys {
            var reader = try JSONReader(key, path: "keys")
            let namespace = try reader.string("namespace") ?? ""
            let name = try reader.string("name") ?? "?"
            var status = try reader.string("status") ?? "?"
            if try reader.bool("ending") == true, !status.contains("terminat") { status += ", ending" }
            rows.append([
                namespace.isEmpty ? name : "\(namespace)/\(name)", try reader.string("backend_id") ?? "?", status,
                try reader.integer("fencing_token", in: 0...Int64.max).map(String.init) ?? "?",
                ElapsedTime.age(seconds: try reader.integer("age_seconds", in: 0...Int64.max) ?? 0),
                try reader.string("drone") ?? "?",
            ])
        }
        StandardOutput.write(Table.text(["KEY", "BACKEND", "STATUS", "TOKEN", "AGE", "DRONE"], rows))
    }
}

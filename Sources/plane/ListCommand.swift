import HTTP
import Model

/// Lists the backends that a controller knows.
struct ListCommand: Subcommand {
    static let syntax = CommandSyntax(
        "ls",
        purpose: """
            list the backends that run, with key, status and image

            With --all also those that have ended, with why, until they are cleaned up after a week.
            """,
        flags: [all, drone, cluster, image, .json] + ControllerAPI.flags)

    private static let all = Flag("--all", .bare, "those that have ended too, and why they did")
    private static let drone = Flag("--drone", .value("DRONE", default: nil), "on this drone only")
    private static let cluster = Flag("--cluster", .value("CLUSTER", default: nil), "of this cluster only")
    private static let image = Flag("--image", .value("NAME", default: nil), "of this image only")

    private enum Selection: String {
        case live
        case all
    }

    private let api: ControllerAPI
    private let selection: Selection
    private let filters: [(String, String)]
    private let form: OutputForm

    init(_ arguments: Arguments) throws(UsageError) {
        api = try ControllerAPI(arguments)
        selection = arguments.isGiven(Self.all) ? .all : .live
        form = OutputForm(arguments)
        let drone = try arguments.checked(Self.drone) { (text) throws(InvalidValue) in try DroneName(text).text }
        let cluster = try arguments.checked(Self.cluster) { (text) throws(InvalidValue) in try ClusterName(text).text }
        let image = try arguments.checked(Self.image) { (text) throws(InvalidValue) in try ImageName(text).text }
        filters = [("drone", drone), ("cluster", cluster), ("image", image)].compactMap { name, value in
            value.map { (name, $0) }
        }
    }

    func run() throws -> Int32 {
        let backends = try api.all("/ctrl/backends", "backends", query: [("state", selection.rawValue)] + filters)
        switch form {
        case .json: StandardOutput.say(JSONValue.array(backends).text)
        case .text where backends.isEmpty && filters.isEmpty:
            StandardError.say("no backend runs; start one: plane connect --key demo --image python-repl")
        case .text where backends.isEmpty: StandardError.say("no such backend runs")
        case .text:
            var rows: [[String]] = []
            for backend in backends { rows.append(try row(backend)) }
            StandardOutput.write(Table.text(headings, rows))
        }
        return 0
    }

    private var headings: [String] {
        ["BACKEND", "KEY", "STATUS", "AGE", "IMAGE", "DRONE"] + (selection == .all ? ["END"] : [])
    }

    private func row(_ backend: JSONValue) throws(InvalidValue) -> [String] {
        var reader = try JSONReader(backend, path: "backends")
        var key = try reader.object("key")
        let namespace = try key?.string("namespace") ?? ""
        let name = try key?.string("name") ?? "?"
        let age = try reader.integer("age_seconds", in: 0...Int64.max) ?? 0
        let row = [
            try reader.string("id") ?? "?", namespace.isEmpty ? name : "\(namespace)/\(name)",
            try reader.string("status") ?? "?", ElapsedTime.age(seconds: age), try reader.string("image") ?? "?",
            try reader.string("drone") ?? "?",
        ]
        return selection == .all ? row + [try Self.end(&reader)] : row
    }

    /// `exited 3`, `signaled 9`, `swept`; a dash for one that is not asked to end.
    private static func end(_ reader: inout JSONReader) throws(InvalidValue) -> String {
        guard let reason = try reader.string("end_reason") else { return "-" }
        var exit = try reader.object("exit")
        let number: Int64? =
            switch reason {
            case EndReason.exited.rawValue: try exit?.integer("code", in: 0...255)
            case EndReason.signaled.rawValue: try exit?.integer("signal", in: 0...64)
            default: nil
            }
        return number.map { "\(reason) \($0)" } ?? reason
    }
}

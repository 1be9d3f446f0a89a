import HTTP
import Model

/// What a controller knows: of itself and its drones, or of one backend.
struct StatusCommand: Subcommand {
    static let syntax = CommandSyntax(
        "status", .words(0...1, "BACKEND"),
        purpose: "show a backend's status, or without one the controller's and its drones'",
        flags: [cluster, .json] + ControllerAPI.flags)

    private static let cluster = Flag(
        "--cluster", .value("CLUSTER", default: nil), "whose drones to show (without it the controller's default)")

    private enum Subject {
        case backend(BackendID)
        /// Nil means the controller's default cluster.
        case controller(ClusterName?)
    }

    private let api: ControllerAPI
    private let subject: Subject
    private let form: OutputForm

    init(_ arguments: Arguments) throws(UsageError) {
        api = try ControllerAPI(arguments)
        form = OutputForm(arguments)
        if !arguments.operands.isEmpty {
            subject = .backend(try BackendOperand.parse(arguments))
            return
        }
        let cluster = try arguments.checked(Self.cluster) { (text) throws(InvalidValue) in try ClusterName(text) }
        subject = .controller(cluster)
    }

    func run() throws -> Int32 {
        switch subject {
        case .backend(let id):
            let answer = try api.get("/pub/b/\(id)/status")
            switch form {
            case .json: StandardOutput.say(answer.text)
            case .text:
                let told = try ToldStatus(answer)
                StandardOutput.say("Backend \(id) is \(told.line)")
                if case .integer(let token)? = answer.members?["fencing_token"] {
                    StandardOutput.say("Fencing token: \(token)")
                }
                if let usage = told.usage { StandardOutput.say(usage) }
            }
        case .controller(let cluster): try showController(cluster)
        }
        return 0
    }

    private func showController(_ chosen: ClusterName?) throws {
        let controller = try api.get("/ctrl/status")
        var told = try JSONReader(controller, path: "the controller's answer")
        guard let cluster = try chosen ?? told.string("default_cluster").map({ try ClusterName($0) }) else {
            throw UsageError("the controller has no default cluster; name one: --cluster CLUSTER", command: "status")
        }
        let state = try api.get("/ctrl/c/\(cluster)/state")
        switch form {
        case .json:
            StandardOutput.say(JSONValue.object(["controller": controller, "cluster": state]).text)
        case .text:
            StandardOutput.say(
                "Controller: \(try told.string("status") ?? "?"), version \(try told.string("version") ?? "?")")
            let drones = try ListedDrone.all(in: state)
            StandardOutput.say("Cluster: \(cluster), \(drones.count) \(drones.count == 1 ? "drone" : "drones")")
            if drones.isEmpty { return }
            StandardOutput.write(
                Table.text(
                    ["DRONE", "READY", "BACKENDS", "HEARTBEAT"],
                    drones.map { [$0.name, $0.condition, String($0.backends), "\($0.heartbeatSeconds) s ago"] }))
        }
    }
}

/// A drone in a cluster's state.
struct ListedDrone {
    let name: String
    let isReady: Bool
    let isDraining: Bool
    let backends: Int64
    let heartbeatSeconds: Int64

    var condition: String { isDraining ? "draining" : isReady ? "yes" : "no" }

    static func all(in state: JSONValue) throws(InvalidValue) -> [ListedDrone] {
        guard case .array(let drones)? = state.members?["drones"] else { return [] }
        var all: [ListedDrone] = []
        for drone in drones { all.append(try ListedDrone(drone)) }
        return all
    }

    private init(_ json: JSONValue) throws(InvalidValue) {
        var reader = try JSONReader(json, path: "drones")
        isReady = try reader.bool("ready") ?? false
        isDraining = try reader.bool("draining") ?? false
        backends = try reader.integer("backend_count", in: 0...Int64.max) ?? 0
        heartbeatSeconds = try reader.integer("last_heartbeat_age", in: 0...Int64.max) ?? 0
        var node = try reader.object("node")
        name = try node?.stringMap("name")?["Drone"] ?? "?"
    }
}

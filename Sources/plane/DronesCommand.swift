import HTTP
import Model

/// Lists the drones that a controller knows.
struct DronesCommand: Subcommand {
    static let syntax = CommandSyntax(
        "drones",
        purpose: """
            list drones: whether they are heard, what they promised of what they have, what they can start

            linked: connected and taking orders. silent: not heard of, its backends still hold their keys until its
            lease is over. lost: its lease was over, its backends were given up.
            """,
        flags: [ListedDrones.cluster, .json] + ControllerAPI.flags)

    private let api: ControllerAPI
    private let cluster: ClusterName?
    private let form: OutputForm

    init(_ arguments: Arguments) throws(UsageError) {
        api = try ControllerAPI(arguments)
        cluster = try ListedDrones.cluster(arguments)
        form = OutputForm(arguments)
    }

    func run() throws -> Int32 {
        let drones = try ListedDrones.all(in: cluster, api)
        switch form {
        case .json: StandardOutput.say(JSONValue.array(drones.map(\.json)).text)
        case .text where drones.isEmpty && cluster != nil:
            StandardError.say("no drone of this cluster has ever connected")
        case .text where drones.isEmpty: StandardError.say("no drone has ever connected; start one: plane drone --help")
        case .text:
            StandardOutput.write(
                Table.text(
                    ["DRONE", "STATE", "HEARD", "BACKENDS", "MEMORY", "CPUS", "CLUSTER", "POOL", "IMAGES"],
                    drones.map(\.row)))
        }
        return 0
    }
}

/// Drones as `/ctrl/drones` tells them.
enum ListedDrones {
    static let cluster = Flag("--cluster", .value("CLUSTER", default: nil), "of this cluster only")

    /// The flag's value.
    static func cluster(_ arguments: Arguments) throws(UsageError) -> ClusterName? {
        try arguments.checked(cluster) { (text) throws(InvalidValue) in try ClusterName(text) }
    }

    struct Drone {
        let name: String
        let cluster: ClusterName
        let backends: Int64
        let json: JSONValue
        /// As `plane drones` shows it.
        let row: [String]

        init(_ json: JSONValue) throws(InvalidValue) {
            self.json = json
            var reader = try JSONReader(json, path: "drones")
            name = try reader.string("name") ?? "?"
            cluster = try ClusterName(try reader.string("cluster") ?? "", field: "drones.cluster")
            backends = try reader.integer("backends", in: 0...Int64.max) ?? 0
            var state = try reader.string("state") ?? "?"
            if try reader.bool("draining") == true {
                state += ", draining"
                if let seconds = try reader.integer("drain_ends_in_seconds", in: 0...Int64.max), seconds > 0 {
                    state += " (\(ElapsedTime.age(seconds: seconds)) left)"
                }
            }
            let heard = try reader.integer("heard_seconds_ago", in: Int64.min...Int64.max)
            let promised = try reader.object("promised")
            let capacity = try reader.object("capacity")
            let pool = try reader.string("pool") ?? ""
            let images = try reader.strings("images") ?? []
            row = [
                name, state, heard.map { "\(max(0, $0)) s ago" } ?? "-", String(backends),
                try Self.share(promised, of: capacity, "memory_bytes", Self.memory),
                try Self.share(promised, of: capacity, "cpu_millis", Self.processors), cluster.text,
                pool.isEmpty ? "-" : pool, images.isEmpty ? "-" : images.joined(separator: " "),
            ]
        }

        private static func share(
            _ promised: JSONReader?, of capacity: JSONReader?, _ name: String, _ text: (Int64) -> String
        ) throws(InvalidValue) -> String {
            var (promised, capacity) = (promised, capacity)
            let used = try promised?.integer(name, in: 0...Int64.max) ?? 0
            guard let all = try capacity?.integer(name, in: 0...Int64.max), all != Int64.max else { return text(used) }
            return "\(text(used)) of \(text(all))"
        }

        private static func memory(_ bytes: Int64) -> String {
            bytes < 10 << 30 ? "\(bytes >> 20) MiB" : "\(bytes >> 30) GiB"
        }

        private static func processors(_ millis: Int64) -> String {
            millis % 1000 == 0 ? "\(millis / 1000)" : "\(millis / 1000).\(millis % 1000 / 100)"
        }
    }

    /// All of them, or all of a cluster.
    static func all(in cluster: ClusterName?, _ api: ControllerAPI) throws -> [Drone] {
        let drones = try api.all("/ctrl/drones", "drones").map(Drone.init)
        return drones.filter { cluster == nil || $0.cluster == cluster }
    }

    /// One of them.
    static func find(_ name: DroneName, in cluster: ClusterName?, _ api: ControllerAPI) throws -> Drone {
        let drones = try all(in: cluster, api)
        if let drone = drones.first(where: { $0.name == name.text }) { return drone }
        let nearest = NearestName.find(name.text, among: drones.map(\.name)).map { "; did you mean \($0)?" } ?? ""
        let place = cluster.map { " in cluster \($0)" } ?? ""
        throw CommandFailure(
            "there is no drone \(name)\(place)\(nearest.isEmpty ? "; plane drones lists them" : nearest)")
    }
}

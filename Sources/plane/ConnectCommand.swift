import HTTP
import Model

/// Asks a controller for a key's backend.
struct ConnectCommand: Subcommand {
    static let syntax = CommandSyntax(
        "connect",
        purpose: """
            get the URL of a key's backend, starting one if there is none

            Waits until the backend is ready, unless --immediate, and shows each of its states until then. With
            --wait ready the controller holds its answer back instead, so that the URL is printed when it can be used,
            or what went wrong. Without --image nothing is started. Without --key there is always a new backend.
            """,
        flags: [
            key, namespace, tag, image, environment, cluster, pool, maxIdle, lifetime, id, subdomain, staticToken,
            user, wait, immediate, .json,
        ] + ControllerAPI.flags)

    private static let key = Flag("--key", .value("NAME", default: nil), "for each key there is at most one backend")
    private static let namespace = Flag("--namespace", .value("NAME", default: ""), "of the key")
    private static let tag = Flag("--tag", .value("TAG", default: ""), "a backend under another tag is not handed out")
    private static let image = Flag("--image", .value("NAME", default: nil), "what to run; see plane image ls")
    private static let environment = Flag("--env", .repeated("NAME=VALUE"), "a variable for the command")
    private static let cluster = Flag(
        "--cluster", .value("CLUSTER", default: nil), "where to run it (default the controller's)")
    private static let pool = Flag("--pool", .value("POOL", default: ""), "which drones may take it")
    private static let maxIdle = Flag(
        "--max-idle-seconds", .value("N", default: "500"), "ends it after so long without connections; 0 never")
    private static let lifetime = Flag(
        "--lifetime-limit-seconds", .value("N", default: nil), "ends it after so long in any case (default never)")
    private static let id = Flag("--id", .value("ID", default: nil), "the backend's id (default a random one)")
    private static let subdomain = Flag("--subdomain", .value("LABEL", default: nil), "host label of its URL")
    private static let staticToken = Flag(
        "--static-token", .bare, "one URL for all connects, which lives as long as the backend")
    private static let user = Flag("--user", .value("NAME", default: nil), "told to the backend with each request")
    private static let wait = Flag(
        "--wait", .value("none|ready", default: "none"), "until when the controller holds its answer back")
    private static let immediate = Flag("--immediate", .bare, "do not wait until it is ready")

    private let api: ControllerAPI
    private let request: ConnectRequest
    private let waits: Bool
    private let form: OutputForm

    init(_ arguments: Arguments) throws(UsageError) {
        api = try ControllerAPI(arguments)
        let wait = try arguments.checked(Self.wait) { (text) throws(InvalidValue) in
            try ConnectRequest.Wait(text, field: Self.wait.name)
        }
        waits = !arguments.isGiven(Self.immediate) && wait != .ready
        if wait == .ready, arguments.isGiven(Self.immediate) {
            throw arguments.wrong("--immediate and --wait ready exclude each other")
        }
        form = OutputForm(arguments)
        request = ConnectRequest(
            key: try Self.key(arguments), spawn: try Self.spawn(arguments), user: arguments.text(Self.user),
            wait: wait ?? .none)
        if request.key == nil, request.spawn == nil { throw arguments.wrong("plane connect needs --image or --key") }
    }

    private static func key(_ arguments: Arguments) throws(UsageError) -> KeyConfig? {
        try arguments.checked(key) { (name) throws(InvalidValue) in
            try KeyConfig(
                name: name, namespace: arguments.required(namespace), tag: arguments.required(tag))
        }
    }

    private static func spawn(_ arguments: Arguments) throws(UsageError) -> SpawnConfig? {
        guard let image = try arguments.checked(image, { (text) throws(InvalidValue) in try ImageName(text) }) else {
            return nil
        }
        var variables: [String: String] = [:]
        for (name, value) in try EnvironmentFlag.parse(arguments, environment) { variables[name] = value }
        var spawn = SpawnConfig(executable: Executable(image: image, environment: variables))
        spawn.id = try arguments.checked(id) { (text) throws(InvalidValue) in try BackendID(text) }
        spawn.cluster = try arguments.checked(cluster) { (text) throws(InvalidValue) in try ClusterName(text) }
        spawn.pool = arguments.required(pool)
        let secondsMax = SpawnConfig.secondsMax
        let idle = try arguments.integer(maxIdle, in: 0...secondsMax)
        spawn.maxIdleSeconds = idle == 0 ? nil : idle
        spawn.lifetimeLimitSeconds = try arguments.integer(lifetime, in: 1...secondsMax)
        spawn.subdomain = arguments.text(subdomain)
        spawn.useStaticToken = arguments.isGiven(staticToken)
        return spawn
    }

    func run() throws -> Int32 {
        // A controller waits up to 2 minutes for a backend to be ready, after some seconds for its key to be free.
        let answer = try api.post(
            "/ctrl/connect", request.json, deadline: request.wait == .ready ? .seconds(150) : .seconds(30))
        var reader = try JSONReader(answer, path: "the controller's answer")
        let backend = try reader.string("backend_id") ?? ""
        switch form {
        case .json: StandardOutput.say(answer.text)
        case .text:
            let verb = try reader.bool("spawned") == true ? "Created" : "Reusing"
            StandardOutput.say("\(verb) backend: \(backend)")
            StandardOutput.say("URL: \(try reader.string("url") ?? "-")")
            StandardOutput.say("Status URL: \(try reader.string("status_url") ?? "-")")
            if let drone = try reader.string("drone") { StandardOutput.say("Drone: \(drone)") }
            if let token = try reader.integer("fencing_token", in: 0...Int64.max) {
                StandardOutput.say("Fencing token: \(token)")
            }
        }
        guard waits else { return 0 }
        // The stream's address is made here: what the controller calls itself may be no address from here.
        let stream = api.url("/pub/b/\(backend)/status-stream")
        let last = try StatusFollower.follow(stream, show: { form.show($0) }, until: { $0.status >= .ready })
        guard last.status == .ready else {
            let why = last.explanation.map { ": \($0)" } ?? ""
            throw CommandFailure("backend \(backend) is \(last.status.rawValue)\(why)")
        }
        return 0
    }
}

extension OutputForm {
    /// A line of a backend's history.
    func show(_ entry: ToldStatus) {
        switch self {
        case .text: StandardOutput.say("Status: \(entry.line)")
        case .json: StandardOutput.say(entry.json.text)
        }
    }
}

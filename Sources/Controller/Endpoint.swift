import HTTP
import Model

/// What a request's method and path ask for. Pure.
enum Endpoint: Equatable {
    case health
    case backendStatus(BackendID)
    case statusStream(BackendID)
    /// A browser's question whether it may send something to `/pub`.
    case preflight
    case controllerStatus
    case connect
    case terminate(BackendID, TerminationKind)
    case revoke(RevokeAnswer)
    case backends
    case keys
    case key
    case drones
    case controllers
    case clusterState(ClusterName)
    case droneSocket(ClusterName)
    case drain(ClusterName, DroneName)
    case undrain(ClusterName, DroneName)

    /// The two forms in which the reference answers a revocation: its server says a sentence at one address, its client
    /// posts to another one and expects null.
    enum RevokeAnswer: Equatable {
        case sentence
        case null
    }

    /// Whether pages of any origin may read the answer.
    static func isPublic(_ segments: [String]) -> Bool { segments.first == "pub" }

    /// What kind of thing a path is about, known or not: what is not public is let in before it is looked at.
    static func area(_ segments: [String]) -> AccessDecision.Area {
        if isPublic(segments) { return .open }
        return segments.count == 4 && segments[0] == "ctrl" && segments[1] == "c" && segments[3] == "drone-socket"
            ? .droneSocket : .api
    }

    /// The query parameters that it takes; nil takes any, and ignores them: pages add some to what they fetch, so that no
    /// cache answers.
    var parameters: [String]? {
        switch self {
        case .health, .backendStatus, .statusStream, .preflight: nil
        case .backends: ["state", "drone", "cluster", "image", "after", "limit"]
        case .keys: ["after_namespace", "after_name", "limit"]
        case .key: ["namespace", "name"]
        case .drones: ["after", "limit"]
        // The reference's drones name their pool here; ours do in their hello.
        case .droneSocket: ["pool"]
        case .controllerStatus, .connect, .terminate, .revoke, .controllers, .clusterState, .drain, .undrain: []
        }
    }

    static func find(_ method: RequestMethod, _ segments: [String]) throws(Failure) -> Endpoint {
        if isPublic(segments), method == .options { return .preflight }
        switch segments.count {
        case 2: return try findTwo(method, segments)
        case 3 where segments[0] == "ctrl" && segments[1] == "b" && segments[2] == "revoke":
            return try post(method, .revoke(.sentence))
        case 4: return try findFour(method, segments)
        case 6 where segments[0] == "ctrl" && segments[1] == "c" && segments[3] == "d":
            switch segments[5] {
            case "drain": return try post(method, .drain(try cluster(segments[2]), try drone(segments[4])))
            case "undrain": return try post(method, .undrain(try cluster(segments[2]), try drone(segments[4])))
            default: throw unknown
            }
        default: throw unknown
        }
    }

    private static func findTwo(_ method: RequestMethod, _ segments: [String]) throws(Failure) -> Endpoint {
        switch (segments[0], segments[1]) {
        case ("pub", "health"): return try get(method, .health)
        case ("ctrl", "status"): return try get(method, .controllerStatus)
        case ("ctrl", "connect"): return try post(method, .connect)
        case ("ctrl", "revoke"): return try post(method, .revoke(.null))
        case ("ctrl", "backends"): return try get(method, .backends)
        case ("ctrl", "keys"): return try get(method, .keys)
        case ("ctrl", "key"): return try get(method, .key)
        case ("ctrl", "drones"): return try get(method, .drones)
        case ("ctrl", "controllers"): return try get(method, .controllers)
        default: throw unknown
        }
    }

    private static func findFour(_ method: RequestMethod, _ segments: [String]) throws(Failure) -> Endpoint {
        switch (segments[0], segments[1], segments[3]) {
        case ("pub", "b", "status"): return try get(method, .backendStatus(try backend(segments[2])))
        case ("pub", "b", "status-stream"):
            // A HEAD would open a stream that nobody reads.
            guard method == .get else { throw .methodNotAllowed(["GET"]) }
            return .statusStream(try backend(segments[2]))
        case ("ctrl", "b", "soft-terminate"): return try post(method, .terminate(try backend(segments[2]), .soft))
        case ("ctrl", "b", "hard-terminate"): return try post(method, .terminate(try backend(segments[2]), .hard))
        case ("ctrl", "c", "state"): return try get(method, .clusterState(try cluster(segments[2])))
        case ("ctrl", "c", "drone-socket"):
            guard method == .get else { throw .methodNotAllowed(["GET"]) }
            return .droneSocket(try cluster(segments[2]))
        default: throw unknown
        }
    }

    private static var unknown: Failure { Failure(.notFound, "There is nothing at this address.") }

    private static func get(
        _ method: RequestMethod, _ endpoint: @autoclosure () throws(Failure) -> Endpoint
    ) throws(Failure) -> Endpoint {
        guard method == .get || method == .head else { throw .methodNotAllowed(["GET"]) }
        return try endpoint()
    }

    private static func post(
        _ method: RequestMethod, _ endpoint: @autoclosure () throws(Failure) -> Endpoint
    ) throws(Failure) -> Endpoint {
        guard method == .post else { throw .methodNotAllowed(["POST"]) }
        return try endpoint()
    }

    /// A text that cannot be an id names no backend.
    private static func backend(_ text: String) throws(Failure) -> BackendID {
        guard let id = try? BackendID(text) else { throw .noBackend(text) }
        return id
    }

    private static func drone(_ text: String) throws(Failure) -> DroneName {
        guard let name = try? DroneName(text) else { throw .noDrone(text) }
        return name
    }

    private static func cluster(_ text: String) throws(Failure) -> ClusterName {
        do throws(InvalidValue) {
            return try ClusterName(text)
        } catch {
            throw Failure(.invalidClusterName, "Invalid cluster name: \(error.problem).")
        }
    }
}

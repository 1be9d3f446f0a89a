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
    case backends
    case clusterState(ClusterName)
    case droneSocket(ClusterName)
    case drain(ClusterName, DroneName)

    /// Whether pages of any origin may read the answer.
    static func isPublic(_ segments: [String]) -> Bool { segments.first == "pub" }

    /// What kind of thing a path is about, known or not: what is not public is let in before it is looked at.
    static func area(_ segments: [String]) -> AccessDecision.Area {
        if isPublic(segments) { return .open }
        return segments.count == 4 && segments[0] == "ctrl" && segments[1] == "c" && segments[3] == "drone-socket"
            ? .droneSocket : .api
    }

    static func find(_ method: RequestMethod, _ segments: [String]) throws(Failure) -> Endpoint {
        if isPublic(segments), method == .options { return .preflight }
        switch segments.count {
        case 2:
            switch (segments[0], segments[1]) {
            case ("pub", "health"): return try get(method, .health)
            case ("ctrl", "status"): return try get(method, .controllerStatus)
            case ("ctrl", "connect"): return try post(method, .connect)
            case ("ctrl", "backends"): return try get(method, .backends)
            default: break
            }
        case 4: return try findFour(method, segments)
        case 6 where segments[0] == "ctrl" && segments[1] == "c" && segments[3] == "d" && segments[5] == "drain":
            guard method == .post else { throw .methodNotAllowed(["POST"]) }
            guard let drone = try? DroneName(segments[4]) else {
                throw Failure(.notFound, "Drone does not exist: \"\(segments[4].prefix(80))\".")
            }
            return .drain(try cluster(segments[2]), drone)
        default: break
        }
        throw unknown
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

    private static func cluster(_ text: String) throws(Failure) -> ClusterName {
        do throws(InvalidValue) {
            return try ClusterName(text)
        } catch {
            throw Failure(.invalidClusterName, "Invalid cluster name: \(error.problem).")
        }
    }
}

/// The body of POST /ctrl/connect as it came.
enum ConnectBody {
    static func decode(_ request: Request) throws(Failure) -> ConnectRequest {
        let type = request.fields["content-type"]
        guard isJSON(type) else {
            let found = type.map { "\"\($0.prefix(80))\"" } ?? "missing"
            throw Failure(
                .invalidRequest, status: 415,
                "The content-type is \(found); a connect request is sent as application/json.")
        }
        let json: JSONValue
        do throws(JSONSyntaxError) {
            json = try JSONValue(parsing: request.body)
        } catch {
            throw Failure(error)
        }
        do throws(RequestProblem) {
            return try ConnectRequest(json: json)
        } catch {
            throw Failure(error)
        }
    }

    /// `application/json`, or another application type with the suffix +json, as the reference takes it; parameters may
    /// follow. RFC 9110 section 8.3.
    private static func isJSON(_ type: String?) -> Bool {
        guard let type else { return false }
        let essence = type.prefix { $0 != ";" }.lowercased().filter { $0 != " " && $0 != "\t" }
        return essence == "application/json" || (essence.hasPrefix("application/") && essence.hasSuffix("+json"))
    }
}

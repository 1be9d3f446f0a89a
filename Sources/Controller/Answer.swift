import FoundationEssentials
import HTTP
import Model
import Store

/// Responses of the API.
enum Answer {
    /// A JSON answer. Encoding our own values cannot fail: they hold no floating-point number.
    static func json(_ value: some Encodable, status: Int = 200) -> Response {
        .json(status, JSONText.bytes(of: value))
    }

    /// What the reference answers where there is nothing to say.
    static var null: Response { .json(200, Array("null".utf8)) }

    /// An error's answer. - Parameter id: also in the log.
    static func failure(_ failure: Failure, id: String) -> Response {
        let body = APIError(id: id, kind: failure.kind, message: failure.message)
        var response = json(body, status: failure.status)
        if let seconds = failure.retryAfterSeconds { response.fields.set("retry-after", String(seconds)) }
        if !failure.allow.isEmpty { response.fields.set("allow", failure.allow.joined(separator: ", ")) }
        if let authenticate = failure.authenticate { response.fields.set("www-authenticate", authenticate) }
        return response
    }

    /// Lets a page of any origin read the answer. Only for `/pub`: what is there is no secret.
    static func readableByPages(_ response: Response) -> Response {
        var response = response
        response.fields.set("access-control-allow-origin", "*")
        return response
    }

    /// Answers a browser that asks before it sends. Fetch Standard, CORS-preflight request.
    static var preflight: Response {
        Response(
            status: 204,
            fields: [
                "access-control-allow-methods": "GET, POST", "access-control-allow-headers": "content-type",
            ])
    }
}

/// JSON of `Codable` values: the answers, and the frames of the drone link.
enum JSONText {
    static func bytes(of value: some Encodable) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return Array(try encoder.encode(value))
        } catch {
            preconditionFailure("a value of ours cannot be encoded: \(error)")
        }
    }

    static func text(of value: some Encodable) -> String { String(decoding: bytes(of: value), as: UTF8.self) }

    /// - Returns: nil when the text is not such a value.
    static func value<Value: Decodable>(_ type: Value.Type, from text: String) -> Value? {
        try? JSONDecoder().decode(type, from: Data(text.utf8))
    }
}

/// `/ctrl/status`.
struct ControllerStatus: Encodable {
    var status = "ok"
    var version: String
    var hash: String
    /// Added: the cluster that a connect without one goes to; omitted where there is none.
    var defaultCluster: String?
    /// Added: the name of this run of this controller.
    var controller: String

    init(_ controller: Controller) {
        version = controller.configuration.version
        hash = controller.configuration.sourceHash
        defaultCluster = controller.configuration.defaultCluster?.text
        self.controller = controller.name.text
    }

    enum CodingKeys: String, CodingKey {
        case status
        case version
        case hash
        case defaultCluster = "default_cluster"
        case controller
    }
}

/// `/pub/health`.
struct Health: Encodable {
    var status = "ok"
}

/// `/pub/b/{backend}/status`: the last line of its history, and, added, the fencing token of its lease.
struct PresentStatus: Encodable {
    private let entry: StatusEntry
    private let fencingToken: Int64

    init(_ row: BackendRow) {
        entry = StatusEntry(row.state, time: row.changedMilliseconds)
        fencingToken = row.fencingToken.value
    }

    enum CodingKeys: String, CodingKey {
        case fencingToken = "fencing_token"
    }

    func encode(to encoder: any Encoder) throws {
        try entry.encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(fencingToken, forKey: .fencingToken)
    }
}

/// `/ctrl/c/{cluster}/state`, with the reference's fields.
///
/// Its `proxies` is always empty: here the proxy is a part of the drone and no node of its own. A drone that is connected is
/// listed from its welcome on; the reference fails the whole call while one has not yet sent a heartbeat.
struct ClusterState: Encodable {
    var drones: [Drone]
    var proxies: [Node] = []

    struct Drone: Encodable {
        var ready = true
        var draining: Bool
        /// Whole seconds since its last renewal.
        var lastHeartbeatAge: Int64
        var backendCount: Int64
        var node: Node

        enum CodingKeys: String, CodingKey {
            case ready
            case draining
            case lastHeartbeatAge = "last_heartbeat_age"
            case backendCount = "backend_count"
            case node
        }
    }

    struct Node: Encodable {
        /// Externally tagged: `{"Drone": "dr-…"}`.
        var name: [String: String]
        var planeVersion: String
        var planeHash: String
        var controller: String
        var controllerHeartbeatAge: Int64 = 0

        enum CodingKeys: String, CodingKey {
            case name
            case planeVersion = "plane_version"
            case planeHash = "plane_hash"
            case controller
            case controllerHeartbeatAge = "controller_heartbeat_age"
        }
    }
}

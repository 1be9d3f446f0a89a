import Glibc
import HTTP
import Model

/// A controller's HTTP API, as the subcommands use it.
struct ControllerAPI {
    /// `--controller URL` of every subcommand that talks to one.
    static let flag = Flag(
        "--controller", .value("URL", default: nil),
        "the controller (default $PLANE_CONTROLLER, else http://127.0.0.1:8080)")

    private let base: HTTPURL

    init(_ arguments: Arguments) throws(UsageError) {
        let text = arguments.text(Self.flag) ?? getenv("PLANE_CONTROLLER").map { String(cString: $0) }
        do throws(HTTPURL.Malformed) {
            base = try HTTPURL(text ?? "http://127.0.0.1:8080")
        } catch {
            throw arguments.wrong(
                arguments.isGiven(Self.flag) ? "--controller: \(error)" : "PLANE_CONTROLLER: \(error)")
        }
    }

    /// An address of the API. - Parameter path: absolute and percent-encoded.
    func url(_ path: String, query: Query = Query()) -> HTTPURL { base.replacingPath(path, query: query) }

    func get(_ path: String, query: Query = Query()) throws -> JSONValue {
        try Self.value(try HTTPClient.fetch(.get, url(path, query: query)))
    }

    func post(_ path: String, _ body: JSONValue) throws -> JSONValue {
        let response = try HTTPClient.fetch(
            .post, url(path), fields: ["content-type": "application/json"], body: Array(body.text.utf8))
        return try Self.value(response)
    }

    /// The answer's value, or the controller's own sentence of what is wrong.
    private static func value(_ response: Response) throws(CommandFailure) -> JSONValue {
        let value = try? JSONValue(parsing: response.body)
        if (200..<300).contains(response.status), let value { return value }
        if let members = value?.members, case .string(let message)? = members["message"] {
            var origin = "the controller answered \(response.status)"
            if case .string(let kind)? = members["kind"] { origin += " \(kind)" }
            if case .string(let id)? = members["id"] { origin += ", error \(id)" }
            throw CommandFailure("\(message) (\(origin))")
        }
        let text = String(decoding: response.body.prefix(300), as: UTF8.self)
        throw CommandFailure("the controller answered \(response.status): \(text)")
    }
}

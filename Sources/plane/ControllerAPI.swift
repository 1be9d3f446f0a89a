import Controller
import Glibc
import HTTP
import Model

/// A controller's HTTP API, as the subcommands use it.
struct ControllerAPI {
    /// Of every subcommand that talks to one.
    static let flags = [flag, tokenFile]

    private static let flag = Flag(
        "--controller", .value("URL", default: nil),
        "the controller (default $PLANE_CONTROLLER, else http://127.0.0.1:8080)")
    private static let tokenFile = Flag(
        "--token-file", .value("FILE", default: nil),
        "shown to the controller: the first token (default the URL's user, else $PLANE_TOKEN)")

    /// Where the token comes from that shows who calls.
    private enum Credential {
        case file(String)
        case url(String)
        case environment(String)
        case none
    }

    private let base: HTTPURL
    private let credential: Credential

    init(_ arguments: Arguments) throws(UsageError) {
        let text = arguments.text(Self.flag) ?? Self.variable("PLANE_CONTROLLER")
        let url: HTTPURL
        do throws(HTTPURL.Malformed) {
            url = try HTTPURL(text ?? "http://127.0.0.1:8080")
        } catch {
            throw arguments.wrong(
                arguments.isGiven(Self.flag) ? "--controller: \(error)" : "PLANE_CONTROLLER: \(error)")
        }
        base = url.withoutUser
        // What is said here wins over what is said for all.
        if let path = arguments.text(Self.tokenFile) {
            credential = .file(path)
        } else if let user = url.user {
            credential = .url(user)
        } else if let token = Self.variable("PLANE_TOKEN") {
            credential = .environment(token)
        } else {
            credential = .none
        }
    }

    private static func variable(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// An address of the API, without anything that shows who calls. - Parameter path: absolute and percent-encoded.
    func url(_ path: String, query: Query = Query()) -> HTTPURL { base.replacingPath(path, query: query) }

    func get(_ path: String, query: Query = Query()) throws -> JSONValue {
        try value(try HTTPClient.fetch(.get, url(path, query: query), fields: try fields()))
    }

    /// - Parameter deadline: from now to the last byte of the answer.
    func post(_ path: String, _ body: JSONValue, deadline: Duration = .seconds(30)) throws -> JSONValue {
        var fields = try fields()
        fields.add("content-type", "application/json")
        let response = try HTTPClient.fetch(
            .post, url(path), fields: fields, body: Array(body.text.utf8), deadline: deadline)
        return try value(response)
    }

    /// Every row of a list, page after page.
    /// - Parameters:
    ///   - name: of the rows in a page.
    ///   - following: the parameters of the next page, of what a page says under `next`.
    func all(
        _ path: String, _ name: String, query: [(String, String)] = [],
        following: (JSONValue) -> [(String, String)] = Self.afterText
    ) throws -> [JSONValue] {
        var rows: [JSONValue] = []
        var place: [(String, String)] = []
        while true {
            let page = try get(path, query: Query(query + [("limit", "1000")] + place))
            if case .array(let items)? = page.members?[name] { rows += items }
            guard let next = page.members?["next"], next != .null else { return rows }
            place = following(next)
            if place.isEmpty { return rows }
        }
    }

    private static func afterText(_ next: JSONValue) -> [(String, String)] {
        if case .string(let text) = next { [("after", text)] } else { [] }
    }

    private func fields() throws -> HeaderFields {
        let token: String
        switch credential {
        case .file(let path): token = try SecretFile.read(path).lines[0].secret
        case .url(let user): token = user
        case .environment(let text): token = text
        case .none: return [:]
        }
        return ["authorization": "Bearer \(token)"]
    }

    /// The answer's value, or the controller's own sentence of what is wrong.
    private func value(_ response: Response) throws(CommandFailure) -> JSONValue {
        let value = try? JSONValue(parsing: response.body)
        if (200..<300).contains(response.status), let value { return value }
        let hint = response.status == 401 ? " \(credentialHint)" : ""
        if let members = value?.members, case .string(let message)? = members["message"] {
            var origin = "the controller answered \(response.status)"
            if case .string(let kind)? = members["kind"] { origin += " \(kind)" }
            if case .string(let id)? = members["id"] { origin += ", error \(id)" }
            throw CommandFailure("\(message)\(hint) (\(origin))")
        }
        let text = String(decoding: response.body.prefix(300), as: UTF8.self)
        throw CommandFailure("the controller answered \(response.status): \(text)\(hint)")
    }

    private var credentialHint: String {
        switch credential {
        case .file(let path): "The token is the first one in \(path); give another one."
        case .url: "The token is the user in the controller's URL; give another one."
        case .environment: "The token is that of PLANE_TOKEN; give another one."
        case .none:
            "Give a token: --token-file FILE, or PLANE_TOKEN=TOKEN, or http://TOKEN@HOST:PORT as the controller."
        }
    }
}

extension Query {
    /// Items in their order, not encoded.
    init(_ items: [(String, String)]) {
        self.init()
        for (name, value) in items { add(name, value) }
    }
}

import HTTP
import Linux
package import Model
import Store

/// A request that is answered with an error: the HTTP status and what the body says.
package struct Failure: Error, Equatable {
    package var status: Int
    package var kind: APIError.Kind
    /// A sentence, with its full stop.
    package var message: String
    /// Seconds after which it may go better.
    package var retryAfterSeconds: Int?
    /// The methods that the path has, for 405.
    package var allow: [String] = []
    /// What WWW-Authenticate says, for 401.
    package var authenticate: String?

    package init(_ kind: APIError.Kind, status: Int? = nil, _ message: String, retryAfterSeconds: Int? = nil) {
        self.status = status ?? kind.httpStatus
        self.kind = kind
        self.message = message
        self.retryAfterSeconds = retryAfterSeconds
    }

    static func noBackend(_ text: String) -> Failure {
        Failure(.notFound, "Backend does not exist: \"\(text.prefix(80))\".")
    }

    static func noDrone(_ text: String) -> Failure {
        Failure(.notFound, "Drone does not exist: \"\(text.prefix(80))\".")
    }

    static func methodNotAllowed(_ allow: [String]) -> Failure {
        var failure = Failure(
            .invalidRequest, status: 405, "This address takes \(allow.joined(separator: " and ")) requests only.")
        failure.allow = allow
        return failure
    }
}

extension Failure {
    init(_ problem: RequestProblem) {
        self.init(.invalidRequest, status: problem.httpStatus, "\(problem.detail).")
    }

    init(_ error: JSONSyntaxError) {
        self.init(.invalidRequest, status: 400, "The body is not JSON: \(error).")
    }

    /// What a client may know about a fault of the store; the log has the rest.
    init(_ error: StoreError) {
        switch error.kind {
        case .busy, .overloaded, .stopped:
            self.init(
                .other, status: 503, "The controller cannot take this now: its database is busy.",
                retryAfterSeconds: 1)
        case .full:
            self.init(.other, "The controller cannot write: its disk is full.")
        case .conflict:
            self.init(.failedToAcquireKey, "Another writer took the key or the id at the same moment; try again.")
        case .corrupt, .newerSchema, .otherSchema, .other:
            self.init(.other, "The controller's database failed; its log says how, under this error's id.")
        }
    }

    init(_ refusal: ConnectRefusal) {
        switch refusal {
        case .keyHeld(let backend):
            self.init(.keyHeld, "The key is held by backend \(backend), whose tag is another one.")
        case .keyUnheld(nil):
            self.init(
                .keyUnheldNoSpawnConfig, "Nobody holds the key, and no spawn_config was given to start a backend.")
        case .keyUnheld(let backend?):
            self.init(
                .keyUnheldNoSpawnConfig,
                "The key's backend \(backend) is ending, and no spawn_config was given to start its successor.")
        case .noCluster:
            self.init(
                .noClusterProvided,
                "spawn_config.cluster: is missing, and this controller has no default cluster.")
        case .noDrone(let reasons):
            self.init(.noDroneAvailable, "\(reasons).")
        case .unknownImage(let image, let known):
            let names = known.isEmpty ? "none" : known.map(\.text).joined(separator: ", ")
            self.init(
                .invalidRequest,
                "spawn_config.executable.image: \"\(image)\" is on no drone of this cluster and pool; known are: \(names)."
            )
        case .idUsed(let id):
            self.init(.invalidRequest, status: 409, "spawn_config.id: \"\(id)\" names another backend already.")
        case .invalid(let problem):
            self.init(problem)
        case .stillEnding(let backend):
            self.init(
                .keyHeldUnhealthy, "The key's backend \(backend) is still ending; try again.", retryAfterSeconds: 5)
        case .droneSilent(let drone, let backend):
            self.init(
                .keyHeldUnhealthy,
                "The key is held by backend \(backend), and its drone \(drone) is not connected. Either it returns or "
                    + "its lease ends, within a minute; try again.", retryAfterSeconds: 5)
        case .endedBeforeReady(let backend, let state):
            let why = state.message ?? state.endReason?.rawValue ?? state.status.rawValue
            self.init(.other, "Backend \(backend) ended before it was ready: \(why)")
            if !message.hasSuffix(".") { message += "." }
        case .notReadyYet(let backend):
            self.init(
                .keyHeldUnhealthy, "Backend \(backend) runs, but its port does not answer yet; try again.",
                retryAfterSeconds: 5)
        }
    }
}

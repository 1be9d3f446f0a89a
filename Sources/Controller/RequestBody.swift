import HTTP
import Model

/// The bodies of requests, checked before anything is done. Pure.
enum RequestBody {
    /// Of POST /ctrl/connect.
    static func connect(_ request: Request) throws(Failure) -> ConnectRequest {
        try read(try json(request)) { (value) throws(RequestProblem) in try ConnectRequest(json: value) }
    }

    /// Of a revocation: whose tokens, and for which backend.
    static func revocation(_ request: Request) throws(Failure) -> (backend: BackendID, user: String) {
        try read(try json(request)) { (value) throws(RequestProblem) in
            let backend: String?
            let user: String?
            do throws(InvalidValue) {
                var reader = try JSONReader(value)
                backend = try reader.string("backend_id")
                user = try reader.string("user")
            } catch {
                throw .shape(error)
            }
            guard let backend else { throw .shape(InvalidValue(field: "backend_id", problem: "is missing")) }
            guard let user else { throw .shape(InvalidValue(field: "user", problem: "is missing")) }
            try ConnectRequest.check(user: user)
            do throws(InvalidValue) {
                return (try BackendID(backend, field: "backend_id"), user)
            } catch {
                throw .value(error)
            }
        }
    }

    /// Of a drain. The reference's clients send null or nothing; what is added to it is held to the letter, since a
    /// deadline that is not understood must not be passed over.
    static func drain(_ request: Request) throws(Failure) -> Controller.Drain {
        if request.body.isEmpty || request.body == Array("null".utf8) { return Controller.Drain() }
        let value = try json(request)
        if value == .null { return Controller.Drain() }
        return try read(value) { (value) throws(RequestProblem) in
            let any = Int64.min...Int64.max
            let seconds: Int64?
            let isEndingNow: Bool
            do throws(InvalidValue) {
                var reader = try JSONReader(value)
                isEndingNow = try reader.bool("terminate") ?? false
                seconds = try reader.integer("deadline_seconds", in: any)
                try reader.refuseUnknownFields()
            } catch {
                throw .shape(error)
            }
            do throws(InvalidValue) {
                return try Controller.Drain(isEndingNow: isEndingNow, deadlineSeconds: seconds)
            } catch {
                throw .value(error)
            }
        }
    }

    private static func read<Value>(
        _ json: JSONValue, _ decode: (JSONValue) throws(RequestProblem) -> Value
    ) throws(Failure) -> Value {
        do throws(RequestProblem) { return try decode(json) } catch { throw Failure(error) }
    }

    private static func json(_ request: Request) throws(Failure) -> JSONValue {
        let type = request.fields["content-type"]
        guard isJSON(type) else {
            let found = type.map { "\"\($0.prefix(80))\"" } ?? "missing"
            throw Failure(
                .invalidRequest, status: 415,
                "The content-type is \(found); a body is sent here as application/json.")
        }
        do throws(JSONSyntaxError) { return try JSONValue(parsing: request.body) } catch { throw Failure(error) }
    }

    /// `application/json`, or another application type with the suffix +json, as the reference takes it; parameters may
    /// follow. RFC 9110 section 8.3.
    private static func isJSON(_ type: String?) -> Bool {
        guard let type else { return false }
        let essence = type.prefix { $0 != ";" }.lowercased().filter { $0 != " " && $0 != "\t" }
        return essence == "application/json" || (essence.hasPrefix("application/") && essence.hasSuffix("+json"))
    }
}

extension Controller.Drain {
    /// Checks what was asked for. - Parameter deadlineSeconds: from now until those that are left are asked to end.
    init(isEndingNow: Bool, deadlineSeconds: Int64?) throws(InvalidValue) {
        if let seconds = deadlineSeconds {
            guard (0...SpawnConfig.secondsMax).contains(seconds) else {
                throw InvalidValue(
                    field: "deadline_seconds",
                    problem: "\(seconds) is out of range; allowed are 0 to \(SpawnConfig.secondsMax)")
            }
        }
        self.init(endAfterMilliseconds: deadlineSeconds.map { $0 * 1000 }, isEndingNow: isEndingNow)
    }
}

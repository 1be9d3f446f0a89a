/// Why a request's body was not taken. Nothing has been written when this is thrown.
public enum RequestProblem: Error, Equatable, Sendable {
    /// A field is missing or of another JSON type: HTTP 422, as the reference answers.
    case shape(InvalidValue)
    /// A field has the right type and a value that is not allowed: HTTP 400.
    case value(InvalidValue)

    /// The field and what is wrong with it.
    public var detail: InvalidValue {
        switch self {
        case .shape(let detail), .value(let detail): detail
        }
    }

    /// The HTTP status of the answer, RFC 9110 section 15.5.
    public var httpStatus: Int {
        switch self {
        case .shape: 422
        case .value: 400
        }
    }
}

extension ConnectRequest {
    /// Most bytes of `user`: it travels in a header.
    public static let userBytesMax = 1024
    /// Most bytes of `auth` as JSON text: it travels in a header.
    public static let authBytesMax = 8 * 1024

    /// Reads and checks the body of POST /ctrl/connect. Unknown fields are ignored, as the reference's clients expect;
    /// everything known is checked here, before anything is written. The reference checks lengths, ids, clusters and
    /// subdomains only when it is too late (`500`, or a backend whose status cannot be read).
    public init(json: JSONValue) throws(RequestProblem) {
        var top = try shape { () throws(InvalidValue) in try JSONReader(json) }
        self.init()
        if let reader = try shape({ () throws(InvalidValue) in try top.object("key") }) {
            key = try KeyConfig(reader: reader)
        }
        if let reader = try shape({ () throws(InvalidValue) in try top.object("spawn_config") }) {
            spawn = try SpawnConfig(reader: reader)
        }
        user = try shape { () throws(InvalidValue) in try top.string("user") }
        if let user { try Self.check(user: user) }
        if top.isExplicitNull("auth") {
            throw .shape(InvalidValue(field: "auth", problem: "is null; write an object or leave it out"))
        }
        if let value = top.value("auth") {
            guard let members = value.members else {
                throw .shape(InvalidValue(field: "auth", problem: "is \(value.kindName); write an object, {…}"))
            }
            let count = value.text.utf8.count
            guard count <= Self.authBytesMax else {
                throw .value(
                    InvalidValue(
                        field: "auth",
                        problem: "is \(count) bytes long as JSON; at most \(Self.authBytesMax) are allowed"))
            }
            auth = members
        }
        if let text = try shape({ () throws(InvalidValue) in try top.string("wait") }) {
            wait = try value { () throws(InvalidValue) in try Wait(text, field: "wait") }
        }
        if spawn?.useStaticToken == true { try refuseIdentity(because: "spawn_config.use_static_token is true") }
    }

    /// A static token has no caller's identity on it: the reference ignores `user` and `auth` then, and the caller
    /// believes that they reach the backend. Here that is refused.
    public func refuseIdentity(because reason: String) throws(RequestProblem) {
        let field = user != nil ? "user" : auth.isEmpty ? nil : "auth"
        guard let field else { return }
        throw .value(
            InvalidValue(
                field: field,
                problem: "cannot be given here: \(reason), and a static token carries no user and no auth. Leave it out"
            ))
    }

    /// Checks a user's name.
    public static func check(user: String) throws(RequestProblem) {
        if user.utf8.count > userBytesMax {
            throw .value(
                InvalidValue(
                    field: "user",
                    problem: "is \(user.utf8.count) bytes long; at most \(userBytesMax) are allowed"))
        }
        // It becomes a header's value: a line break in it would end the header.
        if user.unicodeScalars.contains(where: { $0.value < 32 || $0.value == 127 }) {
            throw .value(InvalidValue(field: "user", problem: "contains a control character"))
        }
    }
}

extension ConnectRequest.Wait {
    /// Checks a text that came from outside.
    public init(_ text: String, field: String) throws(InvalidValue) {
        guard let wait = Self(rawValue: text) else {
            let known = Self.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: " or ")
            throw InvalidValue(field: field, problem: "\"\(text.prefix(80))\" is not known; write \(known)")
        }
        self = wait
    }
}

extension KeyConfig {
    fileprivate init(reader: consuming JSONReader) throws(RequestProblem) {
        var reader = reader
        let name = try required("name", of: &reader)
        let namespace = try text("namespace", of: &reader)
        let tag = try text("tag", of: &reader)
        self = try value { () throws(InvalidValue) in try KeyConfig(name: name, namespace: namespace, tag: tag) }
    }
}

extension SpawnConfig {
    /// Longest lifetime and idle time: ten years of 365 days, in seconds.
    public static let secondsMax: Int64 = 10 * 365 * 24 * 3600

    fileprivate init(reader: consuming JSONReader) throws(RequestProblem) {
        var reader = reader
        guard let executableReader = try shape({ () throws(InvalidValue) in try reader.object("executable") }) else {
            throw .shape(InvalidValue(field: "spawn_config.executable", problem: "is missing"))
        }
        self.init(executable: try Executable(reader: executableReader))
        if let text = try shape({ () throws(InvalidValue) in try reader.string("id") }) {
            id = try value { () throws(InvalidValue) in try BackendID(text, field: "spawn_config.id") }
        }
        if let text = try shape({ () throws(InvalidValue) in try reader.string("cluster") }) {
            cluster = try value { () throws(InvalidValue) in try ClusterName(text, field: "spawn_config.cluster") }
        }
        pool = try text("pool", of: &reader)
        try SpawnConfig.check(pool: pool)
        lifetimeLimitSeconds = try seconds("lifetime_limit_seconds", of: &reader)
        maxIdleSeconds = try seconds("max_idle_seconds", of: &reader)
        if reader.isExplicitNull("use_static_token") {
            throw .shape(InvalidValue(field: "spawn_config.use_static_token", problem: "is null; write true or false"))
        }
        useStaticToken = try shape { () throws(InvalidValue) in try reader.bool("use_static_token") } ?? false
        subdomain = try shape { () throws(InvalidValue) in try reader.string("subdomain") }
        if let subdomain { try SpawnConfig.check(subdomain: subdomain) }
    }

    private static func check(pool: String) throws(RequestProblem) {
        guard pool.utf8.count <= 255, pool.unicodeScalars.allSatisfy({ $0.value >= 32 && $0.value != 127 }) else {
            throw .value(
                InvalidValue(
                    field: "spawn_config.pool",
                    problem: "must be at most 255 bytes and contain no control character"))
        }
    }

    /// A label of a host name, RFC 1123 section 2.1.
    private static func check(subdomain: String) throws(RequestProblem) {
        let isLabel = subdomain.utf8.allSatisfy {
            Name.isLowerOrDigit($0) || (65...90).contains($0) || $0 == UInt8(ascii: "-")
        }
        guard isLabel, (1...63).contains(subdomain.utf8.count), !subdomain.hasPrefix("-"), !subdomain.hasSuffix("-")
        else {
            throw .value(
                InvalidValue(
                    field: "spawn_config.subdomain",
                    problem: "\"\(subdomain.prefix(80))\" is not a host label; use 1 to 63 of a-z, 0-9 and -, "
                        + "with no - at either end"))
        }
    }

    private func seconds(_ name: String, of reader: inout JSONReader) throws(RequestProblem) -> Int64? {
        try number(name, in: 1...Self.secondsMax, of: &reader)
    }
}

extension Executable {
    fileprivate init(reader: consuming JSONReader) throws(RequestProblem) {
        var reader = reader
        let imageText = try required("image", of: &reader)
        let field = reader.pathOf("image")
        let image = try value { () throws(InvalidValue) in try ImageName(imageText, field: field) }
        for name in ["pull_policy", "credentials", "network_name"] where reader.value(name) != nil {
            throw .value(
                InvalidValue(
                    field: reader.pathOf(name),
                    problem: "concerns a container registry or Docker's networks, which do not exist here; leave it out"
                ))
        }
        if let mount = reader.value("mount"), mount != .bool(false) {
            throw .value(
                InvalidValue(
                    field: reader.pathOf("mount"),
                    problem: "is not supported: a backend's files are gone with it; leave it out"))
        }
        self.init(image: image)
        environment = try shape { () throws(InvalidValue) in try reader.stringMap("env") } ?? [:]
        try Executable.check(environment: environment, field: reader.pathOf("env"))
        if let limitsReader = try shape({ () throws(InvalidValue) in try reader.object("resource_limits") }) {
            limits = try ResourceLimits(reader: limitsReader)
        }
    }

    /// Whether a text may name a variable: in JSON, in policies and on the command line alike, what a shell takes for one.
    public static func isVariableName(_ name: some StringProtocol) -> Bool {
        guard let first = name.utf8.first, !(48...57).contains(first) else { return false }
        return name.utf8.allSatisfy { byte in
            Name.isLowerOrDigit(byte) || (65...90).contains(byte) || byte == 95
        }
    }

    private static func check(environment: [String: String], field: String) throws(RequestProblem) {
        for (name, text) in environment.sorted(by: { $0.key < $1.key }) {
            if reservedEnvironment.contains(name) {
                throw .value(
                    InvalidValue(field: "\(field).\(name)", problem: "is set by Plane itself; choose another name"))
            }
            guard isVariableName(name) else {
                throw .value(
                    InvalidValue(
                        field: field,
                        problem: "\"\(name.prefix(80))\" is not a variable's name; use A-Z a-z 0-9 and _, not "
                            + "beginning with a digit"))
            }
            if text.utf8.contains(0) {
                throw .value(InvalidValue(field: "\(field).\(name)", problem: "contains a zero byte"))
            }
        }
        let count = environment.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count }
        if count > environmentBytesMax {
            throw .value(
                InvalidValue(
                    field: field,
                    problem: "is \(count) bytes of names and values; at most \(environmentBytesMax) are allowed"))
        }
    }
}

extension ResourceLimits {
    /// Reads a `resource_limits` object. - Parameter path: how messages name it.
    public init(json: JSONValue, path: String) throws(RequestProblem) {
        try self.init(reader: try shape { () throws(InvalidValue) in try JSONReader(json, path: path) })
    }

    fileprivate init(reader: consuming JSONReader) throws(RequestProblem) {
        var reader = reader
        self.init()
        memoryBytes = try number(CodingKeys.memoryBytes.rawValue, in: 1...Int64.max, of: &reader)
        // The kernel's own bounds: 1 ms to 1 s, Documentation/admin-guide/cgroup-v2.rst and tg_set_cfs_bandwidth.
        cpuPeriodMicroseconds = try number(
            CodingKeys.cpuPeriodMicroseconds.rawValue, in: 1000...1_000_000, of: &reader)
        cpuPercent = try number(CodingKeys.cpuPercent.rawValue, in: 1...100_000, of: &reader)
        cpuTimeSeconds = try number(CodingKeys.cpuTimeSeconds.rawValue, in: 1...SpawnConfig.secondsMax, of: &reader)
        diskBytes = try number(CodingKeys.diskBytes.rawValue, in: 1...Int64.max, of: &reader)
    }
}

/// What a reader throws while it looks at types is a matter of shape.
private func shape<Value>(_ read: () throws(InvalidValue) -> Value) throws(RequestProblem) -> Value {
    do throws(InvalidValue) { return try read() } catch { throw .shape(error) }
}

/// What a value's own check throws is a matter of the value.
private func value<Value>(_ check: () throws(InvalidValue) -> Value) throws(RequestProblem) -> Value {
    do throws(InvalidValue) { return try check() } catch { throw .value(error) }
}

private func required(_ name: String, of reader: inout JSONReader) throws(RequestProblem) -> String {
    guard let text = try shape({ () throws(InvalidValue) in try reader.string(name) }) else {
        throw .shape(InvalidValue(field: reader.pathOf(name), problem: "is missing"))
    }
    return text
}

/// Text that defaults to empty and, as in the reference, must not be null.
private func text(_ name: String, of reader: inout JSONReader) throws(RequestProblem) -> String {
    if reader.isExplicitNull(name) {
        throw .shape(InvalidValue(field: reader.pathOf(name), problem: "is null; write a string or leave it out"))
    }
    return try shape { () throws(InvalidValue) in try reader.string(name) } ?? ""
}

private func number(
    _ name: String, in range: ClosedRange<Int64>, of reader: inout JSONReader
) throws(RequestProblem) -> Int64? {
    let any = Int64.min...Int64.max
    guard let number = try shape({ () throws(InvalidValue) in try reader.integer(name, in: any) }) else { return nil }
    guard range.contains(number) else {
        throw .value(
            InvalidValue(
                field: reader.pathOf(name),
                problem: "\(number) is out of range; allowed are \(range.lowerBound) to \(range.upperBound)"))
    }
    return number
}

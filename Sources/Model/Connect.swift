/// What a key is made of. Unique by namespace and name, over all clusters and pools.
public struct KeyConfig: Hashable, Sendable {
    /// 1–255 characters.
    public var name: String
    /// 0–255 characters; empty by default.
    public var namespace: String
    /// 0–255 characters; a connect with another tag than the holder's is refused with KeyHeld.
    public var tag: String

    /// Checks the lengths. The reference lets 256 and more through to its database and answers 500.
    public init(name: String, namespace: String = "", tag: String = "") throws(InvalidValue) {
        for (field, text) in [("key.name", name), ("key.namespace", namespace), ("key.tag", tag)] {
            if text.unicodeScalars.count > 255 {
                throw InvalidValue(
                    field: field, problem: "is \(text.unicodeScalars.count) characters long; at most 255 are allowed")
            }
            if text.unicodeScalars.contains(where: { $0.value < 32 || $0.value == 127 }) {
                throw InvalidValue(field: field, problem: "contains a control character")
            }
        }
        if name.isEmpty { throw InvalidValue(field: "key.name", problem: "is empty; give at least one character") }
        self.name = name
        self.namespace = namespace
        self.tag = tag
    }
}

/// Limits that a request may tighten; a policy's own value is the ceiling. Nil leaves the policy's.
public struct ResourceLimits: Hashable, Sendable {
    /// memory.max in bytes.
    public var memoryBytes: Int64?
    /// Length of a cpu.max period in microseconds.
    public var cpuPeriodMicroseconds: Int64?
    /// Percent of one processor in each period.
    public var cpuPercent: Int64?
    /// Total processor time in seconds (RLIMIT_CPU of the command).
    public var cpuTimeSeconds: Int64?
    /// Size of the writable layer in bytes.
    public var diskBytes: Int64?

    /// Nothing tightened.
    public init() {}
}

extension ResourceLimits: Codable {
    enum CodingKeys: String, CodingKey {
        case memoryBytes = "memory_limit_bytes"
        case cpuPeriodMicroseconds = "cpu_period"
        case cpuPercent = "cpu_period_percent"
        case cpuTimeSeconds = "cpu_time_limit"
        case diskBytes = "disk_limit_bytes"
    }
}

/// What to run: the reference's `executable`, of which Plane checks every field before anything is written.
///
/// `pull_policy`, `credentials` and `network_name` concern a registry and Docker's networks, which do not exist here:
/// they are accepted when null and refused otherwise.
public struct Executable: Hashable, Sendable {
    /// Which image; a drone has it or the connect is refused.
    public var image: ImageName
    /// Environment added to the image's own; a name given here wins, except for the reserved ones.
    public var environment: [String: String]
    /// Limits tightened for this backend.
    public var limits: ResourceLimits

    /// Environment variables that Plane sets itself; a request that sets one is refused, not silently overridden.
    public static let reservedEnvironment: Set<String> = [
        "PORT", "SESSION_BACKEND_ID", "SESSION_BACKEND_KEY", "SESSION_BACKEND_FENCING_TOKEN",
        "SESSION_BACKEND_STATIC_TOKEN",
    ]

    /// Most bytes of names and values together; the warden's request has to carry them in one packet.
    public static let environmentBytesMax = 32 * 1024

    /// - Parameters: as the properties say.
    public init(image: ImageName, environment: [String: String] = [:], limits: ResourceLimits = ResourceLimits()) {
        self.image = image
        self.environment = environment
        self.limits = limits
    }
}

/// How to start a backend when the key is not held.
public struct SpawnConfig: Hashable, Sendable {
    /// An id of the caller's choice; must be unused.
    public var id: BackendID?
    /// Where; nil takes the controller's default.
    public var cluster: ClusterName?
    /// Exact match with the drones' pool; empty by default.
    public var pool: String
    /// What to run.
    public var executable: Executable
    /// Seconds after scheduling at which it is swept, 1 or more; nil never.
    public var lifetimeLimitSeconds: Int64?
    /// Seconds without a connection or request after which it is swept, 1 or more; nil never.
    public var maxIdleSeconds: Int64?
    /// Whether every connect answers one token that lives as long as the backend.
    public var useStaticToken: Bool
    /// The host label its requests must come under; nil for any.
    public var subdomain: String?

    /// - Parameter executable: what to run; everything else at its default.
    public init(executable: Executable) {
        self.executable = executable
        pool = ""
        useStaticToken = false
    }
}

/// The body of POST /ctrl/connect.
public struct ConnectRequest: Hashable, Sendable {
    /// Nil makes a key of its own, `lk-…`, so that a backend is always spawned.
    public var key: KeyConfig?
    /// Used only when a spawn is needed.
    public var spawn: SpawnConfig?
    /// Stored on the token; reaches the backend as `x-verified-username`. At most 1,024 bytes.
    public var user: String?
    /// A JSON object stored on the token; reaches the backend as `x-verified-user-data`. At most 8 KiB as JSON.
    public var auth: [String: JSONValue]
    /// Added: until when the answer is held back; at once by default, as in the reference.
    public var wait: Wait

    /// Until when the answer of a connect is held back.
    public enum Wait: String, Hashable, Sendable, CaseIterable {
        /// Until what it says is durable.
        case none
        /// Until the backend is ready, too. If it ends first, the answer is an error that says why.
        case ready
    }

    /// - Parameters: as the properties say.
    public init(
        key: KeyConfig? = nil, spawn: SpawnConfig? = nil, user: String? = nil, auth: [String: JSONValue] = [:],
        wait: Wait = .none
    ) {
        self.key = key
        self.spawn = spawn
        self.user = user
        self.auth = auth
        self.wait = wait
    }
}

/// The answer of POST /ctrl/connect. Every key is always present, as null where there is nothing.
public struct ConnectResponse: Hashable, Sendable, Codable {
    /// Which backend.
    public var backendID: String
    /// Whether this call started it.
    public var spawned: Bool
    /// Where it was when the call was answered.
    public var status: BackendStatus
    /// The token within the URL.
    public var token: String
    /// Where its users go: `<scheme>://[<subdomain>.]<cluster>/<token>/`.
    public var url: String
    /// The backend's subdomain.
    public var subdomain: String?
    /// Reaches the backend as `x-verified-secret` with each request of this token; null for static tokens.
    public var secretToken: String?
    /// Where its status can be read.
    public var statusURL: String
    /// The drone, when this call spawned.
    public var drone: String?
    /// Added to the reference's fields, which never returns it: the lease's fencing token.
    public var fencingToken: Int64

    /// - Parameters: as the properties say.
    public init(
        backendID: BackendID, spawned: Bool, status: BackendStatus, token: BearerToken, url: String,
        subdomain: String?, secretToken: String?, statusURL: String, drone: DroneName?, fencingToken: FencingToken
    ) {
        self.backendID = backendID.text
        self.spawned = spawned
        self.status = status
        self.token = token.text
        self.url = url
        self.subdomain = subdomain
        self.secretToken = secretToken
        self.statusURL = statusURL
        self.drone = drone?.text
        self.fencingToken = fencingToken.value
    }

    enum CodingKeys: String, CodingKey {
        case backendID = "backend_id"
        case spawned
        case status
        case token
        case url
        case subdomain
        case secretToken = "secret_token"
        case statusURL = "status_url"
        case drone
        case fencingToken = "fencing_token"
    }

    public func encode(to encoder: any Encoder) throws {
        var c = encoder.container(keyedBy: CodingKeys.self)
        try c.encode(backendID, forKey: .backendID)
        try c.encode(spawned, forKey: .spawned)
        try c.encode(status, forKey: .status)
        try c.encode(token, forKey: .token)
        try c.encode(url, forKey: .url)
        // `encode`, not `encodeIfPresent`: clients of the reference read null, not a missing key.
        try c.encode(subdomain, forKey: .subdomain)
        try c.encode(secretToken, forKey: .secretToken)
        try c.encode(statusURL, forKey: .statusURL)
        try c.encode(drone, forKey: .drone)
        try c.encode(fencingToken, forKey: .fencingToken)
    }
}

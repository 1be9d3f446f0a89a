/// Writes one flat JSON object straight to bytes: for the few answers and messages that a controller sends thousands of
/// times a second, where an encoder that works for every type takes most of the time.
struct JSONMembers {
    private(set) var bytes: [UInt8]
    private var isFirst = true

    /// - Parameter opening: what stands before the object's first member, its brace included.
    init(_ opening: StaticString = "{") {
        bytes = []
        bytes.reserveCapacity(512)
        append(opening)
    }

    mutating func add(_ name: StaticString, _ value: String?) {
        begin(name)
        guard let value else { return append("null") }
        add(quoted: value)
    }

    mutating func add(_ name: StaticString, _ value: Int64) {
        begin(name)
        bytes.append(contentsOf: String(value).utf8)
    }

    mutating func add(_ name: StaticString, _ value: Bool) {
        begin(name)
        append(value ? "true" : "false")
    }

    /// Leaves a member out that has no value.
    mutating func addIfPresent(_ name: StaticString, _ value: String?) {
        if let value { add(name, value) }
    }

    /// Leaves a member out that has no value.
    mutating func addIfPresent(_ name: StaticString, _ value: Int64?) {
        if let value { add(name, value) }
    }

    /// Ends it. - Parameter closing: what stands behind the last member, its brace included.
    mutating func close(_ closing: StaticString = "}") -> [UInt8] {
        append(closing)
        return bytes
    }

    private mutating func begin(_ name: StaticString) {
        append(isFirst ? "\"" : ",\"")
        isFirst = false
        append(name)
        append("\":")
    }

    private mutating func append(_ text: StaticString) {
        text.withUTF8Buffer { bytes.append(contentsOf: $0) }
    }

    /// RFC 8259 section 7: quotes, backslashes and control characters are escaped; the rest is UTF-8 as it is.
    private mutating func add(quoted text: String) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(byte)
            case 0..<32:
                let digits = Array("0123456789abcdef".utf8)
                append("\\u00")
                bytes.append(digits[Int(byte >> 4)])
                bytes.append(digits[Int(byte & 15)])
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}

extension ConnectResponse {
    /// What its `Codable` form is, without the cost of an encoder.
    public var jsonBytes: [UInt8] {
        var members = JSONMembers()
        members.add("backend_id", backendID)
        members.add("spawned", spawned)
        members.add("status", status.rawValue)
        members.add("token", token)
        members.add("url", url)
        members.add("subdomain", subdomain)
        members.add("secret_token", secretToken)
        members.add("status_url", statusURL)
        members.add("drone", drone)
        members.add("fencing_token", fencingToken)
        return members.close()
    }
}

extension ControllerMessage {
    /// What its `Codable` form is, for the messages that are sent for each connect and each state; nil for the others,
    /// which are rare.
    public var jsonBytes: [UInt8]? {
        switch self {
        case .route(let grant):
            var members = JSONMembers("{\"route\":{\"_0\":{")
            members.add("token", grant.token)
            members.add("backend", grant.backend)
            members.add("cluster", grant.cluster)
            members.addIfPresent("subdomain", grant.subdomain)
            members.addIfPresent("user", grant.user)
            members.addIfPresent("userData", grant.userData)
            members.add("secretToken", grant.secretToken)
            members.addIfPresent("lifetimeMilliseconds", grant.lifetimeMilliseconds)
            members.add("connects", grant.connects)
            return members.close("}}}")
        case .renewed(let sequence):
            var members = JSONMembers("{\"renewed\":{")
            members.add("sequence", sequence)
            return members.close("}}")
        case .stateSaved(let backend, let status):
            var members = JSONMembers("{\"stateSaved\":{")
            members.add("backend", backend)
            members.add("status", status.rawValue)
            return members.close("}}")
        case .welcome, .spawn, .terminate, .inUse, .routeAnswer, .revoke: return nil
        }
    }
}

internal import Model

/// Reads policy files: JSON with every field optional, in which nothing unknown, impossible or contradictory passes.
public enum PolicyFile {
    /// The largest file that is read, in bytes.
    public static let bytesMax = 1 << 20

    /// - Parameters:
    ///   - text: the file's content.
    ///   - name: how messages call the file, for example `python-repl.json`.
    /// - Throws: what is wrong with which field, and what is allowed there.
    public static func parse(_ text: [UInt8], name: String) throws(PolicyError) -> PolicyDocument {
        let subject = "policy \(name)"
        return try parseDocument(text, subject: subject) { (reader) throws(InvalidValue) in try policy(&reader) }
    }

    /// - Parameters:
    ///   - text: the file's content.
    ///   - name: how messages call the file.
    /// - Throws: what is wrong with which field, and what is allowed there.
    public static func parse(_ text: String, name: String) throws(PolicyError) -> PolicyDocument {
        try parse(Array(text.utf8), name: name)
    }

    private static func policy(_ file: inout JSONReader) throws(InvalidValue) -> PolicyDocument {
        var policy = PolicyDocument()
        // Where editors look for the schema; nothing here does.
        _ = try file.string("$schema")
        policy.command = try file.command("command")
        policy.environment = try file.environment("environment") ?? policy.environment
        if var user = try file.object("command_user") { policy.commandUser = try commandUser(&user) }
        if let hostname = try file.string("hostname") { policy.hostname = try checkedHostname(hostname) }
        if var limits = try file.object("limits") { policy.limits = try PolicyDocument.Limits(&limits) }
        policy.mounts = try PolicyDocument.Mount.list(&file)
        if let base = try file.string("volume_base") {
            policy.volumeBase = try HostFolder.checkedToHoldVolumes(base, field: "volume_base")
        }
        policy.devices = try file.choices("devices", SandboxDevice.self)
        policy.capabilities = try file.choices("capabilities", SandboxCapability.self)
        if var seccomp = try file.object("seccomp") { policy.seccomp = try SystemCallPolicy(&seccomp) }
        if var landlock = try file.object("landlock") { policy.landlock = try LandlockRules(&landlock) }
        policy.network = try file.choice("network", PolicyDocument.Network.self) ?? policy.network
        if var readiness = try file.object("readiness") { policy.readiness = try self.readiness(&readiness) }
        policy.gracePeriodSeconds =
            try file.seconds("grace_period", in: 0...3600).map(UInt32.init) ?? policy.gracePeriodSeconds
        policy.lifetimeSeconds = try file.seconds("lifetime", in: 1...secondsMax)
        policy.idleSeconds = try file.seconds("idle", in: 1...secondsMax)
        try refuseContradictions(policy)
        return policy
    }

    /// What a connect request may ask for at most.
    private static let secondsMax = UInt64(SpawnConfig.secondsMax)

    private static func commandUser(_ user: inout JSONReader) throws(InvalidValue) -> PolicyDocument.CommandUser {
        var ids = PolicyDocument.CommandUser()
        ids.uid = try user.integer("uid", in: 1...65533).map(UInt32.init) ?? ids.uid
        ids.gid = try user.integer("gid", in: 1...65533).map(UInt32.init) ?? ids.gid
        try user.refuseUnknownFields()
        return ids
    }

    /// The kernel takes any bytes; programs do not, and a name with a slash or newline ends up in prompts and logs.
    private static func checkedHostname(_ name: String) throws(InvalidValue) -> String {
        let body = name.utf8.allSatisfy { ASCIIName.isLetterOrDigit($0) || $0 == UInt8(ascii: "-") }
        guard body, (1...63).contains(name.utf8.count), name.first != "-", name.last != "-" else {
            throw InvalidValue(
                field: "hostname",
                problem: "\"\(name.prefix(80))\" is not a host name; use 1 to 63 of a-z A-Z 0-9 and -, "
                    + "not beginning or ending with -")
        }
        return name
    }

    private static func readiness(_ fields: inout JSONReader) throws(InvalidValue) -> PolicyDocument.Readiness {
        var readiness = PolicyDocument.Readiness()
        readiness.port = try fields.integer("port", in: 1...65535).map(UInt16.init)
        readiness.path = try fields.string("path")
        readiness.timeoutSeconds =
            try fields.seconds("timeout", in: 1...86_400).map(UInt32.init) ?? readiness.timeoutSeconds
        try fields.refuseUnknownFields()
        // It becomes part of a request's first line: RFC 9112, 3.2.1.
        if let path = readiness.path {
            let isTarget = path.utf8.allSatisfy { (33...126).contains($0) && $0 != UInt8(ascii: "#") }
            guard path.hasPrefix("/"), isTarget, path.utf8.count <= 1024 else {
                throw InvalidValue(
                    field: "readiness.path",
                    problem:
                        "\"\(path.prefix(80))\" is not a request's path; write / and at most 1023 characters of ASCII "
                        + "without spaces and #")
            }
        }
        return readiness
    }

    private static func refuseContradictions(_ policy: PolicyDocument) throws(InvalidValue) {
        if let idle = policy.idleSeconds, let lifetime = policy.lifetimeSeconds, idle > lifetime {
            throw InvalidValue(
                field: "idle",
                problem: "\(TimeLength(seconds: idle).text) is never reached, since lifetime is "
                    + "\(TimeLength(seconds: lifetime).text); write no more than that")
        }
        if let port = policy.readiness.port { try requireListening(port, policy.landlock, reason: "readiness.port") }
    }

    /// A port that is asked for and may not be listened on would never answer.
    static func requireListening(
        _ port: UInt16, _ landlock: LandlockRules?, reason: String
    ) throws(InvalidValue) {
        guard let listen = landlock?.listenPorts, !listen.contains(port) else { return }
        throw InvalidValue(field: "landlock.listen", problem: "lacks \(port), which is \(reason); add it")
    }
}

/// Parses a document of this room, in which every field must be one that was asked for.
func parseDocument<Document>(
    _ text: [UInt8], subject: String, _ read: (inout JSONReader) throws(InvalidValue) -> Document
) throws(PolicyError) -> Document {
    guard text.count <= PolicyFile.bytesMax else {
        throw PolicyError(
            subject: subject, problem: "is \(text.count) bytes long; at most \(PolicyFile.bytesMax) are allowed")
    }
    let value: JSONValue
    do {
        value = try JSONValue(parsing: text)
    } catch {
        throw PolicyError(
            subject: subject, place: "line \(error.line), column \(error.column)", problem: error.problem)
    }
    do throws(InvalidValue) {
        var reader = try JSONReader(value)
        let document = try read(&reader)
        try reader.refuseUnknownFields()
        return document
    } catch {
        throw PolicyError(subject: subject, error)
    }
}

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
        if var user = try file.object("command_user") { policy.commandUser = try commandUser(&user) }
        if let hostname = try file.string("hostname") { policy.hostname = try checkedHostname(hostname) }
        if var limits = try file.object("limits") { policy.limits = try self.limits(&limits) }
        if var seccomp = try file.object("seccomp") { policy.seccomp = try systemCalls(&seccomp) }
        policy.network = try file.choice("network", PolicyDocument.Network.self) ?? policy.network
        if var readiness = try file.object("readiness") {
            policy.readinessTimeoutSeconds =
                try readiness.seconds("timeout", in: 1...86_400).map(UInt32.init) ?? policy.readinessTimeoutSeconds
            try readiness.refuseUnknownFields()
        }
        policy.gracePeriodSeconds =
            try file.seconds("grace_period", in: 0...3600).map(UInt32.init) ?? policy.gracePeriodSeconds
        policy.environment = try file.environment("environment") ?? policy.environment
        return policy
    }

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

    private static func limits(_ fields: inout JSONReader) throws(InvalidValue) -> PolicyDocument.Limits {
        var limits = PolicyDocument.Limits()
        // Below 4 MiB not even a shell starts; above 64 TiB no machine reaches.
        limits.memoryBytes =
            try fields.size("memory", in: 4 * ByteSize.mebibyte...64 * ByteSize.tebibyte) ?? limits.memoryBytes
        limits.swapBytes = try fields.size("swap", in: 0...64 * ByteSize.tebibyte) ?? limits.swapBytes
        limits.cpus = try fields.number("cpus", in: 0.01...1024) ?? limits.cpus
        limits.cpuPeriodMicroseconds =
            try fields.milliseconds("cpu_period", in: 1...1000).map { $0 * 1000 } ?? limits.cpuPeriodMicroseconds
        limits.pids = try fields.integer("pids", in: 1...4_194_304).map(UInt64.init) ?? limits.pids
        limits.cpuTimeSeconds = try fields.seconds("cpu_time", in: 1...31_536_000)
        // tmpfs takes a size or inode count of 0 for "unlimited", so 0 is no value here.
        limits.diskBytes =
            try fields.size("disk", in: 64 * ByteSize.kibibyte...64 * ByteSize.tebibyte) ?? limits.diskBytes
        limits.diskFiles = try fields.integer("disk_files", in: 16...1_000_000_000).map(UInt64.init) ?? limits.diskFiles
        limits.openFiles = try fields.integer("open_files", in: 16...1_048_576).map(UInt64.init) ?? limits.openFiles
        limits.sharedMemoryBytes =
            try fields.size("shared_memory", in: 4 * ByteSize.kibibyte...64 * ByteSize.tebibyte)
            ?? min(limits.sharedMemoryBytes, limits.memoryBytes)
        try fields.refuseUnknownFields()
        try refuseContradictions(limits)
        return limits
    }

    private static func refuseContradictions(_ limits: PolicyDocument.Limits) throws(InvalidValue) {
        guard limits.sharedMemoryBytes <= limits.memoryBytes else {
            throw InvalidValue(
                field: "limits.shared_memory",
                problem: "\(ByteSize(bytes: limits.sharedMemoryBytes).text) is more than limits.memory, "
                    + "\(ByteSize(bytes: limits.memoryBytes).text), which it counts towards")
        }
        // The least quota that cpu.max takes: min_cfs_quota_period in the kernel's scheduler.
        guard limits.cpuQuotaMicroseconds >= 1000 else {
            throw InvalidValue(
                field: "limits.cpus",
                problem: "\(limits.cpus) of a cpu_period of \(limits.cpuPeriodMicroseconds / 1000)ms is less than the "
                    + "1ms that the kernel can hand out; raise one of the two")
        }
    }

    private static func systemCalls(_ fields: inout JSONReader) throws(InvalidValue) -> SystemCallPolicy {
        var policy = SystemCallPolicy()
        policy.base = try fields.choice("base", SystemCallPolicy.Base.self) ?? policy.base
        policy.allow = try names("allow", &fields)
        policy.deny = try names("deny", &fields)
        try fields.refuseUnknownFields()
        if let both = policy.allow.intersection(policy.deny).min() {
            throw InvalidValue(
                field: "seccomp.deny", problem: "\"\(both)\" is in seccomp.allow too; take it out of one")
        }
        for name in policy.allow.sorted() {
            if let reason = SystemCallList.reasonNotToAllow(name) {
                throw InvalidValue(field: "seccomp.allow", problem: "\"\(name)\" \(reason)")
            }
        }
        if let needed = policy.deny.intersection(SystemCallList.indispensable).min() {
            throw InvalidValue(
                field: "seccomp.deny", problem: "\"\(needed)\" cannot be refused: without it no command starts and ends"
            )
        }
        return policy
    }

    private static func names(_ field: String, _ fields: inout JSONReader) throws(InvalidValue) -> Set<String> {
        var names: Set<String> = []
        for (index, name) in (try fields.strings(field) ?? []).enumerated() {
            let path = fields.pathOf("\(field)[\(index)]")
            guard SystemCallNumber.isKnown(name) else {
                throw InvalidValue(
                    field: path,
                    problem: "\"\(name.prefix(80))\" is not a system call that is known here; "
                        + "write its name as in section 2 of the manual, for example \"ptrace\"")
            }
            guard names.insert(name).inserted else {
                throw InvalidValue(field: path, problem: "\"\(name)\" stands twice; take one out")
            }
        }
        return names
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

public import Model

/// An image's `manifest.json`: what to run in it and where it listens.
public struct ImageManifest: Hashable, Sendable {
    /// The image's name, which is also its folder's.
    public var name: ImageName
    /// The command and its arguments, 1–256; the first is an absolute path inside the image.
    public var command: [String]
    /// The port that the command listens on inside, 1–65535.
    public var port: UInt16
    /// The command's environment, without the variables that Plane sets itself.
    public var environment: [String: String]
    /// Where the command starts: an absolute path inside the image.
    public var workingDirectory: String
    /// `sha256:` and 64 hexadecimal digits, of the tree and of what this manifest says of running it; nil for an image
    /// that somebody made by hand.
    public var digest: String?
    /// What it was made of, for people; nil when that is not known.
    public var source: String?

    /// - Parameters: as the properties say; the port is 8080 unless the image says otherwise.
    public init(
        name: ImageName, command: [String], port: UInt16 = 8080, environment: [String: String] = [:],
        workingDirectory: String = "/"
    ) {
        self.name = name
        self.command = command
        self.port = port
        self.environment = environment
        self.workingDirectory = workingDirectory
    }

    /// Reads a manifest.
    /// - Parameters:
    ///   - text: the file's content.
    ///   - name: the folder's name, which the manifest must agree with.
    /// - Throws: what is wrong with which field, and what is allowed there.
    public static func parse(_ text: [UInt8], name: ImageName) throws(PolicyError) -> ImageManifest {
        try parseDocument(text, subject: subject(name)) { (file) throws(InvalidValue) in
            guard let written = try file.string("name") else {
                throw InvalidValue(field: "name", problem: "is missing; write \"\(name)\"")
            }
            guard try ImageName(written, field: "name") == name else {
                throw InvalidValue(
                    field: "name", problem: "\"\(written)\" is not the folder's name; write \"\(name)\"")
            }
            guard let command = try file.command("command") else {
                throw InvalidValue(
                    field: "command", problem: "is missing; write the program and its arguments, [\"/bin/sh\"]")
            }
            var manifest = ImageManifest(
                name: name, command: command,
                port: try file.integer("port", in: 1...65535).map(UInt16.init) ?? 8080,
                environment: try file.environment("environment") ?? [:],
                workingDirectory: try file.absolutePath("working_directory") ?? "/")
            manifest.digest = try checkedDigest(try file.string("digest"))
            manifest.source = try file.string("source")
            return manifest
        }
    }

    /// Whether an image may set a variable of this name: one that a shell knows, and none that Plane sets itself.
    public static func mayName(variable name: String) -> Bool {
        ASCIIName.isVariable(name) && !Executable.reservedEnvironment.contains(name)
    }

    /// What the image's digest covers of the manifest: all but its name, so that a copy under another name has the same
    /// digest, and but where it came from.
    public var digestedText: [UInt8] {
        Array(JSONValue.object(runningMembers).text.utf8)
    }

    /// How messages name an image's manifest.
    static func subject(_ name: ImageName) -> String { "image \(name): manifest.json" }

    private static func checkedDigest(_ digest: String?) throws(InvalidValue) -> String? {
        guard let digest else { return nil }
        let digits = digest.utf8.dropFirst("sha256:".utf8.count)
        let isHexadecimal = digits.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
        guard digest.hasPrefix("sha256:"), digits.count == 64, isHexadecimal else {
            throw InvalidValue(
                field: "digest",
                problem:
                    "\"\(digest.prefix(80))\" is not sha256: and 64 hexadecimal digits; take it out, or make the image "
                    + "again")
        }
        return digest
    }

    /// The manifest as a JSON value with every field, for `plane image ls --json` and for writing one.
    public var json: JSONValue {
        var members = runningMembers
        members["name"] = .string(name.text)
        if let digest { members["digest"] = .string(digest) }
        if let source { members["source"] = .string(source) }
        return .object(members)
    }

    private var runningMembers: [String: JSONValue] {
        [
            "command": .array(command.map(JSONValue.string)),
            "port": .integer(Int64(port)),
            "environment": .object(environment.mapValues(JSONValue.string)),
            "working_directory": .string(workingDirectory),
        ]
    }
}

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
            return ImageManifest(
                name: name, command: command,
                port: try file.integer("port", in: 1...65535).map(UInt16.init) ?? 8080,
                environment: try file.environment("environment") ?? [:],
                workingDirectory: try file.absolutePath("working_directory") ?? "/")
        }
    }

    /// How messages name an image's manifest.
    static func subject(_ name: ImageName) -> String { "image \(name): manifest.json" }

    /// The manifest as a JSON value with every field, for `plane image ls --json` and for writing one.
    public var json: JSONValue {
        .object([
            "name": .string(name.text),
            "command": .array(command.map(JSONValue.string)),
            "port": .integer(Int64(port)),
            "environment": .object(environment.mapValues(JSONValue.string)),
            "working_directory": .string(workingDirectory),
        ])
    }
}

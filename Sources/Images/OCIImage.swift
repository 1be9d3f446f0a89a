import Glibc
import Linux
import Model

/// The image that an OCI image layout holds, as its JSON documents tell. OCI image specification 1.0: image-layout.md,
/// manifest.md, config.md.
public struct OCIImage: Equatable, Sendable {
    /// One layer's archive.
    public struct Layer: Equatable, Sendable {
        /// `sha256:` and 64 hexadecimal digits.
        public let digest: String
        /// Where the archive is.
        public let path: String
    }

    /// From the lowest to the topmost.
    public let layers: [Layer]
    /// What the image says of itself.
    public let configuration: Configuration

    /// What an image says of itself.
    public struct Configuration: Equatable, Sendable {
        /// `amd64`, `arm64` and so on, as Go names them; empty when it is not said.
        public var architecture = ""
        /// `linux`; empty when it is not said.
        public var system = ""
        /// Entrypoint and Cmd, one behind the other.
        public var command: [String] = []
        /// `NAME=VALUE`s.
        public var environment: [String] = []
        /// Empty when it is not said.
        public var workingDirectory = ""
        /// TCP ports that it says it listens on, sorted.
        public var ports: [UInt16] = []
        /// User and group, by name or number; empty when it is not said.
        public var user = ""
        /// Folders that it wants volumes for, sorted.
        public var volumes: [String] = []
    }

    /// Reads a layout that holds one image.
    /// - Throws: `ImageRefusal` when the documents are not as the specification says.
    public init(layout: String) throws {
        let index = try Self.document("\(layout)/index.json", "index.json")
        let manifests = try Self.descriptors(index, "manifests", of: "index.json")
        guard manifests.count == 1 else {
            throw ImageRefusal("index.json names \(manifests.count) images; exactly one is expected")
        }
        let manifest = try Self.document(Self.blob(manifests[0], layout), "the manifest")
        var reader = try Self.reading("the manifest") { () throws(InvalidValue) in try JSONReader(manifest) }
        let config = try Self.reading("the manifest") { () throws(InvalidValue) in
            guard let digest = try reader.object("config").map(Self.digest) else {
                throw InvalidValue(field: "config", problem: "is missing")
            }
            return digest
        }
        layers = try Self.descriptors(manifest, "layers", of: "the manifest").map { digest in
            Layer(digest: digest, path: Self.blob(digest, layout))
        }
        let text = try Self.document(Self.blob(config, layout), "the configuration")
        configuration = try Self.reading("the configuration") { () throws(InvalidValue) in try Configuration(text) }
    }

    private static func blob(_ digest: String, _ layout: String) -> String {
        "\(layout)/blobs/sha256/\(digest.dropFirst("sha256:".count))"
    }

    private static func document(_ path: String, _ name: String) throws -> JSONValue {
        let text: [UInt8]
        do throws(SystemError) { text = try File.read(path, limit: 4 << 20) } catch {
            throw ImageRefusal("\(name) of the image cannot be read: \(error)")
        }
        do throws(JSONSyntaxError) { return try JSONValue(parsing: text) } catch {
            throw ImageRefusal("\(name) of the image: \(error)")
        }
    }

    private static func reading<Value>(
        _ name: String, _ body: () throws(InvalidValue) -> Value
    ) throws(ImageRefusal) -> Value {
        do throws(InvalidValue) { return try body() } catch {
            throw ImageRefusal("\(name) of the image: \(error.field) \(error.problem)")
        }
    }

    private static func descriptors(_ value: JSONValue, _ field: String, of name: String) throws -> [String] {
        try reading(name) { () throws(InvalidValue) in
            var reader = try JSONReader(value)
            guard case .array(let items) = reader.value(field) else {
                throw InvalidValue(field: field, problem: "is no array")
            }
            guard items.count <= 512 else { throw InvalidValue(field: field, problem: "has \(items.count) entries") }
            var digests: [String] = []
            for (index, item) in items.enumerated() {
                digests.append(try digest(JSONReader(item, path: "\(field)[\(index)]")))
            }
            return digests
        }
    }

    /// A descriptor's digest, which becomes a file's name.
    private static func digest(_ descriptor: JSONReader) throws(InvalidValue) -> String {
        var descriptor = descriptor
        let text = try descriptor.string("digest") ?? ""
        guard isDigest(text) else {
            throw InvalidValue(field: descriptor.pathOf("digest"), problem: "is not sha256: and 64 hexadecimal digits")
        }
        return text
    }

    private static func isDigest(_ text: String) -> Bool {
        let digits = text.utf8.dropFirst("sha256:".count)
        return text.hasPrefix("sha256:") && digits.count == 64
            && digits.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
    }
}

extension OCIImage.Configuration {
    /// Reads the configuration's document.
    init(_ document: JSONValue) throws(InvalidValue) {
        var reader = try JSONReader(document)
        architecture = try reader.string("architecture") ?? ""
        system = try reader.string("os") ?? ""
        guard var config = try reader.object("config") else { return }
        command = try (config.strings("Entrypoint") ?? []) + (config.strings("Cmd") ?? [])
        environment = try config.strings("Env") ?? []
        workingDirectory = try config.string("WorkingDir") ?? ""
        user = try config.string("User") ?? ""
        volumes = (config.value("Volumes")?.members ?? [:]).keys.sorted()
        for name in (config.value("ExposedPorts")?.members ?? [:]).keys {
            let parts = name.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2, parts[1] != "tcp" { continue }
            guard let port = UInt16(parts[0]), port > 0 else {
                throw InvalidValue(field: "config.ExposedPorts", problem: "\"\(name.prefix(40))\" is no port")
            }
            ports.append(port)
        }
        ports.sort()
    }
}

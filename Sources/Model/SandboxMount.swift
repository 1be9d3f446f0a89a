/// A folder or file of the host in the sandbox's file system. Always without setuid and devices.
public struct SandboxMount: Hashable, Sendable {
    /// Where it comes from.
    public enum Source: Hashable, Sendable {
        /// A file or folder of the host at an absolute path, shown read-only.
        case readOnly(path: String)
        /// The folder of this name below the base, an absolute path of a folder that only root can write; made when it
        /// is missing, kept when the sandbox has ended, writable. On disk its files bear the ids that they have inside.
        case volume(base: String, name: String)
    }

    /// Where it comes from.
    public var source: Source
    /// Absolute path inside, where it covers what the image has.
    public var target: String

    /// - Parameters: as the properties say.
    public init(source: Source, target: String) {
        self.source = source
        self.target = target
    }
}

extension SandboxMount {
    func encode(into writer: inout WireWriter) {
        switch source {
        case .readOnly(let path):
            writer.write(UInt8(0))
            writer.write(path)
        case .volume(let base, let name):
            writer.write(UInt8(1))
            writer.write(base)
            writer.write(name)
        }
        writer.write(target)
    }

    init(from reader: inout WireReader) throws(WireError) {
        switch try reader.read(UInt8.self) {
        case 0: source = .readOnly(path: try reader.readText(limit: 4096))
        case 1:
            source = .volume(base: try reader.readText(limit: 4096), name: try reader.readText(limit: 255))
        case let tag: throw WireError("source \(tag) of a mount does not exist")
        }
        target = try reader.readText(limit: 4096)
        guard target.hasPrefix("/"), isSound else { throw WireError("a mount of a plan has a path that is not sound") }
    }

    private var isSound: Bool {
        switch source {
        case .readOnly(let path): path.hasPrefix("/")
        case .volume(let base, let name):
            base.hasPrefix("/") && !name.isEmpty && !name.utf8.contains(UInt8(ascii: "/")) && !name.hasPrefix(".")
        }
    }
}

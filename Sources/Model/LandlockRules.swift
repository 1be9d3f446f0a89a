/// What a command may reach, of what its file system and its owners allow anyway. landlock(7).
///
/// Paths are absolute inside the sandbox and hold for all below; one that the image lacks keeps the sandbox from starting.
public struct LandlockRules: Hashable, Sendable {
    /// Where files may be read and folders listed.
    public var readable: [String] = []
    /// Where files may be read, written, made and removed.
    public var writable: [String] = []
    /// Where programs may be run and libraries be loaded; reading is part of it.
    public var executable: [String] = []
    /// TCP ports that may be listened on; nil is any. Needs Linux 6.7.
    public var listenPorts: [UInt16]?
    /// TCP ports that may be connected to; nil is any. Needs Linux 6.7.
    public var connectPorts: [UInt16]?

    /// Nothing may be reached of the file system.
    public init() {}
}

extension LandlockRules {
    func encode(into writer: inout WireWriter) {
        writer.write(readable)
        writer.write(writable)
        writer.write(executable)
        for ports in [listenPorts, connectPorts] {
            writer.write(UInt8(ports == nil ? 0 : 1))
            guard let ports else { continue }
            writer.write(UInt32(ports.count))
            for port in ports { writer.write(port) }
        }
    }

    init(from reader: inout WireReader) throws(WireError) {
        readable = try reader.readTexts(limit: 256, each: 4096)
        writable = try reader.readTexts(limit: 256, each: 4096)
        executable = try reader.readTexts(limit: 256, each: 4096)
        listenPorts = try Self.ports(&reader)
        connectPorts = try Self.ports(&reader)
    }

    private static func ports(_ reader: inout WireReader) throws(WireError) -> [UInt16]? {
        guard try reader.read(UInt8.self) != 0 else { return nil }
        var ports: [UInt16] = []
        for _ in 0..<(try reader.readCount(limit: 256)) { ports.append(try reader.read(UInt16.self)) }
        return ports
    }
}

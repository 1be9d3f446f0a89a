import CLinux
import Glibc

/// A set of rules that a process can put on itself and on all that it starts, and that nobody takes away again.
/// landlock(7), Linux 5.13.
public struct LandlockRuleset: ~Copyable {
    /// What files may be used for. LANDLOCK_ACCESS_FS_*, linux/landlock.h.
    public struct FileAccess: OptionSet, Sendable {
        public let rawValue: UInt64
        public init(rawValue: UInt64) { self.rawValue = rawValue }

        /// Run programs.
        public static let execute = FileAccess(rawValue: 1 << 0)
        /// Open for reading; list folders.
        public static let read = FileAccess(rawValue: 1 << 2 | 1 << 3)
        /// Open for writing and truncate; make and remove files, folders, links, sockets and pipes; move them about.
        public static let write = FileAccess(rawValue: 1 << 1 | 0x3f << 4 & ~(1 << 6) | 0x3 << 9 | 1 << 12 | 1 << 14)
            .union(.refer)
        /// Make device nodes.
        public static let makeDevices = FileAccess(rawValue: 1 << 6 | 1 << 11)
        /// Link and rename between folders; refused by every ruleset that does not allow it. ABI 2.
        public static let refer = FileAccess(rawValue: 1 << 13)
        /// ioctl(2) of devices. ABI 5.
        public static let controlDevices = FileAccess(rawValue: 1 << 15)

        /// What can be said of a file that is no folder.
        static let ofFiles = FileAccess(rawValue: 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15)

        /// Those that a kernel knows.
        func known(to version: Int) -> FileAccess {
            let count: UInt64 = version >= 5 ? 16 : version >= 3 ? 15 : version >= 2 ? 14 : 13
            return FileAccess(rawValue: rawValue & (1 << count - 1))
        }
    }

    /// What TCP ports may be used for. LANDLOCK_ACCESS_NET_*, ABI 4, Linux 6.7.
    public struct PortAccess: OptionSet, Sendable {
        public let rawValue: UInt64
        public init(rawValue: UInt64) { self.rawValue = rawValue }

        /// bind(2).
        public static let listen = PortAccess(rawValue: 1)
        /// connect(2).
        public static let connect = PortAccess(rawValue: 2)
    }

    /// The kernel's ABI version; 0 where it has no Landlock or was started without it.
    public static func version() -> Int { max(0, plane_landlock_abi()) }

    private let descriptor: Descriptor
    private let version: Int
    private let handled: FileAccess

    /// What is handled and not allowed by a rule is refused. Where the kernel knows scopes (ABI 6), abstract Unix sockets
    /// and processes outside cannot be reached either.
    /// - Parameters:
    ///   - version: as `version()` said, at least 1.
    ///   - files: handled as far as this kernel knows them.
    ///   - ports: empty below version 4.
    public init(version: Int, files: FileAccess, ports: PortAccess) throws(SystemError) {
        self.version = version
        handled = files.known(to: version)
        let scopes: UInt64 = version >= 6 ? 3 : 0
        var attributes = plane_landlock_ruleset(
            handled_files: handled.rawValue, handled_ports: ports.rawValue, scoped: scopes)
        let bytes = version >= 6 ? 24 : version >= 4 ? 16 : 8
        let made = plane_landlock_create(&attributes, bytes)
        descriptor = Descriptor(owning: Int32(try check("landlock_create_ruleset", made)))
    }

    /// Allows something for a file, or for a folder and all below it.
    public borrowing func allow(_ access: FileAccess, below path: String) throws(SystemError) {
        let place = try File.open(path, File.pathOnly)
        let isFolder = try File.status(place).kind == .directory
        let access = isFolder ? access : access.intersection(.ofFiles)
        let bits = access.intersection(handled).rawValue
        if bits == 0 { return }
        try check("landlock_add_rule \(path)", plane_landlock_add_path(descriptor.raw, bits, place.raw))
    }

    /// Allows something for a TCP port.
    public borrowing func allow(_ access: PortAccess, port: UInt16) throws(SystemError) {
        let added = plane_landlock_add_port(descriptor.raw, access.rawValue, UInt64(port))
        try check("landlock_add_rule port \(port)", added)
    }

    /// Puts the rules on the calling thread, which must have no_new_privs, and on all that it starts.
    public borrowing func restrictSelf() throws(SystemError) {
        try check("landlock_restrict_self", plane_landlock_restrict(descriptor.raw))
    }
}

import CLinux
import Glibc

/// Opening and reading files by path or below a folder. open(2), openat2(2).
public enum File {
    /// O_PATH: refers to a place in the tree without opening what is there. open(2); absent from the Glibc module.
    public static let pathOnly: Int32 = 0o10_000_000

    /// How openat2(2) may resolve a path below a folder.
    public enum Resolution: Sendable {
        /// RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS: the folder is the root; `..` and links stay in it.
        case inRoot
        /// RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS: no link at all, nothing above.
        case beneathWithoutLinks

        var bits: UInt64 {
            switch self {
            case .inRoot: 0x10 | 0x02
            case .beneathWithoutLinks: 0x08 | 0x04 | 0x02
            }
        }
    }

    /// Opens a path, closed on exec. - Parameter flags: O_* of open(2); O_CLOEXEC is added.
    public static func open(_ path: String, _ flags: Int32, mode: UInt32 = 0) throws(SystemError) -> Descriptor {
        let fd = retrying { result(Glibc.open(path, flags | O_CLOEXEC, mode)) }
        return Descriptor(owning: Int32(try check("open \(path)", fd)))
    }

    /// Opens a path below a folder with bounded resolution. openat2(2), Linux 5.6.
    public static func open(
        _ path: String, below directory: borrowing Descriptor, _ flags: Int32, mode: UInt32 = 0,
        _ resolution: Resolution
    ) throws(SystemError) -> Descriptor {
        let all = UInt64(UInt32(bitPattern: flags | O_CLOEXEC))
        let fd = directory.raw
        let opened = retrying { plane_openat2(fd, path, all, UInt64(mode), resolution.bits) }
        return Descriptor(owning: Int32(try check("openat2 \(path)", opened)))
    }

    /// A whole small file. - Parameter limit: a longer one is an error (EFBIG).
    public static func read(_ path: String, limit: Int = 1 << 20) throws(SystemError) -> [UInt8] {
        try open(path, O_RDONLY).readAll(limit: limit)
    }

    /// A whole small text file, such as those of /proc and cgroups.
    public static func readText(_ path: String, limit: Int = 1 << 20) throws(SystemError) -> String {
        String(decoding: try read(path, limit: limit), as: UTF8.self)
    }

    /// Writes a control file (cgroup, /proc) in one write(2), as the kernel wants it.
    public static func write(_ text: String, to path: String) throws(SystemError) {
        let file = try open(path, O_WRONLY)
        let bytes = Array(text.utf8)
        let fd = file.raw
        let count = bytes.withUnsafeBytes { part in retrying { result(Glibc.write(fd, part.baseAddress, part.count)) } }
        try check("write \(path)", count)
    }

    /// What a path is, without following a last link; nil when there is nothing. lstat(2).
    public static func status(_ path: String) -> FileStatus? {
        var information = stat()
        return lstat(path, &information) == 0 ? FileStatus(information) : nil
    }

    /// What an open descriptor is. fstat(2).
    public static func status(_ descriptor: borrowing Descriptor) throws(SystemError) -> FileStatus {
        var information = stat()
        try check("fstat", result(fstat(descriptor.raw, &information)))
        return FileStatus(information)
    }

    /// Makes a folder; one that exists already is fine. mkdir(2).
    public static func makeDirectory(_ path: String, mode: UInt32) throws(SystemError) {
        let outcome = result(mkdir(path, mode))
        if outcome != -Int(EEXIST) { try check("mkdir \(path)", outcome) }
    }

    /// Makes a folder and those above it.
    public static func makeDirectories(_ path: String, mode: UInt32) throws(SystemError) {
        var end = path.startIndex
        while end < path.endIndex {
            end = path[path.index(after: end)...].firstIndex(of: "/") ?? path.endIndex
            try makeDirectory(String(path[..<end]), mode: mode)
        }
    }

    /// Names in a folder, sorted, without `.` and `..`. readdir(3).
    public static func names(in path: String) throws(SystemError) -> [String] {
        guard let directory = opendir(path) else { throw SystemError(errno, "opendir \(path)") }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Takes an exclusive lock of bytes of an open file, which need not exist, for as long as the descriptor lives.
    /// fcntl(2), F_OFD_SETLK. - Returns: false when somebody else holds one of them.
    public static func lock(_ file: borrowing Descriptor, bytes: Range<UInt64>) throws(SystemError) -> Bool {
        let outcome = plane_lock_range(file.raw, bytes.lowerBound, UInt64(bytes.count))
        if outcome == -Int(EAGAIN) || outcome == -Int(EACCES) { return false }
        try check("fcntl F_OFD_SETLK", outcome)
        return true
    }

    /// Takes an exclusive lock for as long as the descriptor lives. flock(2).
    /// - Returns: nil when somebody else holds it.
    public static func lock(_ path: String) throws(SystemError) -> Descriptor? {
        let file = try open(path, O_RDWR | O_CREAT, mode: 0o600)
        let outcome = result(flock(file.raw, LOCK_EX | LOCK_NB))
        if outcome == -Int(EWOULDBLOCK) { return nil }
        try check("flock \(path)", outcome)
        return file
    }
}

/// What stat(2) says of a file.
public struct FileStatus: Equatable, Sendable {
    /// The kind of a file.
    public enum Kind: Equatable, Sendable {
        case regular
        case directory
        case link
        case characterDevice(major: UInt32, minor: UInt32)
        case other
    }

    /// What it is.
    public let kind: Kind
    /// Its owner.
    public let userID: UInt32
    /// Its permission bits, 0–0o7777.
    public let mode: UInt32
    /// Its inode number.
    public let inode: UInt64
    /// Its device number, which with the inode tells one file from all others.
    public let device: UInt64
    /// Bytes.
    public let size: Int64
    /// Nanoseconds since 1970 of its last change.
    public let modified: Int64

    init(_ s: stat) {
        switch s.st_mode & S_IFMT {
        case S_IFREG: kind = .regular
        case S_IFDIR: kind = .directory
        case S_IFLNK: kind = .link
        case S_IFCHR: kind = FileStatus.characterDevice(UInt64(s.st_rdev))
        default: kind = .other
        }
        userID = s.st_uid
        mode = s.st_mode & 0o7777
        inode = UInt64(s.st_ino)
        device = UInt64(s.st_dev)
        size = Int64(s.st_size)
        modified = Int64(s.st_mtim.tv_sec) * 1_000_000_000 + Int64(s.st_mtim.tv_nsec)
    }

    /// Splits a device number as makedev(3) of Linux packs it.
    private static func characterDevice(_ number: UInt64) -> Kind {
        let major = number >> 8 & 0xfff | number >> 32 & 0xffff_f000
        let minor = number & 0xff | number >> 12 & 0xffff_ff00
        return .characterDevice(major: UInt32(truncatingIfNeeded: major), minor: UInt32(truncatingIfNeeded: minor))
    }
}

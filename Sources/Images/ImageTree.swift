import CLinux
import Glibc
import Linux

/// The tree of an image: the pass over all of it that makes it what a sandbox may be given, and tells its digest.
///
/// A tree holds folders, regular files and links, owned by users 0–65535. Device nodes, fifos and sockets are refused and
/// not removed: whoever made the image meant something by them, which a sandbox would not give. setuid and setgid bits
/// and extended attributes, file capabilities and access lists among them, are taken away: every distribution's images
/// have some, no sandbox heeds them, and so the digest covers all that is left. Marks of overlayfs are refused: they would
/// make the sandbox's root another tree than the one that was checked.
public struct ImageTree {
    private let path: String

    /// - Parameter path: absolute; the tree's own folder.
    public init(path: String) { self.path = path }

    /// What a pass found.
    public struct Report: Equatable, Sendable {
        /// How much is in it.
        public var size = TreeSize()
        /// What was changed, a line for each kind of change.
        public var changes: [String] = []
    }

    /// Folders that a sandbox mounts on, or expects: a link there could lead out of the image.
    public static let realFolders = ["dev", "etc", "proc", "sys", "tmp"]

    /// Makes the tree fit for a sandbox; changes nothing if it is refused.
    /// - Parameters:
    ///   - manifest: the text that the digest begins with.
    ///   - digest: takes the canonical bytes; stays the caller's.
    ///   - limits: what is beyond them is refused.
    ///   - watch: called at each entry.
    public func normalise(
        manifest: [UInt8], digest: Int32, _ limits: ImageLimits, _ watch: @escaping WorkWatch
    ) throws -> Report {
        let root = try openRoot()
        guard fchown(root.raw, 0, 0) == 0, fchmod(root.raw, 0o755) == 0 else {
            throw SystemError(errno, "chown \(path)")
        }
        try makeFolders(in: root)
        var pass = try TreePass(.normalising, root, manifest: manifest, digest: digest, limits, watch)
        let report = try run(&pass)
        try pass.applyChanges(below: root)
        return report
    }

    /// Writes the canonical bytes of the tree as it is, and changes nothing.
    /// - Parameters: as of `normalise`.
    public func verify(manifest: [UInt8], digest: Int32, _ watch: @escaping WorkWatch) throws -> Report {
        let root = try openRoot()
        var pass = try TreePass(.verifying, root, manifest: manifest, digest: digest, .none, watch)
        return try run(&pass)
    }

    private func run(_ pass: inout TreePass) throws -> Report {
        do {
            try FileTree(path: path).walk(&pass)
        } catch {
            if let refusal = pass.refusal { throw refusal }
            throw error
        }
        return try pass.finish()
    }

    private func openRoot() throws(SystemError) -> Descriptor {
        try File.open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
    }

    /// Before the walk, so that they are part of it. What is there already is judged there.
    private func makeFolders(in root: borrowing Descriptor) throws(SystemError) {
        for name in Self.realFolders where name != "etc" {
            if mkdirat(root.raw, name, 0o755) != 0 {
                if errno == EEXIST { continue }
                throw SystemError(errno, "mkdirat \(name)")
            }
            let mode: mode_t = name == "tmp" ? 0o1777 : 0o755
            guard fchmodat(root.raw, name, mode, 0) == 0 else { throw SystemError(errno, "fchmodat \(name)") }
        }
    }
}

/// The walk.
private struct TreePass: TreeVisitor {
    enum Purpose { case normalising, verifying }

    private let purpose: Purpose
    private let device: dev_t
    private let limits: ImageLimits
    private let watch: WorkWatch
    private let digest: DigestBox
    private var report = ImageTree.Report()
    private var problems: [String] = []
    /// Regular files with several names: their inode, how many names it has and how many were seen.
    private var shared: [ino_t: (path: FileName, links: Int, seen: Int)] = [:]
    private var privileged: [FileName] = []
    private var attributed: [FileName] = []
    private(set) var refusal: ImageRefusal?

    init(
        _ purpose: Purpose, _ root: borrowing Descriptor, manifest: [UInt8], digest output: Int32,
        _ limits: ImageLimits, _ watch: @escaping WorkWatch
    ) throws {
        self.purpose = purpose
        self.limits = limits
        self.watch = watch
        var status = stat()
        guard fstat(root.raw, &status) == 0 else { throw SystemError(errno, "fstat") }
        device = status.st_dev
        digest = DigestBox(TreeDigest(to: output, manifest: manifest))
        try digest.value.folder(FileName([]), status, mode: status.st_mode & 0o7777)
        try noteAttributes(of: FileName(Array(".".utf8)), in: root.raw, path: FileName([]))
    }

    /// The digest's state is large and has one owner.
    private final class DigestBox {
        var value: TreeDigest
        init(_ value: consuming TreeDigest) { self.value = value }
    }

    mutating func visit(_ entry: TreeEntry) throws(SystemError) -> TreeStep {
        report.size.entries += 1
        if entry.kind == S_IFREG { report.size.bytes += Int64(entry.status.st_size) }
        if let excess = limits.excess(of: report.size) {
            problems.append(excess)
            return .stop
        }
        try look()
        judge(entry)
        guard problems.count < 1000, entry.status.st_dev == device else { return .stop }
        try noteAttributes(of: entry.name, in: entry.folder, path: entry.path)
        let mode = keptMode(entry)
        switch entry.kind {
        case S_IFDIR:
            try digest.value.folder(entry.path, entry.status, mode: mode)
            return .enter
        case S_IFLNK:
            try digest.value.link(entry.path, entry.status, target: try target(of: entry))
        case S_IFREG where problems.isEmpty:
            try takeContent(entry, mode: mode)
        default: break  // What is refused is not read.
        }
        return .passOver
    }

    func leave(_ name: FileName, in parent: Int32) {}

    /// Sentences about what no image may hold.
    private mutating func judge(_ entry: TreeEntry) {
        let path = entry.path
        switch entry.kind {
        case S_IFDIR, S_IFREG, S_IFLNK: break
        case S_IFCHR, S_IFBLK:
            problems.append("/\(path) is a device node; take it out: a sandbox has its own /dev and opens no other")
        case S_IFIFO: problems.append("/\(path) is a fifo; an image holds only files, folders and links")
        case S_IFSOCK: problems.append("/\(path) is a socket; an image holds only files, folders and links")
        default: problems.append("/\(path) is of an unknown kind")
        }
        if entry.kind != S_IFDIR, let name = ImageTree.realFolders.first(where: { Array($0.utf8) == path.bytes }) {
            problems.append("/\(name) is \(entry.kind == S_IFLNK ? "a link" : "no folder"); it must be a real folder")
        }
        if entry.status.st_uid > 65_535 || entry.status.st_gid > 65_535 {
            problems.append(
                "/\(path) belongs to \(entry.status.st_uid):\(entry.status.st_gid); ids in an image end at 65535")
        }
        if entry.status.st_dev != device {
            problems.append("something is mounted on /\(path); unmount it")
        }
        if path.bytes.count > 4000 {
            problems.append("a path is \(path.bytes.count) bytes long; at most 4000 are allowed: /\(path)")
        }
        if entry.kind == S_IFREG, entry.status.st_nlink > 1 {
            shared[entry.status.st_ino, default: (path, Int(entry.status.st_nlink), 0)].seen += 1
        }
    }

    /// The permission bits that stay.
    private mutating func keptMode(_ entry: TreeEntry) -> mode_t {
        let mode = entry.status.st_mode & 0o7777
        guard purpose == .normalising, entry.kind != S_IFLNK, mode & 0o6000 != 0 else { return mode }
        privileged.append(entry.path)
        return mode & ~0o6000
    }

    /// Names of attributes that the host's own security modules give to every file are not the image's.
    private mutating func noteAttributes(of name: FileName, in folder: Int32, path: FileName) throws(SystemError) {
        let attributes = try ExtendedAttributes.names(of: name, in: folder)
        if attributes.isEmpty { return }
        if let mark = attributes.first(where: ExtendedAttributes.isOverlayMark) {
            problems.append(
                "/\(path) has the attribute \(FileName(Array(mark.utf8))), a mark of overlayfs, which would change what a "
                    + "sandbox sees; build the image elsewhere than in an overlay's layer")
        } else {
            attributed.append(path)
        }
    }

    private func target(of entry: TreeEntry) throws(SystemError) -> [UInt8] {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = entry.name.withCString { readlinkat(entry.folder, $0, &buffer, buffer.count) }
        guard count >= 0 else { throw SystemError(errno, "readlinkat \(entry.path)") }
        return buffer[..<count].map(UInt8.init(bitPattern:))
    }

    private mutating func takeContent(_ entry: TreeEntry, mode: mode_t) throws(SystemError) {
        let opened = entry.name.withCString { openat(entry.folder, $0, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) }
        guard opened >= 0 else { throw SystemError(errno, "open \(entry.path)") }
        let file = Descriptor(owning: opened)
        var status = stat()
        guard fstat(opened, &status) == 0, status.st_ino == entry.status.st_ino, status.st_dev == device else {
            throw SystemError(ESTALE, "\(entry.path) was exchanged meanwhile")
        }
        var failure: ImageRefusal?
        let size = report.size
        let watch = watch
        defer { if let failure { refusal = failure } }
        try digest.value.file(entry.path, status, mode: mode, content: file) { (_) throws(SystemError) in
            do throws(ImageRefusal) { try watch(size) } catch {
                failure = error
                throw SystemError(ECANCELED, "walk")
            }
        }
    }

    private mutating func look() throws(SystemError) {
        do throws(ImageRefusal) { try watch(report.size) } catch {
            refusal = error
            throw SystemError(ECANCELED, "walk")
        }
    }

    mutating func finish() throws -> ImageTree.Report {
        for file in shared.values.sorted(by: { $0.path < $1.path }) where file.seen != file.links {
            problems.append(
                "/\(file.path) is a hard link to a file outside of the image, which would change with it; copy it instead"
            )
        }
        if purpose == .verifying, let path = attributed.first {
            problems.append("/\(path) has extended attributes, which no finished image has")
        }
        guard problems.isEmpty else { throw ImageRefusal.list(problems) }
        try digest.value.finish()
        if purpose == .normalising {
            tell("setuid or setgid bit", privileged)
            tell("extended attribute", attributed)
        }
        return report
    }

    private mutating func tell(_ what: String, _ paths: [FileName]) {
        guard let first = paths.first else { return }
        let place = paths.count == 1 ? "from /\(first)" : "from \(paths.count) entries, such as /\(first)"
        report.changes.append("\(what) taken \(place)")
    }

    /// After the whole tree was found good: a file with a name outside of it would be changed there too.
    func applyChanges(below root: borrowing Descriptor) throws(SystemError) {
        for path in attributed {
            let (folder, name) = path.split()
            let parent = try Self.open(folder, below: root, O_RDONLY | O_DIRECTORY)
            try ExtendedAttributes.remove(from: name, in: parent.raw)
        }
        for path in privileged {
            let file = try Self.open(path, below: root, O_RDONLY | O_NONBLOCK)
            var status = stat()
            guard fstat(file.raw, &status) == 0, fchmod(file.raw, status.st_mode & 0o1777) == 0 else {
                throw SystemError(errno, "fchmod \(path)")
            }
        }
    }

    /// Opens what is at a path below a folder, through no link. openat2(2) with RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS and
    /// RESOLVE_NO_XDEV.
    private static func open(
        _ path: FileName, below root: borrowing Descriptor, _ flags: Int32
    ) throws(SystemError) -> Descriptor {
        let folder = root.raw
        let opened = path.withCString {
            plane_openat2(folder, $0, UInt64(flags | O_CLOEXEC), 0, 0x08 | 0x04 | 0x02 | 0x01)
        }
        guard opened >= 0 else { throw SystemError(Int32(-opened), "openat2 \(path)") }
        return Descriptor(owning: Int32(opened))
    }
}

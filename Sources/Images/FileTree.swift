public import Glibc
public import Linux

/// A folder with all that is below it. An image holds folders of users who may exist on the host too, so every step down
/// goes by descriptor and never through a link: nobody can exchange a folder under root's hands. However deep it is, two
/// folders at most are open at a time.
public struct FileTree {
    /// Where it is.
    public let path: String

    /// - Parameter path: of the folder; its last part may not be a link.
    public init(path: String) { self.path = path }

    /// Bytes of all regular files; what cannot be read counts as nothing.
    public func byteCount() -> Int64 { size().bytes }

    /// Entries below it, and the bytes of its regular files. What goes away meanwhile counts as nothing.
    public func size() -> TreeSize {
        var counter = SizeCounter()
        try? walk(&counter)
        return counter.size
    }

    /// Deletes all of it; a tree that is not there is fine.
    public func remove() throws(SystemError) {
        var remover = TreeRemover()
        do {
            try walk(&remover)
        } catch {
            if error.code == ENOENT { return }
            throw SystemError(error.code, "remove \(path): \(error.call)")
        }
        guard rmdir(path) == 0 || errno == ENOENT else { throw SystemError(errno, "remove \(path)") }
    }

    /// Goes through the tree, depth first, each folder's entries in the order of their names' bytes.
    public func walk(_ visitor: inout some TreeVisitor) throws(SystemError) {
        var folder = try Self.openFolder(AT_FDCWD, FileName(Array(path.utf8)))
        var levels = [try Level(folder, name: FileName([]))]
        var place: [UInt8] = []
        while let name = levels[levels.count - 1].waiting.popLast() {
            try step(&visitor, name, &folder, &levels, &place)
            while levels[levels.count - 1].waiting.isEmpty, levels.count > 1 {
                try Self.goUp(&visitor, &folder, &levels, &place)
            }
        }
    }

    private func step(
        _ visitor: inout some TreeVisitor, _ name: FileName, _ folder: inout Descriptor, _ levels: inout [Level],
        _ place: inout [UInt8]
    ) throws(SystemError) {
        var status = stat()
        let parent = folder.raw
        guard name.withCString({ fstatat(parent, $0, &status, AT_SYMLINK_NOFOLLOW) }) == 0 else {
            if errno == ENOENT { return }
            throw SystemError(errno, "fstatat \(name)")
        }
        let path = place.isEmpty ? name.bytes : place + [UInt8(ascii: "/")] + name.bytes
        let entry = TreeEntry(folder: parent, name: name, path: FileName(path), status: status)
        switch try visitor.visit(entry) {
        case .passOver: return
        case .stop:
            for index in levels.indices { levels[index].waiting = [] }
            levels.removeSubrange(1...)
        case .enter:
            let below = try Self.openFolder(parent, name)
            let level = try Level(below, name: name)
            guard level.isSame(as: status) else { throw SystemError(ESTALE, "\(name) was exchanged meanwhile") }
            folder = below
            levels.append(level)
            place = path
        }
    }

    private static func goUp(
        _ visitor: inout some TreeVisitor, _ folder: inout Descriptor, _ levels: inout [Level], _ place: inout [UInt8]
    ) throws(SystemError) {
        let left = levels.removeLast()
        let above = try openFolder(folder.raw, FileName(Array("..".utf8)))
        guard levels[levels.count - 1].isSame(as: try statusOf(above)) else {
            throw SystemError(ESTALE, "\(left.name) was moved meanwhile")
        }
        folder = above
        place.removeLast(min(place.count, left.name.bytes.count + 1))
        try visitor.leave(left.name, in: folder.raw)
    }

    private static func openFolder(_ parent: Int32, _ name: FileName) throws(SystemError) -> Descriptor {
        let opened = name.withCString { openat(parent, $0, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) }
        guard opened >= 0 else { throw SystemError(errno, "open \(name)") }
        return Descriptor(owning: opened)
    }

    fileprivate static func statusOf(_ folder: borrowing Descriptor) throws(SystemError) -> stat {
        var status = stat()
        guard fstat(folder.raw, &status) == 0 else { throw SystemError(errno, "fstat") }
        return status
    }
}

/// How much a tree holds.
public struct TreeSize: Equatable, Sendable {
    /// Entries of every kind, without the tree's own folder.
    public var entries = 0
    /// Bytes of its regular files, as their lengths say; a file with two names counts twice.
    public var bytes: Int64 = 0

    /// Nothing.
    public init() {}
}

/// One entry of a tree, while its folder is open.
public struct TreeEntry {
    /// The open folder that it is in; for calls such as openat(2) during the visit.
    public let folder: Int32
    /// Its name there.
    public let name: FileName
    /// Its path below the tree.
    public let path: FileName
    /// What it is, without following a link. fstatat(2).
    public let status: stat

    /// S_IFDIR, S_IFREG and so on. inode(7).
    public var kind: mode_t { status.st_mode & S_IFMT }
}

/// What a walk does next.
public enum TreeStep {
    /// Goes into the entry, which is a folder.
    case enter
    /// Goes on with the next one.
    case passOver
    /// Ends the walk.
    case stop
}

/// Sees every entry of a tree.
public protocol TreeVisitor {
    /// An entry. - Returns: what to do next; `enter` for folders only.
    mutating func visit(_ entry: TreeEntry) throws(SystemError) -> TreeStep
    /// A folder that was entered is done. - Parameter parent: the open folder that it is in.
    mutating func leave(_ name: FileName, in parent: Int32) throws(SystemError)
}

/// A folder on the way down, and what is still to be seen in it.
private struct Level {
    let name: FileName
    private let device: dev_t
    private let inode: ino_t
    /// The next one is last.
    var waiting: [FileName]

    init(_ folder: borrowing Descriptor, name: FileName) throws(SystemError) {
        self.name = name
        let status = try FileTree.statusOf(folder)
        device = status.st_dev
        inode = status.st_ino
        waiting = try Self.names(of: folder).sorted(by: >)
    }

    func isSame(as status: stat) -> Bool { status.st_dev == device && status.st_ino == inode }

    private static func names(of folder: borrowing Descriptor) throws(SystemError) -> [FileName] {
        let own = try folder.duplicate().release()
        guard let stream = fdopendir(own) else {
            let code = errno
            close(own)
            throw SystemError(code, "fdopendir")
        }
        defer { closedir(stream) }
        var names: [FileName] = []
        while let entry = readdir(stream) {
            let bytes = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
            let isOwn = bytes == [UInt8(ascii: ".")] || bytes == [UInt8(ascii: "."), UInt8(ascii: ".")]
            if !isOwn { names.append(FileName(bytes)) }
        }
        return names
    }
}

private struct SizeCounter: TreeVisitor {
    var size = TreeSize()

    mutating func visit(_ entry: TreeEntry) -> TreeStep {
        size.entries += 1
        if entry.kind == S_IFREG { size.bytes += Int64(entry.status.st_size) }
        return entry.kind == S_IFDIR ? .enter : .passOver
    }

    func leave(_ name: FileName, in parent: Int32) {}
}

private struct TreeRemover: TreeVisitor {
    func visit(_ entry: TreeEntry) throws(SystemError) -> TreeStep {
        if entry.kind == S_IFDIR { return .enter }
        try unlink(entry.name, in: entry.folder, 0)
        return .passOver
    }

    func leave(_ name: FileName, in parent: Int32) throws(SystemError) { try unlink(name, in: parent, AT_REMOVEDIR) }

    private func unlink(_ name: FileName, in folder: Int32, _ flags: Int32) throws(SystemError) {
        guard name.withCString({ unlinkat(folder, $0, flags) }) == 0 || errno == ENOENT else {
            throw SystemError(errno, "unlinkat \(name)")
        }
    }
}

/// A number of bytes as people read it.
public enum ByteCount {
    /// With the unit that keeps it short: `3.4 MiB`.
    public static func text(_ bytes: Int64) -> String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB"]
        var value = Double(bytes)
        var unit = 0
        while value >= 1024, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        if unit == 0 || value >= 100 { return "\(Int64(value.rounded())) \(units[unit])" }
        return "\((value * 10).rounded() / 10) \(units[unit])"
    }
}

import Glibc
import Linux

/// A folder with all that is below it. An image holds folders of users who may exist on the host too, so every step down
/// goes by descriptor and never through a link: nobody can exchange a folder under root's hands.
struct FileTree {
    let path: String

    /// Bytes of all regular files; what cannot be read counts as nothing.
    func byteCount() -> Int64 {
        var sum: Int64 = 0
        try? Self.forEach(in: AT_FDCWD, path) { _, _, status in sum += Int64(status.st_size) }
        return sum
    }

    /// Deletes all of it; a tree that is not there is fine.
    func remove() throws(SystemError) {
        let failed = try Self.removeContents(in: AT_FDCWD, path)
        if failed == ENOENT { return }
        guard failed == 0, rmdir(path) == 0 || errno == ENOENT else {
            throw SystemError(failed == 0 ? errno : failed, "remove \(path)")
        }
    }

    private static func removeContents(in parent: Int32, _ name: String) throws(SystemError) -> Int32 {
        let opened = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard opened >= 0 else { return errno }
        let folder = Descriptor(owning: opened)
        for entry in try names(of: folder) {
            if unlinkat(folder.raw, entry, 0) == 0 { continue }
            guard errno == EISDIR || errno == EPERM else { return errno }
            let failed = try removeContents(in: folder.raw, entry)
            if failed != 0 { return failed }
            if unlinkat(folder.raw, entry, AT_REMOVEDIR) != 0 { return errno }
        }
        return 0
    }

    /// Calls back for each regular file.
    private static func forEach(
        in parent: Int32, _ name: String, _ visit: (Int32, String, stat) -> Void
    ) throws(SystemError) {
        let opened = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard opened >= 0 else { throw SystemError(errno, "open \(name)") }
        let folder = Descriptor(owning: opened)
        for entry in try names(of: folder) {
            var status = stat()
            guard fstatat(folder.raw, entry, &status, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
            switch status.st_mode & S_IFMT {
            case S_IFDIR: try forEach(in: folder.raw, entry, visit)
            case S_IFREG: visit(folder.raw, entry, status)
            default: break
            }
        }
    }

    private static func names(of folder: borrowing Descriptor) throws(SystemError) -> [String] {
        let own = try folder.duplicate().release()
        guard let stream = fdopendir(own) else {
            let code = errno
            close(own)
            throw SystemError(code, "fdopendir")
        }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names
    }
}

/// A number of bytes as people read it.
enum ByteCount {
    static func text(_ bytes: Int64) -> String {
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

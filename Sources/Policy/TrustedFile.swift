internal import Glibc

/// Who must own what sandboxes are made of.
public enum FileTrust: Sendable {
    /// Root alone can change it, and every folder on the way to it. What the warden acts on.
    case rootOwned
    /// Anyone: for checking and trying files that nobody else's sandbox is made of.
    case anyOwner
}

/// Reads files and folders that a sandbox's walls are made of, so that nobody but root could have put them there.
struct TrustedFile {
    let trust: FileTrust
    /// How messages begin.
    let subject: String

    /// A regular file's content, nil when there is none. Checked through the descriptor that it is read from, so that it
    /// cannot be exchanged in between; a symbolic link is refused, since its own folder is what has been checked.
    func read(_ path: String) throws(PolicyError) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            if errno == ELOOP { throw problem(path, "is a symbolic link; put the file itself there") }
            throw problem(path, "cannot be opened: \(Self.reason(errno))")
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw problem(path, "cannot be read: \(Self.reason(errno))") }
        guard status.st_mode & S_IFMT == S_IFREG else { throw problem(path, "is not a regular file") }
        try require(status, path)
        guard status.st_size <= PolicyFile.bytesMax else {
            throw problem(path, "is \(status.st_size) bytes long; at most \(PolicyFile.bytesMax) are allowed")
        }
        return try content(of: descriptor, path)
    }

    private func content(of descriptor: Int32, _ path: String) throws(PolicyError) -> [UInt8] {
        var content: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 * 1024)
        while content.count <= PolicyFile.bytesMax {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw problem(path, "cannot be read: \(Self.reason(errno))") }
            if count == 0 { break }
            content += chunk[..<count]
        }
        return content
    }

    /// Checks a folder itself, which must be one and no symbolic link.
    func requireFolder(_ path: String) throws(PolicyError) {
        var status = stat()
        guard lstat(path, &status) == 0 else { throw problem(path, "cannot be read: \(Self.reason(errno))") }
        guard status.st_mode & S_IFMT == S_IFDIR else { throw problem(path, "is not a folder") }
        try require(status, path)
    }

    /// The names in a folder, sorted, without those that begin with a dot; nil when there is no such folder. Every
    /// folder on the way is checked too: whoever can rename one of them decides what stands below.
    func names(in folder: String) throws(PolicyError) -> [String]? {
        guard let real = realpath(folder, nil) else {
            if errno == ENOENT { return nil }
            throw problem(folder, "cannot be read: \(Self.reason(errno))")
        }
        defer { free(real) }
        let path = String(cString: real)
        try requireFolder(path)
        try requireAncestors(of: path)
        guard let stream = opendir(path) else { throw problem(path, "cannot be read: \(Self.reason(errno))") }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names.sorted()
    }

    /// In a sticky folder such as /tmp nobody can rename what is root's, so it may be writable.
    private func requireAncestors(of path: String) throws(PolicyError) {
        var parts = path.split(separator: "/").dropLast()
        while true {
            let ancestor = "/" + parts.joined(separator: "/")
            var status = stat()
            guard lstat(ancestor, &status) == 0 else {
                throw problem(ancestor, "cannot be read: \(Self.reason(errno))")
            }
            if status.st_mode & S_ISVTX != 0 { status.st_mode &= ~0o022 }
            try require(status, ancestor)
            if parts.isEmpty { return }
            parts.removeLast()
        }
    }

    private func require(_ status: stat, _ path: String) throws(PolicyError) {
        switch trust {
        case .anyOwner: return
        case .rootOwned:
            guard status.st_uid == 0 else {
                throw problem(
                    path, "belongs to user \(status.st_uid), not to root; run: chown root:root \(Self.quoted(path))")
            }
            guard status.st_mode & 0o022 == 0 else {
                throw problem(
                    path,
                    "can be written by others than root (mode \(String(status.st_mode & 0o7777, radix: 8))); "
                        + "run: chmod go-w \(Self.quoted(path))")
            }
        }
    }

    private func problem(_ path: String, _ text: String) -> PolicyError {
        PolicyError(subject: subject, place: path, problem: text)
    }

    private static func reason(_ code: Int32) -> String { String(cString: strerror(code)) }

    /// A path as a shell takes it.
    private static func quoted(_ path: String) -> String {
        let plain = path.utf8.allSatisfy { ASCIIName.isLetterOrDigit($0) || "/._-+=:,@%".utf8.contains($0) }
        return plain
            ? path : "'" + path.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }
}

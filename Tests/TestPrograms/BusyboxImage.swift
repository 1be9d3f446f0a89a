import Glibc
import Linux
import Model

/// A minimal image: one static busybox and its links. Removed when it goes.
public final class BusyboxImage {
    /// The image's folder.
    public let path: String
    /// Its tree.
    public var rootPath: String { path + "/rootfs" }

    /// Makes one in a temporary folder.
    public init() throws {
        var template = Array("/tmp/plane-image-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw SystemError(errno, "mkdtemp") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        chmod(path, 0o755)
        let script = """
            set -e; umask 022; mkdir -p \(path)/rootfs/bin \(path)/rootfs/tmp \(path)/rootfs/etc
            chmod 1777 \(path)/rootfs/tmp
            cp /bin/busybox \(path)/rootfs/bin/busybox
            for name in $(/bin/busybox --list | grep -vx busybox); do ln -sf busybox \(path)/rootfs/bin/$name; done
            """
        let (status, _, errors) = try Program.run(["/bin/sh", "-c", script])
        guard status == .exited(code: 0) else { throw InvalidValue(field: "busybox image", problem: errors) }
    }

    deinit { _ = try? Program.run(["/bin/rm", "-rf", "--one-file-system", path]) }
}

import CLinux
import Glibc
import Linux

/// Extended attributes of a file, folder or link itself. xattr(7).
enum ExtendedAttributes {
    /// Names, without those that the host's security modules give to every file.
    static func names(of name: FileName, in folder: Int32) throws(SystemError) -> [String] {
        let path = place(name, folder)
        var buffer = [CChar](repeating: 0, count: 4096)
        var count = path.withCString { plane_llistxattr($0, &buffer, buffer.count) }
        if count == -Int(ERANGE) {
            // XATTR_LIST_MAX of <linux/limits.h>.
            buffer = [CChar](repeating: 0, count: 65_536)
            count = path.withCString { plane_llistxattr($0, &buffer, buffer.count) }
        }
        if count == -Int(EOPNOTSUPP) { return [] }
        guard count >= 0 else { throw SystemError(Int32(-count), "llistxattr \(name)") }
        return buffer[..<count].split(separator: 0)
            .map { String(decoding: $0.map(UInt8.init(bitPattern:)), as: UTF8.self) }
            .filter { !isHost($0) }
    }

    /// Takes all of them away that `names` tells.
    static func remove(from name: FileName, in folder: Int32) throws(SystemError) {
        for attribute in try names(of: name, in: folder) {
            let path = place(name, folder)
            let removed = path.withCString { plane_lremovexattr($0, attribute) }
            guard removed >= 0 || removed == -Int(ENODATA) else {
                throw SystemError(Int32(-removed), "lremovexattr \(name) \(attribute)")
            }
        }
    }

    /// Overlayfs keeps there what it hides, moves and merges. Kernel documentation, filesystems/overlayfs.
    static func isOverlayMark(_ attribute: String) -> Bool {
        attribute.hasPrefix("trusted.overlay.") || attribute.hasPrefix("user.overlay.")
    }

    private static func isHost(_ attribute: String) -> Bool {
        attribute == "security.selinux" || attribute == "security.ima" || attribute == "security.evm"
            || attribute == "security.apparmor" || attribute.hasPrefix("security.SMACK64")
    }

    /// There is no llistxattr(2) below a folder's descriptor; /proc leads to that very folder, and no link is followed
    /// after it.
    private static func place(_ name: FileName, _ folder: Int32) -> FileName {
        FileName(Array("/proc/self/fd/\(folder)/".utf8) + name.bytes)
    }
}

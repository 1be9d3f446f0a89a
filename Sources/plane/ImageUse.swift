import Glibc
import Linux
import Model

/// Who runs on an image. Every sandbox's root is an overlay whose source is the image's tree, so the kernel itself tells,
/// also of sandboxes whose warden or drone is not reachable, and of `plane run`. proc_pid_mountinfo(5).
enum ImageUse {
    /// The sandboxes whose root is made of a tree, by name, sorted.
    /// - Parameter rootPath: as the warden was given it.
    static func sandboxes(of rootPath: String) throws(SystemError) -> [String] {
        let own = namespace(of: "self")
        var names: Set<String> = []
        for process in try File.names(in: "/proc") where Int32(process) != nil {
            guard !isWardens(process), let other = namespace(of: process), other != own,
                let mounts = try? File.readText("/proc/\(process)/mountinfo"),
                mounts.split(separator: "\n").contains(where: { rootSource(of: $0) == rootPath })
            else { continue }
            let groups = (try? File.readText("/proc/\(process)/cgroup")) ?? ""
            let variables = (try? File.read("/proc/\(process)/environ")) ?? []
            names.insert(backend(in: variables) ?? name(in: groups) ?? "process \(process)")
        }
        return names.sorted()
    }

    /// Whether a process is a sandbox's init, or one of a sandbox that the warden keeps ready: nobody uses the image there.
    /// The warden makes new ones when the image is replaced, and none of one that is gone.
    private static func isWardens(_ process: String) -> Bool {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = buffer.withUnsafeMutableBytes { bytes in
            bytes.bindMemory(to: CChar.self).baseAddress.map { readlink("/proc/\(process)/exe", $0, bytes.count) } ?? -1
        }
        guard count > 0 else { return false }
        let program = String(decoding: buffer[..<count], as: UTF8.self)
        return program.hasPrefix("/memfd:plane-init") || program.hasSuffix("/plane-warden")
    }

    /// The backend that a command's environment names. Pure.
    static func backend(in environment: [UInt8]) -> String? {
        let mark = Array("SESSION_BACKEND_ID=".utf8)
        let entry = environment.split(separator: 0).first { $0.starts(with: mark) }
        return entry.map { "backend \(String(decoding: $0.dropFirst(mark.count), as: UTF8.self))" }
    }

    private static func namespace(of process: String) -> UInt64? {
        var status = stat()
        return stat("/proc/\(process)/ns/mnt", &status) == 0 ? UInt64(status.st_ino) : nil
    }

    /// The source of a mountinfo line that is an overlay on the root; nil for other lines. Pure.
    static func rootSource(of line: Substring) -> String? {
        let fields = line.split(separator: " ")
        guard fields.count > 6, fields[4] == "/", let dash = fields.firstIndex(of: "-"), dash + 2 < fields.count,
            fields[dash + 1] == "overlay"
        else { return nil }
        return unescaped(fields[dash + 2])
    }

    /// The sandbox's name in /proc/PID/cgroup: the last part of its path in the v2 hierarchy. cgroups(7). Pure.
    static func name(in groups: String) -> String? {
        guard let line = groups.split(separator: "\n").first(where: { $0.hasPrefix("0::/") }),
            let last = line.dropFirst("0::/".count).split(separator: "/").last
        else { return nil }
        if last.hasPrefix("run-") { return "plane run (process \(last.dropFirst("run-".count)))" }
        return "sandbox \(last)"
    }

    /// Undoes the kernel's \040 for a space and the like.
    private static func unescaped(_ field: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(field.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\"), rest.count >= 3,
                let code = UInt8(String(decoding: rest.prefix(3), as: UTF8.self), radix: 8)
            {
                bytes.append(code)
                rest = rest.dropFirst(3)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

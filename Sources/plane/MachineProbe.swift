import Glibc
import Linux

/// The kernel's version, limits of this process, and free ports.
enum MachineProbe {
    static func kernel() -> Finding {
        var name = utsname()
        uname(&name)
        let release = withUnsafeBytes(of: &name.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        let numbers = release.split(whereSeparator: { !$0.isNumber }).prefix(2).compactMap { Int($0) }
        let isNewEnough = numbers.count == 2 && (numbers[0], numbers[1]) >= (5, 19)
        return Finding(
            "kernel", isNewEnough ? .fine : .missing("boot Linux 5.19 or newer: overlayfs takes idmapped layers since"),
            "Linux \(release)")
    }

    static func limits() -> [Finding] { [openFiles(), pipePages()] }

    /// Each connection of the proxy takes two descriptors, and two pipes of two more while it is spliced.
    private static func openFiles() -> Finding {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        let detail = limit.rlim_max == .max ? "unlimited" : "at most \(limit.rlim_max)"
        return Finding(
            "open files",
            limit.rlim_max >= 65_536 ? .fine : .note("for many connections raise it: ulimit -Hn 1048576"), detail)
    }

    /// pipe(7): beyond this an unprivileged user's new pipes have one page, and splicing becomes slow.
    private static func pipePages() -> Finding {
        let path = "/proc/sys/fs/pipe-user-pages-soft"
        guard let text = try? File.readText(path), let pages = Int(text.split(separator: "\n").first ?? "") else {
            return Finding("pipe-user-pages-soft", .unknown("mount /proc"), "cannot be read")
        }
        let connections = pages / 32
        return Finding(
            "pipe-user-pages-soft",
            pages == 0 || connections >= 512
                ? .fine : .note("for many spliced connections: sysctl fs.pipe-user-pages-soft=262144"),
            pages == 0 ? "unlimited" : "\(pages) pages: \(connections) connections spliced at full speed")
    }

    /// The two that `plane dev` takes unless told otherwise.
    static func ports() -> [Finding] {
        [(UInt16(8080), "--port"), (9090, "--proxy-port")].map { port, flag in
            do throws(SystemError) {
                _ = try Socket.tcpListener(.loopback(port))
                return Finding("port \(port)", .fine, "free")
            } catch {
                return Finding("port \(port)", .note("plane dev needs another one there: \(flag) PORT"), "\(error)")
            }
        }
    }
}

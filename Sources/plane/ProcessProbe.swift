import CLinux
import Glibc
import Linux

/// System calls by which processes are made, held and bounded.
enum ProcessProbe {
    private static let newer = "boot a newer kernel, or run outside the container whose seccomp filter refuses it"

    static func findings() -> [Finding] {
        [
            Finding.trying("pidfd", remedy: newer, processDescriptor),
            Finding.trying("close_range", remedy: newer) { () throws(SystemError) in
                // A range that no descriptor is in: the call is tried, and nothing is closed.
                let tried = plane_close_range(.max, .max, 0)
                if tried < 0 { throw SystemError(Int32(-tried), "close_range") }
                return "Linux 5.9"
            },
            Finding.trying(
                "seccomp filter", remedy: "boot a kernel built with CONFIG_SECCOMP_FILTER", seccompFilter),
            landlock(),
        ]
    }

    private static func processDescriptor() throws(SystemError) -> String {
        let status = try ProbeChild.idle([], cgroup: nil).end()
        return "a child \(status), through its pidfd"
    }

    private static func seccompFilter() throws(SystemError) -> String {
        try ProbeChild.run([]) { () throws(SystemError) in
            let setNoNewPrivileges: Int32 = 38
            guard plane_prctl(setNoNewPrivileges, 1, 0, 0, 0) == 0 else { throw SystemError(errno, "prctl") }
            let returnValue: UInt16 = 0x06
            let allow: UInt32 = 0x7fff_0000
            var instruction = sock_filter(code: returnValue, jt: 0, jf: 0, k: allow)
            let installed = withUnsafeMutablePointer(to: &instruction) { filter in
                var program = sock_fprog(len: 1, filter: filter)
                let setModeFilter: UInt32 = 1
                return plane_seccomp(setModeFilter, 0, &program)
            }
            if installed < 0 { throw SystemError(Int32(-installed), "seccomp SECCOMP_SET_MODE_FILTER") }
        }
        return "a filter was installed in a child"
    }

    /// Not used yet; told because a policy may come to ask for it.
    private static func landlock() -> Finding {
        let modules = (try? File.readText("/sys/kernel/security/lsm")) ?? ""
        if modules.split(whereSeparator: { $0 == "," || $0 == "\n" }).contains("landlock") {
            return Finding("Landlock", .fine, "active")
        }
        return Finding("Landlock", .note("nothing to do: no sandbox needs it"), "not active, or not told")
    }
}

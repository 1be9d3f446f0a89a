import Linux

/// The namespaces of a sandbox. namespaces(7).
enum NamespaceProbe {
    private static let kinds: [(String, Namespaces)] = [
        ("user", .user), ("mount", .mount), ("pid", .pid), ("network", .network), ("IPC", .ipc), ("UTS", .uts),
        ("cgroup", .cgroup),
    ]

    static func findings() -> [Finding] {
        kinds.map { name, kind in
            Finding.trying("\(name) namespace", remedy: remedy(kind)) { () throws(SystemError) in
                try ProbeChild.run(kind) { () throws(SystemError) in }
                return "clone3 makes one"
            }
        }
    }

    private static func remedy(_ kind: Namespaces) -> String {
        kind == .user
            ? "allow it: sysctl user.max_user_namespaces=65536, and on Debian kernel.unprivileged_userns_clone=1"
            : "boot a kernel that has it; a container that runs Plane must be privileged"
    }
}

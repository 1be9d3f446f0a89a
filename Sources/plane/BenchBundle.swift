import Glibc
import Linux
import Model

/// A bundle for crun that is set up as container engines do: their namespaces, mounts, capabilities, masked paths and
/// system call list. OCI runtime specification 1.0, config.md and config-linux.md. Pure.
enum BenchBundle {
    /// The list that podman and its kin load for every container; Docker's is its model.
    static let profilePath = "/usr/share/containers/seccomp.json"

    /// config.json of a bundle.
    /// - Parameters:
    ///   - root: the root folder's path.
    ///   - systemCalls: the `linux.seccomp` member.
    static func configuration(root: String, systemCalls: JSONValue) -> JSONValue {
        let capabilities = strings(ownCapabilities)
        return .object([
            "ociVersion": .string("1.0.2"),
            "root": .object(["path": .string(root), "readonly": .bool(true)]),
            "hostname": .string("sandbox"),
            "process": .object([
                "user": .object(["uid": .integer(1000), "gid": .integer(1000)]),
                "args": strings([BenchPayload.pathInside]), "env": strings(["PATH=/bin"]), "cwd": .string("/"),
                "noNewPrivileges": .bool(true),
                "capabilities": .object([
                    "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
                ]),
            ]),
            "mounts": .array(mounts),
            "linux": .object([
                "namespaces": .array(
                    ["pid", "network", "ipc", "uts", "mount", "cgroup"].map { .object(["type": .string($0)]) }),
                "maskedPaths": strings(maskedPaths), "readonlyPaths": strings(readOnlyPaths), "seccomp": systemCalls,
            ]),
        ])
    }

    /// What Docker leaves to the root of a container.
    private static let ownCapabilities = [
        "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_SETGID", "CAP_SETUID", "CAP_SETFCAP",
        "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_KILL",
    ]

    private static let maskedPaths = [
        "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
        "/proc/sched_debug", "/proc/scsi",
    ]

    private static let readOnlyPaths = [
        "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
    ]

    private static var mounts: [JSONValue] {
        func mount(_ type: String, _ place: String, _ options: [String]) -> JSONValue {
            .object([
                "type": .string(type), "source": .string(type), "destination": .string(place),
                "options": strings(options),
            ])
        }
        return [
            mount("proc", "/proc", ["nosuid", "noexec", "nodev"]),
            mount("tmpfs", "/dev", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("devpts", "/dev/pts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
            mount("tmpfs", "/dev/shm", ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
            mount("mqueue", "/dev/mqueue", ["nosuid", "noexec", "nodev"]),
            mount("tmpfs", "/tmp", ["nosuid", "nodev", "mode=1777"]),
        ]
    }

    /// The engines' list in the runtime's form: rules that hold only for some capability, kernel or machine are taken or
    /// left as for a container with Docker's capabilities.
    /// - Parameter architecture: `x86_64` or `aarch64`.
    /// - Throws: when the file does not say what such a file says.
    static func systemCalls(_ profile: JSONValue, architecture: String) throws(CommandFailure) -> JSONValue {
        guard let members = profile.members, case .array(let rules)? = members["syscalls"],
            let action = members["defaultAction"], case .array(let machines)? = members["archMap"]
        else { throw CommandFailure("it has no syscalls, defaultAction and archMap") }
        let own = "SCMP_ARCH_\(architecture.uppercased())"
        var architectures: [JSONValue] = [.string(own)]
        for machine in machines where machine.members?["architecture"] == .string(own) {
            if case .array(let others)? = machine.members?["subArchitectures"] { architectures += others }
        }
        var result: [String: JSONValue] = ["defaultAction": action, "architectures": .array(architectures)]
        if let code = members["defaultErrnoRet"] { result["defaultErrnoRet"] = code }
        result["syscalls"] = .array(rules.compactMap { rule in kept(rule, architecture: architecture) })
        return .object(result)
    }

    private static func kept(_ rule: JSONValue, architecture: String) -> JSONValue? {
        guard let members = rule.members else { return nil }
        let engineNames = ["x86_64": "amd64", "aarch64": "arm64"]
        let machine = engineNames[architecture] ?? architecture
        func texts(_ part: String, _ kind: String) -> [String] {
            guard case .array(let items)? = members[part]?.members?[kind] else { return [] }
            return items.compactMap { if case .string(let text) = $0 { text } else { nil } }
        }
        let needed = texts("includes", "caps")
        if !needed.isEmpty, !needed.allSatisfy(ownCapabilities.contains) { return nil }
        if texts("excludes", "caps").contains(where: ownCapabilities.contains) { return nil }
        let machines = texts("includes", "arches")
        if !machines.isEmpty, !machines.contains(machine) { return nil }
        if texts("excludes", "arches").contains(machine) { return nil }
        let fields = ["names", "action", "args", "errnoRet"]
        return .object(members.filter { fields.contains($0.key) && $0.value != .null })
    }

    private static func strings(_ texts: [String]) -> JSONValue { .array(texts.map(JSONValue.string)) }
}

internal import Model

/// A policy in words: what a sandbox under it can and cannot do, for whoever has to answer for it.
public enum PolicyExplanation {
    /// - Parameters:
    ///   - policy: a checked policy.
    ///   - name: how the text calls it, for example `python-repl.json`.
    ///   - program: the policy's filter, if somebody has it already; nil makes it.
    /// - Returns: several lines, each ended.
    public static func text(_ policy: PolicyDocument, name: String, program: SeccompProgram? = nil) -> String {
        let paragraphs = [
            "Policy \(name)",
            identity(policy),
            network(policy.network),
            files(policy),
            "Devices   null, zero, full, random, urandom, tty and terminals of its own"
                + (policy.devices.isEmpty ? "." : "; the host's \(list(policy.devices.map(\.path)))."),
            landlock(policy.landlock),
            "Limits\n" + ColumnText.table(limits(policy.limits)),
            "Life\n" + ColumnText.table(life(policy)),
            systemCalls(policy.seccomp, program ?? SeccompProgram(policy.seccomp)),
            environment(policy.environment),
        ]
        return paragraphs.joined(separator: "\n\n") + "\n"
    }

    private static func identity(_ policy: PolicyDocument) -> String {
        let runs = policy.command.map { "\($0.joined(separator: " ")), in place of the image's command" }
        let who =
            "user \(policy.commandUser.uid), group \(policy.commandUser.gid), on host \"\(policy.hostname)\"; "
            + "an id of its own on the host, never root there"
        let kept = policy.capabilities.isEmpty ? "" : ", over its own sandbox only"
        return """
            Runs      \(runs ?? "the image's command")
            Who       \(who)
            May       \(policy.capabilities.isEmpty ? "no capability" : list(policy.capabilities.map(\.rawValue)))\(kept); \
            no program gives it more
            """
    }

    private static func network(_ network: PolicyDocument.Network) -> String {
        switch network {
        case .none:
            "Network   none: loopback only. Requests come in through the proxy; nothing goes out."
        }
    }

    private static func files(_ policy: PolicyDocument) -> String {
        let image = "Files     the image, read-only, under a writable layer in memory that is gone with the sandbox;"
        if policy.mounts.isEmpty { return image + "\n          nothing of the host." }
        let rows = policy.mounts.map { mount in
            switch mount.source {
            case .readOnly(let path): [mount.target, path, "of the host, read-only"]
            case .volume(let name):
                [mount.target, name, "volume in \(policy.volumeBase ?? "the state folder"), writable, kept"]
            }
        }
        return image + "\n          of the host, without setuid and devices:\n" + ColumnText.table(rows)
    }

    private static func landlock(_ rules: LandlockRules?) -> String {
        guard let rules else { return "Landlock  no rules: owners and modes of files decide." }
        func ports(_ ports: [UInt16]?) -> String {
            guard let ports else { return "any port" }
            return ports.isEmpty ? "no port" : list(ports.map(String.init))
        }
        let rows = [
            ["read", rules.readable.isEmpty ? "nothing more" : list(rules.readable), "and all below"],
            ["write", rules.writable.isEmpty ? "nothing" : list(rules.writable), "and all below, reading included"],
            ["execute", list(rules.executable), "and all below, reading included"],
            ["listen", ports(rules.listenPorts), "of TCP"],
            ["connect", ports(rules.connectPorts), "of TCP"],
        ]
        return "Landlock  of its file system and loopback, no more than\n" + ColumnText.table(rows)
    }

    private static func limits(_ limits: PolicyDocument.Limits) -> [[String]] {
        func optionalSize(_ bytes: UInt64?) -> String { bytes.map(ColumnText.size) ?? "-" }
        func count(_ number: UInt64?) -> String { number.map(String.init) ?? "-" }
        let standard = PolicyDocument.Limits.standardWeight
        return [
            ["memory", ColumnText.size(limits.memoryBytes), "with files in memory and /dev/shm; above it, killed"],
            ["memory_high", optionalSize(limits.memoryHighBytes), "above it, slowed down"],
            [
                "swap", ColumnText.size(limits.swapBytes),
                limits.swapBytes == 0 ? "nothing is swapped out" : "besides the memory",
            ],
            [
                "cpus", ColumnText.number(limits.cpus),
                "processors, dealt out every \(limits.cpuPeriodMicroseconds / 1000)ms",
            ],
            ["cpu_weight", count(limits.cpuWeight ?? standard), "share where processors are short"],
            [
                "cpu_time", limits.cpuTimeSeconds.map(ColumnText.duration) ?? "-",
                limits.cpuTimeSeconds == nil
                    ? "no limit of total processor time" : "of all its processes together; after it, killed",
            ],
            ["pids", "\(limits.pids)", "processes and threads; above it, fork fails"],
            ["io.weight", count(limits.ioWeight ?? standard), "share where the disk is busy"],
            ["io.read", optionalSize(limits.io.readBytesPerSecond), "per second from the image's disk"],
            ["io.write", optionalSize(limits.io.writeBytesPerSecond), "per second to it"],
            ["io.reads", count(limits.io.readsPerSecond), "operations per second"],
            ["io.writes", count(limits.io.writesPerSecond), "operations per second"],
            ["disk", ColumnText.size(limits.diskBytes), "writable layer"],
            ["disk_files", "\(limits.diskFiles)", "files and folders in the writable layer"],
            ["open_files", "\(limits.openFiles)", "descriptors of each process"],
            ["shared_memory", ColumnText.size(limits.sharedMemoryBytes), "/dev/shm"],
        ]
    }

    private static func life(_ policy: PolicyDocument) -> [[String]] {
        let port = policy.readiness.port.map { "port \($0)" } ?? "the image's port"
        let answer = policy.readiness.path.map { "status 200 to 399 for HEAD \($0)" } ?? "HTTP"
        func ceiling(_ seconds: UInt64?, _ meaning: String) -> [String] {
            [
                seconds.map(ColumnText.duration) ?? "-",
                seconds == nil ? "as long as a request says" : meaning + ", whatever a request says",
            ]
        }
        return [
            [
                "readiness", ColumnText.duration(UInt64(policy.readiness.timeoutSeconds)),
                "until \(port) must answer \(answer)",
            ],
            [
                "grace_period", ColumnText.duration(UInt64(policy.gracePeriodSeconds)), "between SIGTERM and SIGKILL",
            ],
            ["lifetime"] + ceiling(policy.lifetimeSeconds, "ends then"),
            ["idle"] + ceiling(policy.idleSeconds, "ends after so long without a connection"),
        ]
    }

    private static func systemCalls(_ policy: SystemCallPolicy, _ program: SeccompProgram) -> String {
        let forbidden = SystemCallList.forbidden.subtracting(policy.allow).union(policy.deny)
        var lines = [
            "System calls   \(program.allowedCount) are let through by \(program.instructions.count) instructions "
                + "(list \"\(policy.base.rawValue)\").",
            "  unknown (ENOSYS): clone3, so that programs fall back to clone, and whatever is on no list.",
            "  by argument: clone makes no namespaces; sockets are Unix, TCP, UDP, ICMP and route netlink, and put",
            "    no TLS into the kernel; ioctl types nothing into terminals; prctl and personality only in ways that",
            "    loosen nothing.",
            "  other conventions (32-bit, x32): the process is killed.",
            "  forbidden (EPERM):",
        ]
        lines += ColumnText.wrapped(forbidden.sorted())
        lines += policy.denyWhen.map { "    \($0.text)" }
        if !policy.allow.isEmpty || !policy.allowWhen.isEmpty {
            lines += ["  let through by this policy besides the list:"]
            lines += ColumnText.wrapped(policy.allow.sorted())
            lines += policy.allowWhen.map { "    \($0.text)" }
        }
        return lines.joined(separator: "\n")
    }

    private static func environment(_ environment: [String: String]) -> String {
        if environment.isEmpty { return "Environment   as the image says." }
        return "Environment   as the image says, and this policy sets \(list(environment.keys.sorted()))."
    }

    private static func list(_ words: [String]) -> String { words.joined(separator: ", ") }
}

/// A policy in words: what a sandbox under it can and cannot do, for whoever has to answer for it.
public enum PolicyExplanation {
    /// - Parameters:
    ///   - policy: a checked policy.
    ///   - name: how the text calls it, for example `python-repl.json`.
    /// - Returns: several lines, each ended.
    public static func text(_ policy: PolicyDocument, name: String) -> String {
        let paragraphs = [
            "Policy \(name)",
            "Who       user \(policy.commandUser.uid), group \(policy.commandUser.gid), on host \"\(policy.hostname)\"; "
                + "never root, and no capability.",
            network(policy.network),
            "Limits\n" + table(limits(policy)),
            systemCalls(policy.seccomp),
            environment(policy.environment),
        ]
        return paragraphs.joined(separator: "\n\n") + "\n"
    }

    private static func network(_ network: PolicyDocument.Network) -> String {
        switch network {
        case .none:
            "Network   none: loopback only. Requests come in through the proxy; nothing goes out."
        }
    }

    private static func limits(_ policy: PolicyDocument) -> [(name: String, value: String, meaning: String)] {
        let limits = policy.limits
        return [
            ("memory", size(limits.memoryBytes), "with files in the writable layer and /dev/shm; above it, killed"),
            ("swap", size(limits.swapBytes), limits.swapBytes == 0 ? "nothing is swapped out" : "besides the memory"),
            ("cpus", number(limits.cpus), "processors, dealt out every \(limits.cpuPeriodMicroseconds / 1000)ms"),
            ("pids", "\(limits.pids)", "processes and threads; above it, fork fails"),
            (
                "cpu_time", limits.cpuTimeSeconds.map { duration($0) } ?? "-",
                limits.cpuTimeSeconds == nil ? "no limit of total processor time" : "in total for each process"
            ),
            ("disk", size(limits.diskBytes), "writable layer, gone with the sandbox; the image is read-only"),
            ("disk_files", "\(limits.diskFiles)", "files and folders in the writable layer"),
            ("open_files", "\(limits.openFiles)", "descriptors of each process"),
            ("shared_memory", size(limits.sharedMemoryBytes), "/dev/shm"),
            ("readiness", duration(UInt64(policy.readinessTimeoutSeconds)), "until the port must answer"),
            ("grace_period", duration(UInt64(policy.gracePeriodSeconds)), "between SIGTERM and SIGKILL"),
        ]
    }

    private static func systemCalls(_ policy: SystemCallPolicy) -> String {
        let program = SeccompProgram(policy)
        let forbidden = SystemCallList.forbidden.subtracting(policy.allow).union(policy.deny)
        var lines = [
            "System calls   \(program.allowedCount) are let through by \(program.instructions.count) instructions "
                + "(list \"\(policy.base.rawValue)\").",
            "  unknown (ENOSYS): clone3, so that programs fall back to clone, and whatever is on no list.",
            "  by argument: clone makes no namespaces; sockets are Unix, TCP, UDP, ICMP and route netlink;",
            "    ioctl types nothing into terminals; prctl and personality only in ways that loosen nothing.",
            "  other conventions (32-bit, x32): the process is killed.",
            "  forbidden (EPERM):",
        ]
        lines += wrapped(forbidden.sorted(), indent: "    ", width: 100)
        if !policy.allow.isEmpty {
            lines += ["  let through by this policy besides the list:"]
            lines += wrapped(policy.allow.sorted(), indent: "    ", width: 100)
        }
        return lines.joined(separator: "\n")
    }

    private static func environment(_ environment: [String: String]) -> String {
        if environment.isEmpty { return "Environment   as the image says." }
        let names = environment.keys.sorted().joined(separator: ", ")
        return "Environment   as the image says, and this policy sets \(names)."
    }

    private static func table(_ rows: [(name: String, value: String, meaning: String)]) -> String {
        let widths = rows.reduce((0, 0)) { (max($0.0, $1.name.count), max($0.1, $1.value.count)) }
        return rows.map { row in
            "  \(padded(row.name, widths.0))  \(padded(row.value, widths.1))  \(row.meaning)"
        }.joined(separator: "\n")
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }

    private static func wrapped(_ words: [String], indent: String, width: Int) -> [String] {
        var lines: [String] = []
        for word in words {
            if let last = lines.last, last.count + 1 + word.count <= width {
                lines[lines.count - 1] = last + " " + word
            } else {
                lines.append(indent + word)
            }
        }
        return lines
    }

    private static func size(_ bytes: UInt64) -> String { ByteSize(bytes: bytes).text }
    private static func duration(_ seconds: UInt64) -> String { TimeLength(milliseconds: seconds * 1000).text }
    private static func number(_ value: Double) -> String {
        Int64(exactly: value).map(String.init) ?? String(value)
    }
}

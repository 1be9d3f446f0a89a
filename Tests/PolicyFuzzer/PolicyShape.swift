import Model

/// What may stand where in a policy, so that generated documents get past the first check.
indirect enum PolicyShape: Sendable {
    /// Values that are right by themselves, and values that are not.
    case values([JSONValue], wrong: [JSONValue])
    case object([(name: String, shape: PolicyShape)])
    case list(PolicyShape)
    case either([PolicyShape])

    /// All of a policy.
    static let policy: PolicyShape = .object([
        ("$schema", texts(["./policy.schema.json"], [])),
        ("command", .list(texts(["/bin/sh", "/usr/bin/python3", "/a//b"], ["sh", "/../x", "\u{0}", ""]))),
        (
            "environment",
            .object([
                ("A", texts(["", "b", "é😀"], ["\u{0}"])), ("_x9", texts(["1"], [])), ("PORT", texts([], ["80"])),
                ("", texts([], ["x"])),
            ])
        ),
        ("command_user", .object([("uid", integers([1, 65533], [0, 65534])), ("gid", integers([7], [-1]))])),
        ("hostname", texts(["a", "notebook-1"], ["", "-a", "a.b", "a\n"])),
        ("limits", limits),
        ("mounts", .list(mount)),
        ("volume_base", texts(["/srv/v", "/home/v"], ["/", "/etc/x", "/run", "srv", "/srv/"])),
        ("devices", .list(texts(SandboxDevice.allCases.map(\.rawValue), ["null", "KVM"]))),
        ("capabilities", .list(texts(SandboxCapability.allCases.map(\.rawValue), ["CHOWN", "CAP_SYS_ADMIN"]))),
        (
            "seccomp",
            .object([
                ("base", texts(["default"], ["all"])), ("allow", .list(calls(allowable))),
                ("deny", .list(calls(deniable))),
            ])
        ),
        ("landlock", landlock),
        ("network", texts(["none"], ["host", ""])),
        (
            "readiness",
            .object([
                ("port", integers([8080, 65535], [0, 65536])),
                ("path", texts(["/", "/api?x"], ["api", "/ ", "/\r\n"])),
                ("timeout", durations),
            ])
        ),
        ("grace_period", durations), ("lifetime", durations), ("idle", durations),
    ])

    private static let limits: PolicyShape = .object([
        ("memory", texts(["1GiB", "2GB", "64TiB"], ["4MiB", "1KiB", "65TiB"])), ("memory_high", sizes), ("swap", sizes),
        (
            "cpus",
            .values([.integer(1), .number(0.5), .number(0.01), .integer(1024)], wrong: [.integer(0), .number(-1)])
        ),
        ("cpu_period", texts(["100ms", "1s", "20ms"], ["0", "2s", "999us"])),
        ("cpu_weight", integers([1, 10_000], [0, 10_001])), ("cpu_time", durations),
        ("pids", integers([1, 64, 4_194_304], [0, .max])),
        (
            "io",
            .object([
                ("weight", integers([1, 500], [0])), ("read", sizes), ("write", sizes),
                ("reads", integers([1, 1000], [0, .min])), ("writes", integers([1_000_000_000], [1_000_000_001])),
            ])
        ),
        ("disk", sizes), ("disk_files", integers([16, 1_000_000_000], [15])),
        ("open_files", integers([16, 1024], [1])), ("shared_memory", sizes),
    ])

    private static let mount: PolicyShape = .either([
        .object([
            ("read_only", texts(["/srv/data", "/opt/x", "/tmp/own"], ["/", "/run/x", "/var", "/a/./b", "x"])),
            ("at", target),
        ]),
        .object([("volume", texts(["v", "a.b_c-D"], ["", ".", "../x", "a/b"])), ("at", target)]),
    ])

    private static let target = texts(
        ["/data", "/data/a", "/data/a/b", "/x", "/y"], ["/", "/proc", "/dev/x", "/a/", "/a/../b"])

    private static let paths: PolicyShape = .list(
        texts(["/", "/usr", "/usr/bin", "/home/user", "/tmp"], ["", "usr", "/a/"]))

    private static let landlock: PolicyShape = .object([
        ("execute", paths), ("read", paths), ("write", paths),
        ("listen", .list(integers([8080, 8080, 8080, 0, 65535], [-1, 65536]))),
        ("connect", .list(integers([1, 8080], [0]))),
    ])

    private static let allowable = ["ptrace", "io_setup", "mount", "bpf", "personality", "read", "arm_sync_file_range"]
    private static let deniable = ["chmod", "ioctl", "clone", "socket", "kill", "prctl", "mprotect", "ptrace"]

    private static func calls(_ names: [String]) -> PolicyShape {
        let name = texts(names, ["clone3", "execve", "mounnt", "", "socket\u{0}"])
        let numbers: [Int64] = [0, 1, 4, 9, 16, 35, 0x5412, 0x7fff_ffff, 0xffff_ffff]
        return .either([
            name,
            .object([
                ("call", name), ("argument", integers([0, 1, 5], [6, -1])),
                ("values", .list(integers(numbers, [-1, 0x1_0000_0000]))),
            ]),
            .object([
                ("call", name), ("argument", integers([0, 2], [6])), ("mask", integers([1, 4, 0xffff_ffff], [0])),
                ("set", texts(["any", "none"], ["all"])),
            ]),
        ])
    }

    private static let sizes = texts(
        ["4MiB", "64MiB", "64MiB", "999MB"], ["0", "64TiB", "1", "1B", "-1B", "99999999999TiB", "1 GiB", ""])
    private static let durations = texts(
        ["30s", "60s", "1m", "1m", "3600s"], ["0", "100ms", "1", "1ms", "99999999999999999999h", "s"])

    private static func texts(_ right: [String], _ wrong: [String]) -> PolicyShape {
        .values(right.map(JSONValue.string), wrong: wrong.map(JSONValue.string))
    }

    private static func integers(_ right: [Int64], _ wrong: [Int64]) -> PolicyShape {
        .values(right.map(JSONValue.integer), wrong: wrong.map(JSONValue.integer))
    }
}

import Testing

@testable import Policy

@Suite("Two policies side by side")
struct PolicyComparisonTests {
    private static func compare(_ first: String, _ second: String) throws -> PolicyComparison {
        PolicyComparison(try PolicyFile.parse(first, name: "a"), try PolicyFile.parse(second, name: "b"))
    }

    /// The first policy, the second, the field, and what the second is; the other way round it is the opposite.
    static let changes: [(String, String, String, PolicyComparison.Direction)] = [
        (#"{"limits": {"memory": "1GiB"}}"#, #"{"limits": {"memory": "2GiB"}}"#, "limits.memory", .looser),
        ("{}", #"{"limits": {"memory_high": "900MiB"}}"#, "limits.memory_high", .tighter),
        ("{}", #"{"limits": {"swap": "1MiB"}}"#, "limits.swap", .looser),
        ("{}", #"{"limits": {"cpus": 0.5}}"#, "limits.cpus", .tighter),
        ("{}", #"{"limits": {"cpu_weight": 101}}"#, "limits.cpu_weight", .looser),
        ("{}", #"{"limits": {"cpu_time": "1h"}}"#, "limits.cpu_time", .tighter),
        ("{}", #"{"limits": {"pids": 255}}"#, "limits.pids", .tighter),
        ("{}", #"{"limits": {"io": {"weight": 99}}}"#, "limits.io.weight", .tighter),
        ("{}", #"{"limits": {"io": {"read": "1MB"}}}"#, "limits.io.read", .tighter),
        ("{}", #"{"limits": {"io": {"write": "1MB"}}}"#, "limits.io.write", .tighter),
        ("{}", #"{"limits": {"io": {"reads": 1}}}"#, "limits.io.reads", .tighter),
        ("{}", #"{"limits": {"io": {"writes": 1}}}"#, "limits.io.writes", .tighter),
        ("{}", #"{"limits": {"disk": "1MiB"}}"#, "limits.disk", .tighter),
        ("{}", #"{"limits": {"disk_files": 16}}"#, "limits.disk_files", .tighter),
        ("{}", #"{"limits": {"open_files": 2048}}"#, "limits.open_files", .looser),
        ("{}", #"{"limits": {"shared_memory": "65MiB"}}"#, "limits.shared_memory", .looser),
        ("{}", #"{"mounts": [{"volume": "v", "at": "/v"}]}"#, "mounts at /v", .looser),
        ("{}", #"{"devices": ["kvm"]}"#, "devices", .looser),
        ("{}", #"{"capabilities": ["CAP_CHOWN"]}"#, "capabilities", .looser),
        ("{}", #"{"landlock": {"execute": ["/"]}}"#, "landlock", .tighter),
        (
            #"{"landlock": {"execute": ["/usr"]}}"#, #"{"landlock": {"execute": ["/usr"], "read": ["/etc"]}}"#,
            "landlock.read", .looser
        ),
        (
            #"{"landlock": {"execute": ["/usr"]}}"#, #"{"landlock": {"execute": ["/usr"], "write": ["/tmp"]}}"#,
            "landlock.write", .looser
        ),
        (
            #"{"landlock": {"execute": ["/usr"]}}"#, #"{"landlock": {"execute": ["/usr"], "connect": [80]}}"#,
            "landlock.connect", .tighter
        ),
        (
            #"{"landlock": {"execute": ["/usr"], "listen": [8080]}}"#,
            #"{"landlock": {"execute": ["/usr"], "listen": [8080, 0]}}"#, "landlock.listen", .looser
        ),
        ("{}", #"{"seccomp": {"allow": ["ptrace"]}}"#, "seccomp ptrace", .looser),
        ("{}", #"{"seccomp": {"deny": ["chmod"]}}"#, "seccomp chmod", .tighter),
        (
            "{}", #"{"seccomp": {"deny": [{"call": "kill", "argument": 1, "values": [9]}]}}"#, "seccomp kill", .tighter
        ),
        (
            #"{"seccomp": {"allow": [{"call": "ptrace", "argument": 0, "values": [0]}]}}"#,
            #"{"seccomp": {"allow": [{"call": "ptrace", "argument": 0, "values": [0, 16]}]}}"#, "seccomp ptrace",
            .looser
        ),
        (
            #"{"seccomp": {"deny": [{"call": "kill", "argument": 1, "values": [9, 10]}]}}"#,
            #"{"seccomp": {"deny": [{"call": "kill", "argument": 1, "values": [9]}]}}"#, "seccomp kill", .looser
        ),
        (
            #"{"seccomp": {"allow": [{"call": "ptrace", "argument": 0, "values": [0]}]}}"#,
            #"{"seccomp": {"allow": ["ptrace"]}}"#, "seccomp ptrace", .looser
        ),
        (
            "{}", #"{"seccomp": {"allow": [{"call": "personality", "argument": 0, "values": [262144]}]}}"#,
            "seccomp personality", .looser
        ),
        ("{}", #"{"readiness": {"timeout": "1m"}}"#, "readiness.timeout", .tighter),
        ("{}", #"{"grace_period": "31s"}"#, "grace_period", .looser),
        ("{}", #"{"lifetime": "1h"}"#, "lifetime", .tighter),
        ("{}", #"{"idle": "1h"}"#, "idle", .tighter),
    ]

    @Test("Each field is looser or tighter, and the opposite the other way round", arguments: changes)
    func directions(_ first: String, _ second: String, _ field: String, _ direction: PolicyComparison.Direction) throws
    {
        let forth = try Self.compare(first, second)
        let back = try Self.compare(second, first)
        #expect(forth.differences.map(\.field) == [field])
        #expect(forth.differences.map(\.direction) == [direction])
        #expect(back.differences.map(\.direction) == [direction == .looser ? .tighter : .looser])
        #expect(forth.isLooser == (direction == .looser))
        #expect(back.isLooser == (direction == .tighter))
    }

    @Test(
        "What is neither is told all the same",
        arguments: [
            (#"{"hostname": "b"}"#, "hostname"), (#"{"command": ["/b"]}"#, "command"),
            (#"{"environment": {"A": ""}}"#, "environment.A"), (#"{"command_user": {"uid": 7}}"#, "command_user.uid"),
            (#"{"command_user": {"gid": 7}}"#, "command_user.gid"),
            (#"{"limits": {"cpu_period": "50ms"}}"#, "limits.cpu_period"),
            (#"{"readiness": {"port": 9}}"#, "readiness.port"), (#"{"readiness": {"path": "/"}}"#, "readiness.path"),
            (#"{"volume_base": "/srv/v"}"#, "volume_base"),
            (#"{"seccomp": {"deny": ["io_setup"]}}"#, "seccomp io_setup"),
        ])
    func others(_ second: String, _ field: String) throws {
        let comparison = try Self.compare("{}", second)
        #expect(comparison.differences.map(\.field) == [field])
        #expect(comparison.differences.map(\.direction) == [.other])
        #expect(!comparison.isLooser)
    }

    @Test("Every field of a policy that differs is told")
    func everyField() throws {
        let fields = Set(try Self.compare("{}", PolicyCorpus.everyField).differences.map { $0.field })
        for (path, known) in try PolicyFields.ofParser() where ["", "limits", "limits.io", "readiness"].contains(path) {
            for name in known where !["$schema", "network"].contains(name) {
                let whole = path.isEmpty ? name : "\(path).\(name)"
                #expect(fields.contains { $0.hasPrefix(whole) }, "\(whole)")
            }
        }
    }

    @Test("Another source at the same place, or another base of volumes, is looser: it shows what was out of reach")
    func otherSources() throws {
        let first = #"{"mounts": [{"read_only": "/srv/a", "at": "/a"}]}"#
        #expect(try Self.compare(first, #"{"mounts": [{"read_only": "/srv/b", "at": "/a"}]}"#).isLooser)
        let volume = #"{"mounts": [{"volume": "v", "at": "/a"}]}"#
        let moved = try Self.compare(volume, #"{"mounts": [{"volume": "v", "at": "/a"}], "volume_base": "/srv"}"#)
        #expect(moved.isLooser)
    }

    @Test("A path that another one contained already is no news")
    func coveredPaths() throws {
        let whole = #"{"landlock": {"execute": ["/usr"]}}"#
        let both = #"{"landlock": {"execute": ["/usr", "/usr/bin"]}}"#
        #expect(try !Self.compare(whole, both).isLooser)
        #expect(
            try Self.compare(both, #"{"landlock": {"execute": ["/usr/bin"]}}"#).differences.map(\.direction) == [
                .tighter
            ])
    }

    @Test("System calls gained and lost are named; what has no effect is no difference")
    func calls() throws {
        let comparison = try Self.compare(
            #"{"seccomp": {"allow": ["read"], "deny": ["ptrace"]}}"#,
            #"{"seccomp": {"allow": ["bpf", "io_setup"], "deny": ["chmod", "mount"]}}"#)
        #expect(comparison.callsGained == ["bpf", "io_setup"])
        #expect(comparison.callsLost == ["chmod"])
        #expect(comparison.differences.map(\.field) == ["seccomp bpf", "seccomp chmod", "seccomp io_setup"])
        let text = comparison.text("a.json", "b.json")
        for part in [
            "System calls gained (2):\n    bpf io_setup\n", "lost (1):\n    chmod\n", "b.json is looser than a.json.\n",
        ] {
            #expect(text.contains(part), "\(part)")
        }
        #expect(try Self.compare("{}", "{}").text("a", "b") == "a and b say the same.\n")
    }
}

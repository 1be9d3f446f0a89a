import Testing

@testable import Policy

@Suite("What is said of a policy")
struct PolicyWordsTests {
    @Test(
        "What is allowed and hardly meant deserves a warning",
        arguments: [
            (
                #"{"limits": {"memory": "64MiB", "disk": "65MiB"}}"#,
                "limits.disk: 65MiB is more than limits.memory, 64MiB, which files count towards: writing that much ends "
                    + "the backend"
            ),
            (
                #"{"lifetime": "1m", "readiness": {"timeout": "61s"}}"#,
                "readiness.timeout: 61s is never reached, since lifetime is 1m"
            ),
            (#"{"volume_base": "/srv/v"}"#, "volume_base: has no effect, since no mount is a volume"),
            (
                #"{"capabilities": ["CAP_NET_BIND_SERVICE"], "landlock": {"execute": ["/"], "listen": [8080]}}"#,
                "capabilities: CAP_NET_BIND_SERVICE has no effect, since landlock.listen has no port below 1024"
            ),
            (
                #"{"seccomp": {"allow": ["read"]}}"#,
                #"seccomp.allow: "read" has no effect, since the list lets it through"#
            ),
            (
                #"{"seccomp": {"allow": ["bpf"]}}"#,
                #"seccomp.allow: "bpf" gives up a defence: it opens a part of the kernel that was broken out of again "#
                    + "and again"
            ),
            (
                #"{"seccomp": {"deny": ["mount"]}}"#,
                #"seccomp.deny: "mount" has no effect, since the list refuses it"#
            ),
        ])
    func warnings(_ text: String, _ warning: String) throws {
        let warnings = PolicyWarning.all(in: try PolicyFile.parse(text, name: "x.json"))
        #expect(warnings.map(\.description) == [warning])
    }

    @Test("What does what it says deserves none")
    func noWarnings() throws {
        for text in [
            "{}", #"{"seccomp": {"allow": ["io_setup"], "deny": ["chmod"]}}"#,
            #"{"mounts": [{"volume": "v", "at": "/v"}], "volume_base": "/srv/v"}"#,
        ] {
            #expect(PolicyWarning.all(in: try PolicyFile.parse(text, name: "x.json")) == [])
        }
    }

    @Test("The explanation of the default policy says that there is nothing special")
    func plainExplanation() throws {
        let text = PolicyExplanation.text(PolicyDocument(), name: "default.json")
        let count = SeccompProgram(SystemCallPolicy()).allowedCount
        let missing = [
            "Policy default.json\n", "the image's command\n", "user 1000, group 1000, on host \"sandbox\"",
            "no capability",
            "none: loopback only", "nothing of the host.", "Landlock no rules", " memory 1GiB ",
            "\(count) are let through by", "lifetime - as long as a request says", "as the image says.\n",
        ].filter { !Self.squeezed(text).contains($0) }
        #expect(missing == [])
    }

    /// Without the columns, which depend on what else stands in them.
    private static func squeezed(_ text: String) -> String {
        text.reduce(into: "") { if $1 != " " || $0.last != " " { $0.append($1) } }
    }

    @Test("The explanation names everything that a policy gives and takes")
    func wholeExplanation() throws {
        let policy = try PolicyFile.parse(PolicyCorpus.everyField, name: "x.json")
        let text = PolicyExplanation.text(policy, name: "x.json")
        let missing = [
            "/usr/bin/python3 -m notebook, in place of", "user 2000, group 65533, on host \"notebook-1\"",
            "CAP_CHOWN, CAP_NET_BIND_SERVICE, over its own sandbox only",
            " /data /srv/data of the host, read-only",
            "/data/notebooks notebooks volume in /srv/volumes, writable, kept",
            "the host's dri/renderD128, kvm.",
            "/home/user, /tmp", "listen 0, 8080", "connect no port", "memory_high 1800MB", "io.read 50MiB",
            "cpu_time 5m of all its processes together",
            "port 8080 must answer status 200 to 399 for HEAD /api?x=%20",
            "ends after so long without a connection", "ptrace when argument 0 is 0 or 3",
            "kill when argument 1 has no bit of 31",
            "mprotect when argument 2 has any bit of 4", "this policy sets GREETING, LANG.",
        ].filter { !Self.squeezed(text).contains($0) }
        #expect(missing == [])
        #expect(text.split(separator: "\n").allSatisfy { $0.count <= 130 })
    }
}

import Model
import Testing

@testable import Policy

@Suite("A policy file")
struct PolicyFileTests {
    /// The repository's own folder of policies, from this file's place in it.
    static let policies = #filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 } + "/Policies"

    @Test("An empty object is the default policy, and Policies/default.json spells it out")
    func emptyIsDefault() throws {
        let spelled = try PolicyFile.parse(
            try Command.content(of: "\(Self.policies)/default.json"), name: "default.json")
        #expect(try PolicyFile.parse("{}", name: "empty.json") == PolicyDocument())
        #expect(spelled == PolicyDocument())
        #expect(PolicyDocument().limits.memoryBytes == 1 << 30)
    }

    @Test("Policies/python-repl.json is smaller than the default")
    func pythonREPL() throws {
        let policy = try PolicyFile.parse(
            try Command.content(of: "\(Self.policies)/python-repl.json"), name: "python-repl.json")
        #expect(policy.limits.memoryBytes == 512 << 20)
        #expect(policy.limits.pids == 64)
        #expect(policy.limits.diskBytes == 256 << 20)
        #expect(policy.seccomp == SystemCallPolicy())
    }

    @Test("Every field, as the manual shows it")
    func everyField() throws {
        let policy = try PolicyFile.parse(
            """
            {
              "command_user": { "uid": 2000, "gid": 65533 },
              "hostname": "notebook-1",
              "limits": {
                "memory": "2GiB",
                "swap": "500MB",
                "cpus": 0.5,
                "cpu_period": "20ms",
                "pids": 32,
                "cpu_time": "5m",
                "disk": "1536KiB",
                "disk_files": 500,
                "open_files": 4096,
                "shared_memory": "1GB"
              },
              "seccomp": { "base": "default", "allow": ["ptrace", "io_setup"], "deny": ["socket"] },
              "network": "none",
              "readiness": { "timeout": "2m" },
              "grace_period": "0",
              "environment": { "LANG": "C.UTF-8", "GREETING": "hello \\u00e9\\ud83d\\ude00" }
            }
            """, name: "notebook.json")
        #expect(policy.commandUser.uid == 2000)
        #expect(policy.commandUser.gid == 65533)
        #expect(policy.hostname == "notebook-1")
        #expect(policy.limits.memoryBytes == 2_147_483_648)
        #expect(policy.limits.swapBytes == 500_000_000)
        #expect(policy.limits.cpuQuotaMicroseconds == 10_000)
        #expect(policy.limits.cpuPeriodMicroseconds == 20_000)
        #expect(policy.limits.pids == 32)
        #expect(policy.limits.cpuTimeSeconds == 300)
        #expect(policy.limits.diskBytes == 1536 * 1024)
        #expect(policy.limits.diskFiles == 500)
        #expect(policy.limits.openFiles == 4096)
        #expect(policy.limits.sharedMemoryBytes == 1_000_000_000)
        #expect(policy.seccomp.allow == ["ptrace", "io_setup"])
        #expect(policy.seccomp.deny == ["socket"])
        #expect(policy.network == .none)
        #expect(policy.readinessTimeoutSeconds == 120)
        #expect(policy.gracePeriodSeconds == 0)
        #expect(policy.environment == ["LANG": "C.UTF-8", "GREETING": "hello é😀"])
    }

    @Test("A small memory takes the default of shared memory down with it")
    func sharedMemoryFollows() throws {
        let policy = try PolicyFile.parse(#"{"limits": {"memory": "32MiB"}}"#, name: "small.json")
        #expect(policy.limits.sharedMemoryBytes == 32 << 20)
    }

    struct Bad: CustomTestStringConvertible {
        let text: String, message: String
        init(_ text: String, _ message: String) { (self.text, self.message) = (text, message) }
        var testDescription: String { text }
    }

    static let badValues: [Bad] = [
        Bad(#"{"limits": {"memory": "2 GB"}}"#, #"limits.memory: "2 GB" is not a size; write "2GiB" or "2000MB""#),
        Bad(#"{"limits": {"memory": "-1"}}"#, #"limits.memory: "-1" is not a size; write "2GiB" or "2000MB""#),
        Bad(#"{"limits": {"memory": "1"}}"#, #"limits.memory: "1" is not a size; write "2GiB" or "2000MB""#),
        Bad(#"{"limits": {"memory": "٣GiB"}}"#, #"limits.memory: "٣GiB" is not a size; write "2GiB" or "2000MB""#),
        Bad(
            #"{"limits": {"memory": "18446744073709551615TiB"}}"#,
            #"limits.memory: "18446744073709551615TiB" is not a size; write "2GiB" or "2000MB""#),
        Bad(
            #"{"limits": {"memory": "1KiB"}}"#,
            #"limits.memory: "1KiB" is out of range; allowed are 4MiB to 64TiB"#),
        Bad(#"{"limits": {"memory": 1000000}}"#, "limits.memory: is an integer; write a string"),
        Bad(#"{"limits": {"disk": "0"}}"#, #"limits.disk: "0" is out of range; allowed are 64KiB to 64TiB"#),
        Bad(
            #"{"limits": {"memory": "64MiB", "shared_memory": "65MiB"}}"#,
            "limits.shared_memory: 65MiB is more than limits.memory, 64MiB, which it counts towards"),
        Bad(#"{"limits": {"cpus": 0}}"#, "limits.cpus: 0.0 is out of range; allowed are 0.01 to 1024.0"),
        Bad(#"{"limits": {"cpus": 1e999}}"#, "line 1, column 21: the number is too large"),
        Bad(#"{"limits": {"cpus": "1"}}"#, "limits.cpus: is a string; write a number"),
        Bad(
            #"{"limits": {"cpus": 0.01, "cpu_period": "10ms"}}"#,
            "limits.cpus: 0.01 of a cpu_period of 10ms is less than the 1ms that the kernel can hand out; "
                + "raise one of the two"),
        Bad(
            #"{"limits": {"cpu_period": "2s"}}"#,
            #"limits.cpu_period: "2s" is out of range; allowed are 1ms to 1s"#),
        Bad(#"{"limits": {"cpu_time": "1500ms"}}"#, #"limits.cpu_time: "1500ms" is not a whole number of seconds"#),
        Bad(#"{"limits": {"pids": 0}}"#, "limits.pids: 0 is out of range; allowed are 1 to 4194304"),
        Bad(#"{"limits": {"pids": 1.5}}"#, "limits.pids: is a number; write an integer"),
        Bad(#"{"limits": []}"#, "limits: is an array; write an object, {…}"),
        Bad(
            #"{"limits": {"memroy": "1GiB"}}"#,
            "limits.memroy: is not a known field; known are cpu_period, cpu_time, cpus, disk, disk_files, memory, "
                + "open_files, pids, shared_memory, swap"),
        Bad(
            #"{"extra": 1}"#,
            "extra: is not a known field; known are command_user, environment, grace_period, hostname, limits, network, "
                + "readiness, seccomp"),
        Bad(#"{"command_user": {"uid": 0}}"#, "command_user.uid: 0 is out of range; allowed are 1 to 65533"),
        Bad(#"{"command_user": {"gid": 65534}}"#, "command_user.gid: 65534 is out of range; allowed are 1 to 65533"),
        Bad(
            #"{"hostname": "a.b"}"#,
            #"hostname: "a.b" is not a host name; use 1 to 63 of a-z A-Z 0-9 and -, not beginning or ending with -"#),
        Bad(#"{"network": "host"}"#, #"network: "host" is not supported; the only value is "none""#),
        Bad(#"{"seccomp": {"base": "all"}}"#, #"seccomp.base: "all" is not supported; the only value is "default""#),
        Bad(
            #"{"seccomp": {"allow": ["ptrace", "mounnt"]}}"#,
            #"seccomp.allow[1]: "mounnt" is not a system call that is known here; "#
                + #"write its name as in section 2 of the manual, for example "ptrace""#),
        Bad(
            #"{"seccomp": {"deny": ["chmod", "chmod"]}}"#,
            #"seccomp.deny[1]: "chmod" stands twice; take one out"#),
        Bad(
            #"{"seccomp": {"allow": ["ptrace"], "deny": ["ptrace"]}}"#,
            #"seccomp.deny: "ptrace" is in seccomp.allow too; take it out of one"#),
        Bad(
            #"{"seccomp": {"allow": ["clone3"]}}"#,
            #"seccomp.allow: "clone3" can make namespaces, and a filter cannot see its flags; "#
                + "programs use clone when it is not there"),
        Bad(
            #"{"seccomp": {"allow": ["socket"]}}"#,
            #"seccomp.allow: "socket" is let through already as far as its arguments are harmless; "#
                + "without that check the sandbox has a hole"),
        Bad(
            #"{"seccomp": {"deny": ["execve"]}}"#,
            #"seccomp.deny: "execve" cannot be refused: without it no command starts and ends"#),
        Bad(
            #"{"readiness": {"timeout": "soon"}}"#,
            #"readiness.timeout: "soon" is not a duration; write "500ms", "30s" or "5m""#),
        Bad(#"{"grace_period": "2h"}"#, #"grace_period: "2h" is out of range; allowed are 0s to 1h"#),
        Bad(#"{"environment": {"PORT": "80"}}"#, "environment.PORT: is set by Plane itself; take it out"),
        Bad(
            #"{"environment": {"A=B": ""}}"#,
            #"environment: "A=B" is not a variable's name; use A-Z a-z 0-9 and _, not beginning with a digit"#),
        Bad(#"{"environment": {"A": "\u0000"}}"#, "environment.A: contains a zero character"),
        Bad(#"[]"#, "the document: is an array; write an object, {…}"),
    ]

    static let badSyntax: [Bad] = [
        Bad("", "line 1, column 1: the text is empty; a JSON value is needed"),
        Bad("{\n  \"limits\": {\n    \"pids\" 3", "line 3, column 12: a colon is needed after a member's name"),
        Bad("{\"a\": 1,}", "line 1, column 9: a member's name in double quotes is needed"),
        Bad("{} {}", "line 1, column 4: something follows the end of the value"),
        Bad("{\n\"pids\": 1,\n\"pids\": 2}", #"line 3, column 1: the member "pids" comes twice"#),
        Bad(
            "{\"a\": " + String(repeating: "[", count: 100),
            "line 1, column 70: more than \(JSONValue.depthMax) levels of nesting"),
    ]

    @Test("A wrong value is refused with file, field and what is allowed", arguments: badValues + badSyntax)
    func refused(_ bad: Bad) {
        let error = #expect(throws: PolicyError.self) { try PolicyFile.parse(bad.text, name: "bad.json") }
        #expect(error?.description == "policy bad.json: " + bad.message)
    }

    @Test("Text that is not UTF-8 and files that are too large are refused")
    func notText() {
        let error = #expect(throws: PolicyError.self) {
            try PolicyFile.parse(Array(#"{"hostname": ""#.utf8) + [0xff] + Array(#""}"#.utf8), name: "bad.json")
        }
        #expect(
            error?.description == "policy bad.json: line 1, column 14: the string is not UTF-8")
        let large = #expect(throws: PolicyError.self) {
            try PolicyFile.parse([UInt8](repeating: 0x20, count: PolicyFile.bytesMax + 1), name: "bad.json")
        }
        #expect(large?.description == "policy bad.json: is 1048577 bytes long; at most 1048576 are allowed")
    }

    @Test("Sizes and durations are said back in their largest exact unit")
    func quantities() {
        for text in ["0", "1B", "1023B", "1KiB", "1KB", "3GiB", "2TB", "1536MiB"] {
            #expect(ByteSize(text)?.text == text)
        }
        for text in ["0s", "1ms", "1500ms", "90s", "2m", "25h"] { #expect(TimeLength(text)?.text == text) }
        for text in ["", "B", "1kb", "1 B", "+1B", "1.5GiB", "1GiBs"] { #expect(ByteSize(text) == nil) }
    }

    @Test("The explanation says limits, system calls and the outside world")
    func explanation() throws {
        let policy = try PolicyFile.parse(
            #"{"limits": {"memory": "512MiB"}, "seccomp": {"allow": ["ptrace"]}, "environment": {"A": "1"}}"#,
            name: "x.json")
        let text = PolicyExplanation.text(policy, name: "x.json")
        let count = SeccompProgram(policy.seccomp).allowedCount
        for expected in ["memory         512MiB", "\(count) are let through", "none: loopback only", "sets A."] {
            #expect(text.contains(expected), "\(expected)")
        }
        #expect(count == SeccompProgram(SystemCallPolicy()).allowedCount + 1)
    }
}

import Model
import Policy
import Testing

@testable import plane

@Suite("Policy flags of plane run")
struct RunOverridesTests {
    private func overrides(_ words: [String]) throws -> RunOverrides {
        try RunOverrides(Arguments(words, RunCommand.syntax))
    }

    /// The policy that comes out, read as every policy is.
    private func policy(_ words: [String], over text: String = "{}") throws -> PolicyDocument {
        let changed = try overrides(words).applied(to: .init(name: "p.json", text: Array(text.utf8)))
        return try PolicyFile.parse(changed.text, name: changed.name)
    }

    @Test("Each flag sets its field, and leaves the others as the file has them")
    func fields() throws {
        let policy = try policy(
            [
                "--memory", "64MiB", "--cpus", "0.5", "--pids", "7", "--cpu-time", "9s", "--disk", "1MiB",
                "--disk-files", "99", "--open-files", "77", "--shm", "1MiB", "--timeout", "2m", "--hostname", "box",
                "--user", "7:8", "--swap", "1MiB",
            ], over: #"{"grace_period": "3s", "limits": {"memory": "1GiB", "cpu_weight": 50}}"#)
        #expect(policy.limits.memoryBytes == 64 << 20 && policy.limits.swapBytes == 1 << 20)
        #expect(policy.limits.cpus == 0.5 && policy.limits.pids == 7 && policy.limits.cpuTimeSeconds == 9)
        #expect(policy.limits.diskBytes == 1 << 20 && policy.limits.diskFiles == 99)
        #expect(policy.limits.openFiles == 77 && policy.limits.sharedMemoryBytes == 1 << 20)
        #expect(policy.lifetimeSeconds == 120 && policy.hostname == "box")
        #expect(policy.commandUser.uid == 7 && policy.commandUser.gid == 8)
        #expect(policy.gracePeriodSeconds == 3 && policy.limits.cpuWeight == 50)
        #expect(try self.policy(["--user", "9"]).commandUser.gid == 9)
    }

    @Test("Mounts, devices and capabilities are added to the file's; what it has already is not there twice")
    func lists() throws {
        let policy = try policy(
            [
                "--mount-read-only", "/srv/a:b:/x", "--volume", "notes:/y", "--device", "kvm", "--capability",
                "CAP_CHOWN", "--capability", "CAP_KILL",
            ],
            over: #"{"mounts": [{"volume": "v", "at": "/v"}], "capabilities": ["CAP_CHOWN"]}"#)
        #expect(policy.mounts.map(\.target) == ["/v", "/x", "/y"])
        #expect(policy.mounts.map(\.source)[1] == .readOnly(path: "/srv/a:b"))
        #expect(policy.devices.map(\.rawValue) == ["kvm"])
        #expect(policy.capabilities.map(\.rawValue) == ["CAP_CHOWN", "CAP_KILL"])
    }

    @Test("A system call that the file refuses can be let through, and the other way round")
    func systemCalls() throws {
        let file = #"{"seccomp": {"allow": ["ptrace"], "deny": ["link"]}}"#
        let policy = try policy(["--allow-syscall", "link", "--deny-syscall", "ptrace"], over: file)
        #expect(policy.seccomp.allow == ["link"] && policy.seccomp.deny == ["ptrace"])
    }

    @Test("Values pass the checks of a policy file, and its answers say where they come from")
    func checks() throws {
        let error = try #require(throws: PolicyError.self) { try policy(["--memory", "12"]) }
        #expect(error.place == "limits.memory")
        #expect(error.subject == "policy p.json with the flags of the command line")
        for words in [["--pids", "0"], ["--hostname", "a b"], ["--user", "0"], ["--capability", "CAP_X"]] {
            #expect(throws: PolicyError.self, "\(words)") { try policy(words) }
        }
    }

    @Test(
        "What could not be put into a policy is refused as a wrong command line",
        arguments: [
            ["--pids", "many"], ["--cpus", "\"1\""], ["--user", "root"], ["--user", "1:2:3"], ["--volume", "name"],
            ["--mount-read-only", ":/x"],
        ])
    func usage(words: [String]) { #expect(throws: UsageError.self) { try overrides(words) } }

    @Test("Without flags the policy's text is read as it is, broken or not")
    func untouched() throws {
        let text = PlanCompiler.PolicyText(name: "p.json", text: Array("{ no".utf8))
        #expect(try overrides([]).applied(to: text).text == text.text)
        #expect(try overrides(["--pids", "7"]).applied(to: text).name == "p.json")
    }
}

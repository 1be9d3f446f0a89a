import Model
import Testing

@testable import Policy

@Suite("A policy file")
struct PolicyFileTests {
    /// The repository's own folder of policies, from this file's place in it.
    static let policies = #filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 } + "/Policies"

    @Test("An empty object is the default policy, and Policies/default.json spells it out")
    func emptyIsDefault() throws {
        let spelled = try Command.content(of: "\(Self.policies)/default.json")
        #expect(try PolicyFile.parse("{}", name: "empty.json") == PolicyDocument())
        #expect(try PolicyFile.parse(spelled, name: "default.json") == PolicyDocument())
        #expect(PolicyDocument().limits.memoryBytes == 1 << 30)
    }

    @Test("Policies/default.json has every field that there is")
    func defaultIsWhole() throws {
        let spelled = try JSONValue(parsing: try Command.content(of: "\(Self.policies)/default.json"))
        for (path, known) in try PolicyFields.ofParser() where !path.contains("[") && path != "landlock" {
            #expect(Set(try #require(PolicyFields.members(of: spelled, at: path)).keys) == known, "\(path)")
        }
    }

    @Test("The repository's policies are right and deserve no warning")
    func repositoryPolicies() throws {
        let files = try Command.run("ls \(Self.policies)").output.split(separator: "\n").map(String.init)
        #expect(files.count == 7)
        for file in files where file != "policy.schema.json" {
            let policy = try PolicyFile.parse(try Command.content(of: "\(Self.policies)/\(file)"), name: file)
            #expect(PolicyWarning.all(in: policy) == [], "\(file)")
            // They keep to the default's walls.
            #expect(policy.seccomp == SystemCallPolicy() && policy.mounts.isEmpty && policy.devices.isEmpty)
            #expect(policy.capabilities.isEmpty)
        }
    }

    @Test("Every field, as the manual shows it")
    func everyField() throws {
        let policy = try PolicyFile.parse(PolicyCorpus.everyField, name: "notebook.json")
        #expect(policy.command == ["/usr/bin/python3", "-m", "notebook"])
        #expect(policy.environment == ["LANG": "C.UTF-8", "GREETING": "hello é😀"])
        #expect(policy.commandUser.uid == 2000)
        #expect(policy.commandUser.gid == 65533)
        #expect(policy.hostname == "notebook-1")
        #expect(policy.network == .none)
        #expect(policy.readiness.port == 8080)
        #expect(policy.readiness.path == "/api?x=%20")
        #expect(policy.readiness.timeoutSeconds == 120)
        #expect(policy.gracePeriodSeconds == 0)
        #expect(policy.lifetimeSeconds == 86_400)
        #expect(policy.idleSeconds == 1800)
    }

    @Test("Every limit")
    func everyLimit() throws {
        let limits = try PolicyFile.parse(PolicyCorpus.everyField, name: "notebook.json").limits
        #expect(limits.memoryBytes == 2_147_483_648)
        #expect(limits.memoryHighBytes == 1_800_000_000)
        #expect(limits.swapBytes == 500_000_000)
        #expect(limits.cpuQuotaMicroseconds == 10_000)
        #expect(limits.cpuPeriodMicroseconds == 20_000)
        #expect(limits.cpuWeight == 50)
        #expect(limits.cpuTimeSeconds == 300)
        #expect(limits.pids == 32)
        #expect(limits.ioWeight == 200)
        #expect(limits.io.readBytesPerSecond == 50 << 20)
        #expect(limits.io.writeBytesPerSecond == 20_000_000)
        #expect(limits.io.readsPerSecond == 1000)
        #expect(limits.io.writesPerSecond == 500)
        #expect(limits.diskBytes == 1536 * 1024)
        #expect(limits.diskFiles == 500)
        #expect(limits.openFiles == 4096)
        #expect(limits.sharedMemoryBytes == 1_000_000_000)
    }

    @Test("Mounts, devices, capabilities, Landlock rules and system calls")
    func everyWall() throws {
        let policy = try PolicyFile.parse(PolicyCorpus.everyField, name: "notebook.json")
        #expect(
            policy.mounts == [
                .init(source: .readOnly(path: "/srv/data"), target: "/data"),
                .init(source: .volume(name: "notebooks"), target: "/data/notebooks"),
            ])
        #expect(policy.volumeBase == "/srv/volumes")
        #expect(policy.devices == [.render, .kvm])
        #expect(policy.capabilities == [.changeOwners, .bindLowPorts])
        var landlock = LandlockRules()
        landlock.readable = ["/"]
        landlock.writable = ["/home/user", "/tmp"]
        landlock.executable = ["/usr"]
        landlock.listenPorts = [0, 8080]
        landlock.connectPorts = []
        #expect(policy.landlock == landlock)
        var seccomp = SystemCallPolicy()
        seccomp.allow = ["io_setup"]
        seccomp.allowWhen = [.init(call: "ptrace", argument: 0, condition: .isOneOf([0, 3]))]
        seccomp.deny = ["socketpair"]
        seccomp.denyWhen = [
            .init(call: "mprotect", argument: 2, condition: .hasAnyBit(4)),
            .init(call: "kill", argument: 1, condition: .hasNoBit(31)),
        ]
        #expect(policy.seccomp == seccomp)
    }

    @Test("A small memory takes the defaults of shared memory and disk down with it")
    func defaultsFollowMemory() throws {
        let limits = try PolicyFile.parse(#"{"limits": {"memory": "32MiB"}}"#, name: "small.json").limits
        #expect(limits.sharedMemoryBytes == 32 << 20)
        #expect(limits.diskBytes == 32 << 20)
    }

    @Test("What is right is read", arguments: PolicyCorpus.right)
    func accepted(_ text: String) throws { _ = try PolicyFile.parse(text, name: "right.json") }

    @Test(
        "A wrong value is refused with file, field and what is allowed",
        arguments: PolicyCorpus.wrongShape + PolicyCorpus.wrongMeaning + PolicyCorpus.wrongSyntax)
    func refused(_ bad: PolicyCorpus.Bad) {
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
}

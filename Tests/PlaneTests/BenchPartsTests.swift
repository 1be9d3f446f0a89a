import Glibc
import Linux
import Model
import Policy
import Testing

@testable import plane

@Suite("What a benchmark is made of")
struct BenchPartsTests {
    @Test("The stamping payload runs here, and what it writes lies between its start and its end")
    func stamp() throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/payload"
        try File.open(path, O_WRONLY | O_CREAT, mode: 0o755).writeAll(BenchPayload.stamp.executable(for: .native))
        let contender = ProgramContender("itself", [path])
        let before = BenchInstant.now
        let sample = try contender.start()
        let total = BenchInstant.now.microseconds(since: before)
        #expect(sample.firstInstruction > 0)
        #expect(sample.firstInstruction <= sample.whole)
        #expect(sample.whole <= total)
    }

    @Test("The idle payload waits until it is killed")
    func idle() throws {
        let folder = try TemporaryFolder()
        let path = "\(folder.path)/payload"
        try File.open(path, O_WRONLY | O_CREAT, mode: 0o755).writeAll(BenchPayload.idle.executable(for: .native))
        var pid: Int32 = 0
        var arguments: [UnsafeMutablePointer<CChar>?] = [strdup(path), nil]
        defer { free(arguments[0]) }
        #expect(posix_spawn(&pid, path, nil, nil, &arguments, environ) == 0)
        let process = try ProcessDescriptor(ofChild: pid)
        var watch = pollfd(fd: process.raw, events: Int16(POLLIN), revents: 0)
        #expect(poll(&watch, 1, 50) == 0, "it has ended by itself")
        try process.signal(SIGKILL)
        #expect(try process.reap() == .signaled(signal: SIGKILL))
    }

    @Test("Both machines' payloads are static executables whose entry lies in the one loaded segment")
    func elf() throws {
        for payload in BenchPayload.allCases {
            for (architecture, machine) in [(Architecture.x86_64, 62), (.aarch64, 183)] {
                let file = payload.executable(for: architecture)
                func number(_ offset: Int, _ count: Int) -> UInt64 {
                    file[offset..<offset + count].reversed().reduce(0) { $0 << 8 | UInt64($1) }
                }
                #expect(file.starts(with: [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]))
                #expect(number(18, 2) == UInt64(machine))
                let (entry, address, size) = (number(24, 8), number(64 + 16, 8), number(64 + 32, 8))
                #expect(entry == address + 64 + 2 * 56)
                #expect(size == UInt64(file.count) && entry < address + size)
            }
        }
    }

    @Test("Time that a payload could not write whole is no time")
    func shortStamp() {
        #expect(BenchInstant(stamp: [1, 2, 3]) == nil)
        let bytes = [UInt8](repeating: 0, count: 7)
        #expect(BenchInstant(stamp: [2] + bytes + [5] + bytes)?.nanoseconds == 2_000_000_005)
    }

    @Test("Private memory is the sum of clean and dirty, and nothing that is shared")
    func privateMemory() {
        let rollup = """
            00400000-7ffff000 ---p 00000000 00:00 0    [rollup]
            Rss:                1000 kB
            Shared_Clean:        700 kB
            Private_Clean:        40 kB
            Private_Dirty:       120 kB
            Private_Hugetlb:       0 kB
            """
        #expect(PrivateMemory(rollup: rollup).kibibytes == 160)
    }

    @Test("Only what was not there before counts as left behind")
    func leaks() {
        let before = WardenTraces(mounts: ["a"], cgroups: ["p/bench-1"], children: [7], descriptorCount: 9)
        let after = WardenTraces(
            mounts: ["a", "b"], cgroups: ["p/bench-1", "p/bench-2"], children: [], descriptorCount: 11)
        #expect(after.additions(since: before) == ["1 mounts", "1 cgroups", "2 descriptors"])
        #expect(before.additions(since: before).isEmpty)
        #expect(before.additions(since: after) == ["1 processes"])
    }

    @Test("Rules of the engines' list that need a capability or another machine are left out of the bundle")
    func profile() throws {
        let profile = try JSONValue(
            parsing: Array(
                """
                {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
                 "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
                 "syscalls": [
                  {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": null, "comment": "", "includes": {}},
                  {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
                  {"names": ["umount"], "action": "SCMP_ACT_ERRNO", "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
                  {"names": ["chown"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_CHOWN"]}},
                  {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64"]}},
                  {"names": ["cacheflush"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm"]}}]}
                """.utf8))
        let calls = try BenchBundle.systemCalls(profile, architecture: "x86_64")
        let members = try #require(calls.members)
        #expect(members["architectures"] == .array([.string("SCMP_ARCH_X86_64"), .string("SCMP_ARCH_X86")]))
        #expect(members["defaultErrnoRet"] == .integer(38))
        guard case .array(let rules)? = members["syscalls"] else {
            Issue.record("no rules")
            return
        }
        let names = rules.compactMap { $0.members?["names"] }
        #expect(names == ["read", "umount", "chown", "arch_prctl"].map { .array([.string($0)]) })
        #expect(rules.first?.members?.keys.sorted() == ["action", "names"])
        #expect(throws: CommandFailure.self) {
            try BenchBundle.systemCalls(.object([:]), architecture: "x86_64")
        }
    }
}

import Glibc
import Linux
import Model
import Policy
import Testing

@testable import plane

/// A root folder with the benchmark's payloads, and a state folder of its own.
private struct RunSite {
    let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        for name in ["proc", "dev", "tmp"] { try File.makeDirectories("\(root)/\(name)", mode: 0o755) }
        for payload in BenchPayload.allCases {
            let path = "\(root)/\(payload.rawValue)"
            try File.open(path, O_WRONLY | O_CREAT, mode: 0o755).writeAll(payload.executable(for: .native))
            chmod(path, 0o755)
        }
    }

    var root: String { folder.path + "/root" }

    func run(_ flags: [String], _ payload: BenchPayload) throws -> (PlaneProgram.Outcome, [String: JSONValue]) {
        let report = folder.path + "/report.json"
        let words =
            ["run", "--rootfs", root, "--state", folder.path + "/state", "--allow-missing-controllers"]
            + ["--json-to", report] + flags + ["--", "/\(payload.rawValue)"]
        let outcome = try PlaneProgram.run(words)
        return (outcome, try JSONValue(parsing: File.read(report)).members ?? [:])
    }
}

@Suite("plane run")
struct RunCommandTests {
    @Test("--json-to tells how the command ended, what it used, and how long each phase took")
    func report() throws {
        let (outcome, report) = try RunSite().run([], .stamp)
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(report["status"] == .integer(0) && report["code"] == .integer(0) && report["signal"] == .null)
        #expect(report["reason"] == .string("exited"))
        let phases = try #require(report["microseconds"]?.members)
        var sum: Int64 = 0
        for phase in ["compile", "warden", "prepare", "make", "exec", "run", "end"] {
            guard case .integer(let time)? = phases[phase] else {
                Issue.record("no time of \(phase)")
                continue
            }
            #expect(time >= 0)
            sum += time
        }
        guard case .integer(let total)? = phases["total"] else {
            Issue.record("no total")
            return
        }
        // Each is cut to whole microseconds.
        #expect((total - 7...total).contains(sum))
    }

    @Test("A command that outlives --timeout is killed, and its end says why")
    func timeout() throws {
        let (outcome, report) = try RunSite().run(["--timeout", "1s"], .idle)
        #expect(outcome.status == 137)
        #expect(outcome.errors.contains("its lifetime of 1 s is over"))
        #expect(report["reason"] == .string("swept") && report["signal"] == .integer(9))
    }

    @Test("--tty without a terminal outside is refused before anything is made")
    func noTerminal() throws {
        let site = try RunSite()
        let words = ["run", "--rootfs", site.root, "--state", site.folder.path + "/state", "--tty", "--", "/stamp"]
        let outcome = try PlaneProgram.run(words)
        #expect(outcome.status == 1)
        #expect(outcome.errors.contains("--tty needs a terminal as standard input"))
        #expect(File.status(site.folder.path + "/state") == nil)
    }
}

import Linux
import Model
import Testing

@testable import plane

@Suite("The program as a person meets it")
struct CommandLineTests {
    @Test(
        "Exit status 2 for words that are not understood, with the sentence on standard error and nothing else",
        arguments: [
            (["run", "--imag", "x"], "did you mean --image?"), (["rnu"], "did you mean run?"), ([], "say what to do"),
            (["policy"], "check, explain, diff, compile"),
        ])
    func usage(words: [String], part: String) throws {
        let outcome = try PlaneProgram.run(words)
        #expect(outcome.status == 2)
        #expect(outcome.errors.hasPrefix("plane: ") && outcome.errors.contains(part))
        #expect(outcome.errors.contains("--help"))
        #expect(outcome.output.isEmpty)
    }

    @Test(
        "Help is a result and no complaint",
        arguments: [["--help"], ["run", "--help"], ["image", "--help"], ["help"]])
    func help(words: [String]) throws {
        let outcome = try PlaneProgram.run(words)
        #expect(outcome.status == 0)
        #expect(outcome.output.contains("plane ") && outcome.errors.isEmpty)
    }

    @Test("Exit status 1 with one sentence for what cannot be done")
    func failures() throws {
        let folder = try TemporaryFolder()
        for (words, part) in [
            (["run", "--state", folder.path, "--image", "absent"], "plane image build"),
            (["run", "--state", folder.path, "--rootfs", "\(folder.path)/no", "--", "x"], "No such file"),
            (["policy", "check", "\(folder.path)/no.json"], "\(folder.path)/no.json"),
            (["image", "rm", "absent", "--state", folder.path], "absent"),
            (["image", "build", folder.path, "--state", folder.path], "image.json"),
            (["connect", "--key", "a", "--controller", "http://127.0.0.1:1"], "127.0.0.1:1"),
        ] {
            let outcome = try PlaneProgram.run(words)
            #expect(outcome.status == 1, "\(words)")
            #expect(outcome.errors.hasPrefix("plane: ") && outcome.errors.contains(part), "\(outcome.errors)")
        }
    }

    @Test("policy check names each wrong file's field and passes the right ones")
    func policies() throws {
        let folder = try TemporaryFolder()
        try folder.write(#"{"limits":{"memory":"1GiB"}}"#, to: "good.json")
        try folder.write(#"{"limits":{"memroy":"1GiB"}}"#, to: "bad.json")
        let outcome = try PlaneProgram.run(["policy", "check", "\(folder.path)/bad.json", "\(folder.path)/good.json"])
        #expect(outcome.status == 1)
        #expect(outcome.output == "\(folder.path)/good.json: right\n")
        #expect(outcome.errors.contains("bad.json: limits.memroy"))
    }

    @Test("policy diff exits with 1 where the second policy is looser; check warns of what has no effect")
    func comparison() throws {
        let folder = try TemporaryFolder()
        try folder.write(#"{"limits":{"pids":64}}"#, to: "small.json")
        try folder.write(#"{"limits":{"pids":65}, "seccomp":{"allow":["read"]}}"#, to: "large.json")
        let (small, large) = ("\(folder.path)/small.json", "\(folder.path)/large.json")
        #expect(try PlaneProgram.run(["policy", "diff", small, large]).status == 1)
        #expect(try PlaneProgram.run(["policy", "diff", large, small]).status == 0)
        #expect(try PlaneProgram.run(["policy", "diff", small, small]).output.hasSuffix("say the same.\n"))
        let check = try PlaneProgram.run(["policy", "check", large])
        #expect(check.status == 0)
        #expect(check.errors.hasPrefix("plane: warning: policy \(large): seccomp.allow: \"read\" has no effect"))
    }

    @Test("policy compile gives plans of the right images and sentences about the others")
    func compile() throws {
        let folder = try TemporaryFolder()
        for name in ["right", "wrong"] {
            try folder.write(#"{"name":"\#(name)","command":["/bin/true"]}"#, to: "images/\(name)/manifest.json")
            try File.makeDirectory("\(folder.path)/images/\(name)/rootfs", mode: 0o755)
        }
        try folder.write("{", to: "policies/wrong.json")
        let outcome = try PlaneProgram.run([
            "policy", "compile", "--images", "\(folder.path)/images", "--policies", "\(folder.path)/policies",
        ])
        #expect(outcome.status == 0)
        #expect(outcome.errors.contains("wrong.json"))
        #expect(outcome.output.contains("right") && !outcome.output.contains("wrong"))
    }

    @Test("doctor tries the machine, finds what these tests themselves need, and leaves nothing")
    func doctor() throws {
        let folder = try TemporaryFolder()
        let outcome = try PlaneProgram.run(["doctor", "--json", "--state", "\(folder.path)/state"])
        let report = try JSONValue(parsing: Array(outcome.output.utf8))
        guard case .array(let findings)? = report.members?["findings"] else {
            Issue.record("no findings in \(outcome.output)")
            return
        }
        var verdicts: [String: String] = [:]
        for finding in findings {
            var reader = try JSONReader(finding)
            verdicts[try reader.string("subject") ?? ""] = try reader.string("verdict")
        }
        for subject in [
            "root", "kernel", "user namespace", "network namespace", "clone into cgroup", "overlay, idmapped",
            "openat2",
            "pidfd", "seccomp filter", "splice",
        ] {
            #expect(verdicts[subject] == "ok", "\(subject)")
        }
        #expect(outcome.status == (verdicts.values.contains("missing") ? 1 : 0))
        #expect(try File.names(in: folder.path).isEmpty)
        let mount = try #require(Cgroup.mountPoint())
        #expect(try !File.names(in: mount).contains { $0.hasPrefix("plane-doctor") })
    }

    @Test("version tells the version")
    func version() throws {
        #expect(try PlaneProgram.run(["version"]).output == "plane \(planeVersion) unknown\n")
        #expect(try PlaneProgram.run(["--version"]).status == 0)
    }
}

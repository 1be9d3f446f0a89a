import Glibc
import Linux
import Model
import Policy
import Sandbox
import TestPrograms
import Testing

/// The image with the probe of Tests/Probes, and the probe itself to surround a sandbox with what it must not reach.
final class ProbeImage {
    let image: BusyboxImage
    /// Every probe's name, as it lists them.
    let names: [String]
    private let program: String

    /// Whether a compiler for it is here.
    static let canBeBuilt = access("/usr/bin/gcc", X_OK) == 0

    /// An image with a copy of it.
    init() throws {
        image = try BusyboxImage()
        program = try Self.built.get()
        let probe = program
        let prepared = try Program.run([probe, "prepare", image.rootPath])
        try #require(prepared.0 == .exited(code: 0), "\(prepared.errors)")
        let listed = try Program.run([probe, "list"])
        names = listed.output.split(separator: "\n").compactMap { $0.split(separator: " ").dropFirst().first }
            .map(String.init)
    }

    /// Built once, beside the test program; static, so that the image needs no library.
    private static let built: Result<String, any Error> = Result {
        let here = #filePath
        let folder = String(here.prefix(through: here.lastIndex(of: "/") ?? here.startIndex) + "../Probes/")
        let sources = try File.names(in: folder).filter { $0.hasSuffix(".c") }.map { folder + $0 }
        let probe = Program.built("plane-probe")
        let built = try Program.run(["/usr/bin/gcc", "-O1", "-static", "-o", probe] + sources)
        try #require(built.0 == .exited(code: 0), "\(built.errors)")
        return probe
    }

    /// What the probe finds in a sandbox without these layers. - Parameter change: of its plan.
    func findings(
        without layers: Set<SandboxLayer>, probes: [String] = [], change: (inout SandboxPlan) -> Void = { _ in }
    ) throws -> ProbeFindings {
        let plan = try Self.plan(["/probe"] + probes, rootPath: image.rootPath, change)
        defer { close(plan) }
        return try surrounded(Self.warden(without: layers, image.path), descriptors: [3: plan])
    }

    /// A command in a sandbox with all layers, started by a careless starter. - Parameter change: of its plan.
    func run(_ words: [String], change: (inout SandboxPlan) -> Void = { _ in }) throws -> SandboxRun {
        let plan = try Self.plan(words, rootPath: image.rootPath, change)
        defer { close(plan) }
        let (status, output, errors) = try Program.run(Self.warden(without: [], image.path), descriptors: [3: plan])
        return SandboxRun(status: status, output: output, errors: errors)
    }

    /// A command that goes on.
    func start(_ words: [String], change: (inout SandboxPlan) -> Void) throws -> StartedProbe {
        let plan = try Self.plan(words, rootPath: image.rootPath, change)
        defer { close(plan) }
        return try StartedProbe(Self.warden(without: [], image.path), plan: plan, folder: image.path)
    }

    private static func warden(without layers: Set<SandboxLayer>, _ folder: String) -> [String] {
        let names = layers.isEmpty ? "none" : layers.map(\.rawValue).sorted().joined(separator: ",")
        return [
            Program.built("plane-weak-warden"), names, "run", "--plan-descriptor", "3", "--state", folder + "/state",
            "--allow-missing-controllers",
        ]
    }

    /// A pipe's end with the compiled plan in it.
    private static func plan(
        _ words: [String], rootPath: String, _ change: (inout SandboxPlan) -> Void = { _ in }
    ) throws -> Int32 {
        let manifest = ImageManifest(
            name: try ImageName("probe"), command: words, port: 8080, environment: ["PATH": "/bin"],
            workingDirectory: "/")
        var plan = try PlanCompiler.compile(
            manifest: manifest, rootPath: rootPath, policy: PolicyFile.parse("{}", name: "probe.json"))
        change(&plan)
        var writer = WireWriter()
        plan.encode(into: &writer)
        let pipe = try Linux.Pipe()
        // A plan fits in a pipe's 64 KiB, so it can be written before anybody reads.
        try pipe.writing.writeAll(writer.bytes)
        let (reading, writing) = pipe.split()
        close(writing)
        return reading
    }

    /// What the probe finds without any sandbox, as root of the host.
    func findingsOnHost(probes: [String]) throws -> ProbeFindings {
        let facts = image.rootPath + "/probe-canaries"
        return try surrounded(["/usr/bin/env", "PLANE_PROBE_FACTS=" + facts, program] + probes)
    }

    /// The same in a root file system that is the image's own folder, and no more than that.
    func findingsInSharedRoot(probes: [String]) throws -> ProbeFindings {
        try surrounded(["/usr/sbin/chroot", image.rootPath, "/probe"] + probes)
    }

    private func surrounded(_ words: [String], descriptors: [Int32: Int32] = [:]) throws -> ProbeFindings {
        let (status, output, errors) = try Program.run(
            [program, "host", image.rootPath + "/probe-canaries"] + words, descriptors: descriptors)
        return ProbeFindings(status: status, output: output, errors: errors)
    }
}

/// A sandbox that runs until `end`.
final class StartedProbe {
    private let process: ProcessDescriptor
    private let errorFile: String

    init(_ words: [String], plan: Int32, folder: String) throws {
        errorFile = folder + "/errors"
        let ready = folder + "/ready"
        try #require(mkfifo(ready, 0o600) == 0)
        let first = try File.open(ready, O_RDWR)
        // The plan's pipe has to be the program's 3, which a shell makes it.
        let quoted = words.map { "'\($0)'" }.joined(separator: " ")
        process = try Program.start([
            "/bin/sh", "-c", "exec \(quoted) 3</proc/\(getpid())/fd/\(plan) >'\(ready)' 2>'\(errorFile)'",
        ])
        var watched = [first.raw, process.raw].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        guard poll(&watched, 2, 20_000) > 0, watched[1].revents == 0 else {
            throw SystemError(ECHILD, "waiting for its first line: \(errors)")
        }
    }

    var isRunning: Bool {
        var watched = pollfd(fd: process.raw, events: Int16(POLLIN), revents: 0)
        return poll(&watched, 1, 0) == 0
    }

    var errors: String { (try? File.readText(errorFile)) ?? "" }

    /// Its warden passes the signal on.
    func end() {
        _ = try? process.signal(SIGTERM)
        _ = try? process.reap()
    }
}

/// What one run of the probe found.
struct ProbeFindings {
    enum Verdict: String { case safe = "SAFE", open = "OPEN", info = "INFO" }

    let status: Linux.ExitStatus
    let errors: String
    private let lines: [String: (Verdict, String)]

    init(status: Linux.ExitStatus, output: String, errors: String) {
        self.status = status
        self.errors = errors
        var lines: [String: (Verdict, String)] = [:]
        for line in output.split(separator: "\n") {
            let words = line.split(separator: " ", maxSplits: 2)
            guard words.count >= 2, let verdict = Verdict(rawValue: String(words[1])) else { continue }
            lines[String(words[0])] = (verdict, words.count > 2 ? String(words[2]) : "")
        }
        self.lines = lines
    }

    /// Nil where the probe did not get so far.
    func verdict(_ name: String) -> Verdict? { lines[name]?.0 }

    /// Why, in the probe's words.
    func detail(_ name: String) -> String { lines[name]?.1 ?? "no such line; \(errors.prefix(300))" }

    /// Names of those that got through.
    var open: [String] { lines.filter { $0.value.0 == .open }.keys.sorted() }
}

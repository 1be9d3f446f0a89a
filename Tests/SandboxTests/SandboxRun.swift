import Glibc
import Linux
import Model
import Policy
import TestPrograms
import Testing

/// A command run by the real `plane-warden run` in an image made of one static busybox.
struct SandboxRun {
    let status: Linux.ExitStatus
    let output: String
    let errors: String

    /// The output by lines, with empty ones behind it, so that a failed run fails an expectation and not the test program.
    var lines: [String] {
        (output + "\n\n\n\n\n\n\n").split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }

    /// Runs a shell script inside.
    static func shell(
        _ script: String, policy: String = "{}", image: BusyboxImage,
        change: (inout SandboxPlan) -> Void = { _ in }
    ) throws -> SandboxRun {
        try command(["/bin/sh", "-c", script], policy: policy, rootPath: image.rootPath, change: change)
    }

    /// Runs a command inside the tree at a path.
    static func command(
        _ words: [String], policy: String = "{}", rootPath: String, change: (inout SandboxPlan) -> Void = { _ in }
    ) throws -> SandboxRun {
        let manifest = ImageManifest(
            name: try ImageName("probe"), command: words, port: 8080, environment: ["PATH": "/bin"],
            workingDirectory: "/")
        var plan = try PlanCompiler.compile(
            manifest: manifest, rootPath: rootPath, policy: PolicyFile.parse(policy, name: "probe.json"))
        change(&plan)
        var writer = WireWriter()
        plan.encode(into: &writer)
        let planPipe = try Linux.Pipe()
        // A plan fits in a pipe's 64 KiB, so it can be written before anybody reads.
        try planPipe.writing.writeAll(writer.bytes)
        let (planEnd, planStart) = planPipe.split()
        close(planStart)
        defer { close(planEnd) }
        // Beside the image's tree, so that it goes with the image.
        let state = rootPath + "/../state"
        let (status, output, errors) = try Program.run(
            [
                Program.built("plane-warden"), "run", "--plan-descriptor", "3", "--state", state,
                "--allow-missing-controllers",
            ], descriptors: [3: planEnd])
        return SandboxRun(status: status, output: output, errors: errors)
    }
}

import Glibc
import Linux
import Model
import Policy
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
        var plan = PlanCompiler.compile(
            manifest: manifest, rootPath: rootPath, policy: try PolicyFile.parse(policy, name: "probe.json"))
        change(&plan)
        var writer = WireWriter()
        plan.encode(into: &writer)
        let planPipe = try Linux.Pipe()
        // A plan fits in a pipe's 64 KiB, so it can be written before anybody reads.
        try planPipe.writing.writeAll(writer.bytes)
        let (planEnd, planStart) = planPipe.split()
        close(planStart)
        defer { close(planEnd) }
        let state = "/tmp/plane-sandbox-tests-\(getpid())"
        let (status, output, errors) = try Program.run(
            [
                Program.built("plane-warden"), "run", "--plan-descriptor", "3", "--state", state,
                "--allow-missing-controllers",
            ], descriptors: [3: planEnd])
        return SandboxRun(status: status, output: output, errors: errors)
    }
}

/// Programs that tests start, and wait for.
enum Program {
    /// A product of this build, which lies beside the test bundle.
    static func built(_ name: String) -> String {
        let own = (try? CurrentProcess.executablePath()) ?? ""
        return own.prefix(through: own.lastIndex(of: "/") ?? own.startIndex) + name
    }

    /// Runs to the end. - Parameter descriptors: the program's numbers and our own for them.
    static func run(
        _ words: [String], descriptors: [Int32: Int32] = [:]
    ) throws -> (Linux.ExitStatus, output: String, errors: String) {
        let output = try Linux.Pipe()
        let errors = try Linux.Pipe()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output.writing.raw, 1)
        posix_spawn_file_actions_adddup2(&actions, errors.writing.raw, 2)
        for (number, own) in descriptors { posix_spawn_file_actions_adddup2(&actions, own, number) }
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        var environment: [UnsafeMutablePointer<CChar>?] = [strdup("PATH=/usr/bin:/bin"), nil]
        defer { (arguments + environment).forEach { free($0) } }
        var pid: pid_t = 0
        let failed = posix_spawn(&pid, words[0], &actions, nil, &arguments, &environment)
        guard failed == 0 else { throw SystemError(failed, "posix_spawn \(words[0])") }
        let process = try ProcessDescriptor(ofChild: pid)
        let (outputEnd, outputStart) = output.split()
        let (errorsEnd, errorsStart) = errors.split()
        close(outputStart)
        close(errorsStart)
        let reader = Descriptor(owning: outputEnd)
        let errorReader = Descriptor(owning: errorsEnd)
        let text = try reader.readAll(limit: 64 << 20)
        let errorText = try errorReader.readAll(limit: 64 << 20)
        return (
            try process.reap(), String(decoding: text, as: UTF8.self), String(decoding: errorText, as: UTF8.self)
        )
    }
}

/// A minimal image: one static busybox and its links. Removed when it goes.
final class BusyboxImage {
    let path: String
    var rootPath: String { path + "/rootfs" }

    init() throws {
        var template = Array("/tmp/plane-image-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw SystemError(errno, "mkdtemp") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        chmod(path, 0o755)
        let script = """
            set -e; umask 022; mkdir -p \(path)/rootfs/bin \(path)/rootfs/tmp \(path)/rootfs/etc
            chmod 1777 \(path)/rootfs/tmp
            cp /bin/busybox \(path)/rootfs/bin/busybox
            for name in $(/bin/busybox --list | grep -vx busybox); do ln -sf busybox \(path)/rootfs/bin/$name; done
            """
        let (status, _, errors) = try Program.run(["/bin/sh", "-c", script])
        guard status == .exited(code: 0) else { throw InvalidValue(field: "busybox image", problem: errors) }
    }

    deinit { _ = try? Program.run(["/bin/rm", "-rf", "--one-file-system", path]) }
}

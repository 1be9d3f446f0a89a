import CLinux
import Glibc
import Linux
import Model
import Policy
import WardenProtocol

/// Runs one command in a sandbox without controller or drone, by becoming `plane-warden run`.
struct RunCommand: Subcommand {
    static let syntax = CommandSyntax(
        "run", .command("COMMAND…"),
        purpose: """
            run one command in a sandbox, with its output and exit status passed through

            Without a command the image's own is run. A command without a slash is looked up in the image's PATH.
            The policy is --policy FILE, else that of the image's name in the state folder, else its default.json,
            else the built-in one; flags for its fields change it for this run, in either direction. Exit status: the
            command's; 128 plus its number if a signal ended it.

            Examples:
              plane run --image shell --tty
              plane run --image python-repl --memory 256MiB --cpu-time 10s --json -- python3 -c 'print(6 * 7)'
              plane run --rootfs / --mount-read-only /srv/data:/data --timeout 1m -- sha256sum /data/file
            """,
        flags: [image, rootfs, policy, environment, folder] + RunOverrides.flags
            + [tty, json, jsonFile, missingControllers, StateFolder.flag])

    private static let image = Flag("--image", .value("NAME", default: nil), "an image of the state folder")
    private static let rootfs = Flag("--rootfs", .value("DIR", default: nil), "any folder with a file system instead")
    private static let policy = Flag("--policy", .value("FILE", default: nil), "what it may do")
    private static let environment = Flag("--env", .repeated("NAME=VALUE"), "a variable for the command")
    private static let folder = Flag(
        "--workdir", .value("DIR", default: nil), "where the command starts (default the image's)")
    private static let tty = Flag("--tty", .bare, "give it a terminal of its own, joined to this one")
    private static let json = Flag(
        "--json", .bare, "print how it went on standard error when it has ended: times, memory, processor time")
    private static let jsonFile = Flag(
        "--json-to", .value("FILE", default: nil), "write that to a file instead")
    private static let missingControllers = Flag(
        "--allow-missing-controllers", .bare,
        "run although cgroup v2 lacks memory, cpu or pids; their limits do not hold")

    /// Where the file system comes from.
    private enum Source {
        case image(ImageName)
        case folder(String)
    }

    /// Where it is told how the run went.
    private enum ReportPlace {
        case nowhere
        case standardError
        case file(String)
    }

    private let source: Source
    private let policyFile: String?
    private let command: [String]
    private let variables: [(name: String, value: String)]
    private let workingDirectory: String?
    private let overrides: RunOverrides
    private let streams: RunWishes.Streams
    private let report: ReportPlace
    private let wardenFlags: [String]
    private let state: StateFolder

    init(_ arguments: Arguments) throws(UsageError) {
        let name = try arguments.checked(Self.image) { (text) throws(InvalidValue) in try ImageName(text) }
        switch (name, arguments.text(Self.rootfs)) {
        case (let name?, nil): source = .image(name)
        case (nil, let folder?): source = .folder(folder)
        case (nil, nil): throw arguments.wrong("plane run needs --image NAME or --rootfs DIR")
        case (_?, _?): throw arguments.wrong("--image and --rootfs exclude each other")
        }
        if case .folder = source, arguments.command.isEmpty {
            throw arguments.wrong("with --rootfs a command is needed: plane run --rootfs DIR -- COMMAND…")
        }
        policyFile = arguments.text(Self.policy)
        command = arguments.command
        variables = try EnvironmentFlag.parse(arguments, Self.environment)
        workingDirectory = arguments.text(Self.folder)
        if let workingDirectory, !workingDirectory.hasPrefix("/") {
            throw arguments.wrong("--workdir \(workingDirectory): write an absolute path inside the image")
        }
        overrides = try RunOverrides(arguments)
        streams = arguments.isGiven(Self.tty) ? .terminal : .inherited
        switch (arguments.isGiven(Self.json), arguments.text(Self.jsonFile)) {
        case (false, nil): report = .nowhere
        case (true, nil): report = .standardError
        case (false, let file?): report = .file(file)
        case (true, _?): throw arguments.wrong("--json and --json-to exclude each other")
        }
        state = try StateFolder(arguments)
        let tolerance = arguments.isGiven(Self.missingControllers) ? [Self.missingControllers.name] : []
        wardenFlags = ["--state", state.path] + tolerance
    }

    func run() throws -> Int32 {
        let began = BootInstant.now
        try CommandFailure.requireRoot(for: "it makes namespaces, mounts and cgroups", userID: geteuid())
        if streams == .terminal, isatty(STDIN_FILENO) == 0 {
            throw CommandFailure("--tty needs a terminal as standard input; leave it out where there is none")
        }
        let warden = try ProgramCall.sibling("plane-warden", override: "PLANE_WARDEN")
        let plan = try compile()
        umask(0o022)
        try File.makeDirectories(state.run, mode: 0o755)
        let wishes = RunWishes(
            streams: streams,
            report: try reportDescriptor().map { RunWishes.Report(descriptor: $0, began: began, compiled: .now) })
        let descriptor = try Self.memoryFile(plan, wishes)
        let flags = ["run", "--plan-descriptor", String(descriptor)] + wardenFlags
        throw ProgramCall(warden, flags).replaceThisProcess()
    }

    private func compile() throws -> SandboxPlan {
        var (manifest, rootPath) = try manifestAndTree()
        if streams == .terminal, let kind = getenv("TERM") { manifest.environment["TERM"] = String(cString: kind) }
        for (name, value) in variables { manifest.environment[name] = value }
        if let workingDirectory { manifest.workingDirectory = workingDirectory }
        if !command.isEmpty {
            let program = try ImageProgram.find(
                command[0], below: rootPath, searchPath: manifest.environment["PATH"] ?? ImageProgram.standardPath)
            manifest.command = [program] + command.dropFirst()
        }
        var policy = try changedPolicy(of: manifest.name)
        // What stands on the command line wins over the policy's defaults.
        if !command.isEmpty { policy.document.command = nil }
        for (name, _) in variables { policy.document.environment[name] = nil }
        return try PlanCompiler.compile(
            manifest: manifest, rootPath: rootPath, policy: policy.document, policyName: policy.name,
            volumesPath: PlanCompiler.volumesPath(beside: state.policies))
    }

    /// The policy with the flags' changes.
    private func changedPolicy(of image: ImageName) throws -> PlanCompiler.NamedPolicy {
        let written: PlanCompiler.PolicyText
        if let policyFile {
            do throws(SystemError) {
                written = PlanCompiler.PolicyText(
                    name: policyFile, text: try File.read(policyFile, limit: PolicyFile.bytesMax))
            } catch { throw CommandFailure("policy \(policyFile) cannot be read: \(error)") }
        } else {
            written = try PlanCompiler.policyText(of: image, in: state.policies, .rootOwned)
        }
        let changed = overrides.applied(to: written)
        return PlanCompiler.NamedPolicy(
            name: changed.name, document: try PolicyFile.parse(changed.text, name: changed.name))
    }

    /// An open file that the next program inherits; nil without a report.
    private func reportDescriptor() throws -> Int32? {
        let opened: Int32
        switch report {
        case .nowhere: return nil
        case .standardError: opened = dup(STDERR_FILENO)
        case .file(let path): opened = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        }
        guard opened >= 0 else { throw CommandFailure("\(Self.jsonFile.name): \(SystemError(errno, "open"))") }
        return opened
    }

    private func manifestAndTree() throws -> (ImageManifest, String) {
        switch source {
        case .image(let name): return try ImageStore(state: state).image(name)
        case .folder(let folder):
            guard let real = realpath(folder, nil) else {
                throw CommandFailure("--rootfs \(folder): \(String(cString: strerror(errno)))")
            }
            defer { free(real) }
            let path = String(cString: real)
            guard File.status(path)?.kind == .directory else {
                throw CommandFailure("--rootfs \(folder): is not a folder")
            }
            let environment = ["PATH": ImageProgram.standardPath, "HOME": "/", "LANG": "C.UTF-8"]
            return (ImageManifest(name: try ImageName("rootfs"), command: command, environment: environment), path)
        }
    }

    /// Plan and wishes in a file without a name that the next program inherits. memfd_create(2).
    private static func memoryFile(_ plan: SandboxPlan, _ wishes: RunWishes) throws(SystemError) -> Int32 {
        let made = plane_memfd_create("plane-plan", 0)
        guard made >= 0 else { throw SystemError(Int32(-made), "memfd_create") }
        let file = Descriptor(owning: Int32(made))
        var writer = WireWriter()
        plan.encode(into: &writer)
        wishes.encode(into: &writer)
        try file.writeAll(writer.bytes)
        lseek(file.raw, 0, SEEK_SET)
        return file.release()
    }
}

import CLinux
import Glibc
import Linux
import Model
import Policy

/// Runs one command in a sandbox without controller or drone, by becoming `plane-warden run`.
struct RunCommand: Subcommand {
    static let syntax = CommandSyntax(
        "run", .command("COMMAND…"),
        purpose: """
            run one command in a sandbox, with its output and exit status passed through

            Without a command the image's own is run. A command without a slash is looked up in the image's PATH.
            The policy is --policy FILE, else that of the image's name in the state folder, else its default.json,
            else the built-in one. Exit status: the command's; 128 plus its number if a signal ended it.
            """,
        flags: [image, rootfs, policy, environment, folder, missingControllers, StateFolder.flag])

    private static let image = Flag("--image", .value("NAME", default: nil), "an image of the state folder")
    private static let rootfs = Flag("--rootfs", .value("DIR", default: nil), "any folder with a file system instead")
    private static let policy = Flag("--policy", .value("FILE", default: nil), "what it may do")
    private static let environment = Flag("--env", .repeated("NAME=VALUE"), "a variable for the command")
    private static let folder = Flag(
        "--workdir", .value("DIR", default: nil), "where the command starts (default the image's)")
    private static let missingControllers = Flag(
        "--allow-missing-controllers", .bare,
        "run although cgroup v2 lacks memory, cpu or pids; their limits do not hold")

    /// Where the file system comes from.
    private enum Source {
        case image(ImageName)
        case folder(String)
    }

    private let source: Source
    private let policyFile: String?
    private let command: [String]
    private let variables: [(name: String, value: String)]
    private let workingDirectory: String?
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
        state = try StateFolder(arguments)
        let tolerance = arguments.isGiven(Self.missingControllers) ? [Self.missingControllers.name] : []
        wardenFlags = ["--state", state.path] + tolerance
    }

    func run() throws -> Int32 {
        try CommandFailure.requireRoot(for: "it makes namespaces, mounts and cgroups", userID: geteuid())
        let warden = try ProgramCall.sibling("plane-warden", override: "PLANE_WARDEN")
        let plan = try compile()
        umask(0o022)
        try File.makeDirectories(state.run, mode: 0o755)
        let descriptor = try Self.memoryFile(plan)
        let flags = ["run", "--plan-descriptor", String(descriptor)] + wardenFlags
        throw ProgramCall(warden, flags).replaceThisProcess()
    }

    private func compile() throws -> SandboxPlan {
        var (manifest, rootPath) = try manifestAndTree()
        for (name, value) in variables { manifest.environment[name] = value }
        if let workingDirectory { manifest.workingDirectory = workingDirectory }
        if !command.isEmpty {
            let program = try ImageProgram.find(
                command[0], below: rootPath, searchPath: manifest.environment["PATH"] ?? ImageProgram.standardPath)
            manifest.command = [program] + command.dropFirst()
        }
        var policy =
            try policyFile.map { file in PlanCompiler.NamedPolicy(name: file, document: try PolicySource.read(file)) }
            ?? PlanCompiler.policy(of: manifest.name, in: state.policies, .rootOwned)
        // What stands on the command line wins over the policy's defaults.
        if !command.isEmpty { policy.document.command = nil }
        for (name, _) in variables { policy.document.environment[name] = nil }
        return try PlanCompiler.compile(
            manifest: manifest, rootPath: rootPath, policy: policy.document, policyName: policy.name,
            volumesPath: PlanCompiler.volumesPath(beside: state.policies))
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

    /// The plan in a file without a name that the next program inherits. memfd_create(2).
    private static func memoryFile(_ plan: SandboxPlan) throws(SystemError) -> Int32 {
        let made = plane_memfd_create("plane-plan", 0)
        guard made >= 0 else { throw SystemError(Int32(-made), "memfd_create") }
        let file = Descriptor(owning: Int32(made))
        var writer = WireWriter()
        plan.encode(into: &writer)
        try file.writeAll(writer.bytes)
        lseek(file.raw, 0, SEEK_SET)
        return file.release()
    }
}

import Glibc
import Images
import Linux
import Model
import Policy

/// Makes an image of one that was built elsewhere.
struct ImageImportCommand: Subcommand {
    static let syntax = CommandSyntax(
        "image import", .words(1...257, "SOURCE [-- COMMAND…]"),
        purpose: """
            make an image of an OCI image layout or of what docker save wrote

            SOURCE is a folder with an OCI image layout, or a tar archive of one or of docker save, compressed by gzip or
            not. skopeo copies it and umoci unpacks it (apt-get install skopeo umoci). Both are held to the image's own
            folder, and the tree is checked like a built one: names that lead out of it, device nodes and fifos are refused;
            setuid bits and extended attributes are taken away. Entrypoint and Cmd become the command, or else COMMAND;
            Env, WorkingDir and a single ExposedPort are taken over; User and Volumes are told, but the policy decides.
            """,
        flags: [name, tag, port, bytes, entries, StateFolder.flag])

    private static let name = Flag("--name", .value("NAME", default: nil), "name of the image instead of SOURCE's")
    private static let tag = Flag("--tag", .value("TAG", default: nil), "which image, when SOURCE holds several")
    private static let port = Flag(
        "--port", .value("PORT", default: nil), "where it listens (default its ExposedPort, or else 8080)")
    private static let bytes = Flag(
        "--max-mib", .value("MIB", default: "8192"), "refuse an image whose files are larger together")
    private static let entries = Flag(
        "--max-files", .value("COUNT", default: "500000"), "refuse an image with more files, folders and links")

    private let source: String
    private let command: [String]
    private let name: ImageName
    private let tag: String?
    private let port: UInt16?
    private let limits: ImageLimits
    private let state: StateFolder

    init(_ arguments: Arguments) throws(UsageError) {
        source = arguments.operands[0]
        command = Array(arguments.operands.dropFirst())
        let given = try arguments.checked(Self.name) { (text) throws(InvalidValue) in try ImageName(text) }
        if let given { name = given } else { name = try Self.name(of: source, arguments) }
        tag = arguments.text(Self.tag)
        port = try arguments.port(Self.port)
        limits = ImageLimits(
            bytesMax: (try arguments.integer(Self.bytes, in: 1...16_777_216) ?? 1) << 20,
            entriesMax: Int(try arguments.integer(Self.entries, in: 1...100_000_000) ?? 1))
        state = try StateFolder(arguments)
    }

    /// The last part of the path, without what tells that it is an archive.
    private static func name(of source: String, _ arguments: Arguments) throws(UsageError) -> ImageName {
        var text = String(source.split(separator: "/").last ?? "")
        for ending in [".gz", ".tgz", ".tar", ".oci"] where text.hasSuffix(ending) { text.removeLast(ending.count) }
        do throws(InvalidValue) { return try ImageName(text) } catch {
            throw arguments.wrong("\(source) gives no image's name (\(error.problem)); say it by --name NAME")
        }
    }

    func run() throws -> Int32 {
        try CommandFailure.requireRoot(for: "the image's files belong to root", userID: geteuid())
        let started = BootInstant.now
        let path = try absolutePath()
        let signals = try SignalDescriptor([SIGINT, SIGTERM, SIGHUP])
        let work = ImageWork("reading \(source)", signals: signals)
        umask(0o022)
        let store = ImageStore(state: state)
        let kind = try ImageSource(path, work)
        let lock = try store.lock()
        defer { _ = lock.raw }
        let image = try GrowingImage(name, in: store, .rootOnly)
        do {
            StandardError.say("plane: importing \(source) as image \(name)")
            let unpacking = try ImageUnpacking(image.folder, limits, work)
            let configuration = try unpacking.unpack(kind, path, tag: tag)
            try image.finish(try manifest(configuration, image.rootPath), limits, work, started: started)
        } catch {
            image.discard()
            throw error
        }
        return 0
    }

    private func absolutePath() throws(CommandFailure) -> String {
        guard let real = realpath(source, nil) else {
            throw CommandFailure("\(source): \(String(cString: strerror(errno)))")
        }
        defer { free(real) }
        return String(cString: real)
    }

    private func manifest(_ said: OCIImage.Configuration, _ rootPath: String) throws -> ImageManifest {
        var manifest = ImageManifest(name: name, command: [], port: try port ?? Self.port(said))
        for variable in said.environment { Self.take(variable, into: &manifest.environment) }
        if !said.workingDirectory.isEmpty { manifest.workingDirectory = said.workingDirectory }
        if !manifest.workingDirectory.hasPrefix("/") { manifest.workingDirectory = "/" + manifest.workingDirectory }
        try ImageFolder.make(manifest.workingDirectory, below: rootPath)
        manifest.command = try absoluteCommand(command.isEmpty ? said.command : command, manifest, rootPath)
        manifest.source = "import of \(source)\(tag.map { ", \($0)" } ?? "")"
        if !said.user.isEmpty {
            StandardError.say(
                "plane: the image wants to run as user \(FileName(Array(said.user.utf8).filter { $0 != 0 })); "
                    + "the policy's limits.command_user decides")
        }
        if !said.volumes.isEmpty {
            let list = said.volumes.prefix(5).map { "\(FileName(Array($0.utf8).filter { $0 != 0 }))" }
            StandardError.say(
                "plane: the image wants volumes at \(list.joined(separator: ", ")); without mounts in the policy, what is "
                    + "written there goes with the backend")
        }
        return manifest
    }

    private static func port(_ said: OCIImage.Configuration) throws(CommandFailure) -> UInt16 {
        if said.ports.count > 1 {
            let list = said.ports.prefix(20).map(String.init).joined(separator: ", ")
            throw CommandFailure("the image exposes several ports, \(list); say which one by --port PORT")
        }
        return said.ports.first ?? 8080
    }

    private static func take(_ variable: String, into environment: inout [String: String]) {
        let parts = variable.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(parts[0])
        guard parts.count == 2, ImageManifest.mayName(variable: name) else {
            let shown = FileName(Array(name.utf8.prefix(80)).filter { $0 != 0 })
            StandardError.say("plane: the image's variable \(shown) is left out: its name is none, or Plane's own")
            return
        }
        environment[name] = String(parts[1])
    }

    /// The command with its program found in the tree.
    private func absoluteCommand(_ words: [String], _ manifest: ImageManifest, _ rootPath: String) throws -> [String] {
        guard let program = words.first else {
            throw CommandFailure("the image says no command; write one: plane image import \(source) -- COMMAND…")
        }
        let isRelative = program.contains("/") && !program.hasPrefix("/")
        let folder = manifest.workingDirectory
        let word = isRelative ? (folder == "/" ? "" : folder) + "/" + program : program
        let found = try ImageProgram.find(
            word, below: rootPath, searchPath: manifest.environment["PATH"] ?? ImageProgram.standardPath)
        return [found] + words.dropFirst()
    }
}

/// A folder inside an image's tree.
enum ImageFolder {
    /// Makes it with those above it where they are missing, as Docker does with an image's WorkingDir. The tree is the root
    /// of every link on the way. openat2(2).
    static func make(_ path: String, below rootPath: String) throws {
        let root = try File.open(rootPath, O_RDONLY | O_DIRECTORY)
        var folder = try root.duplicate()
        var reached = ""
        for part in path.split(separator: "/") {
            reached += "/" + part
            do throws(SystemError) {
                folder = try File.open(reached, below: root, O_RDONLY | O_DIRECTORY, .inRoot)
            } catch  where error.code == ENOENT {
                guard part != "..", mkdirat(folder.raw, String(part), 0o755) == 0 else {
                    throw CommandFailure("the image's folder \(reached) is missing and cannot be made")
                }
                folder = try File.open(reached, below: root, O_RDONLY | O_DIRECTORY, .inRoot)
            } catch {
                throw CommandFailure("the image's folder \(path) cannot be used: \(error)")
            }
        }
    }
}

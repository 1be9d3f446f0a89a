import Glibc
import Linux
import Model
import Policy

/// Builds an image from its recipe: a folder with a program `build` and an `image.json`.
struct ImageBuildCommand: Subcommand {
    static let syntax = CommandSyntax(
        "image build", .words(1...1, "DIR"),
        purpose: """
            build an image from its recipe and put it in the place of an older one

            DIR holds image.json (name, command, port, environment, working_directory) and an executable "build",
            which is called as root with the path of an empty folder and fills it with the image's file system.
            The older image stays until the new one is whole.
            """,
        flags: [name, StateFolder.flag])

    private static let name = Flag("--name", .value("NAME", default: nil), "name of the image instead of image.json's")

    private let recipe: String
    private let name: ImageName?
    private let state: StateFolder

    init(_ arguments: Arguments) throws(UsageError) {
        recipe = arguments.operands[0]
        name = try arguments.checked(Self.name) { (text) throws(InvalidValue) in try ImageName(text) }
        state = try StateFolder(arguments)
    }

    func run() throws -> Int32 {
        try CommandFailure.requireRoot(for: "the image's files belong to root", userID: geteuid())
        let started = BootInstant.now
        let manifest = try readManifest()
        let program = try buildProgram()
        let signals = try SignalDescriptor([SIGINT, SIGTERM, SIGHUP])
        umask(0o022)
        let store = ImageStore(state: state)
        let lock = try store.lock()
        defer { _ = lock.raw }
        try store.sweep()
        let folder = store.aside(ImageStore.growing, manifest.name.text)
        do {
            try File.makeDirectory(folder, mode: 0o755)
            try File.makeDirectory("\(folder)/rootfs", mode: 0o755)
            StandardError.say("plane: building image \(manifest.name) with \(program)")
            try build(program, into: "\(folder)/rootfs", signals)
            try finish(folder, manifest)
            try store.install(folder, as: manifest.name)
            try store.sweep()
        } catch {
            try? FileTree(path: folder).remove()
            throw error
        }
        let size = ByteCount.text(FileTree(path: "\(state.images)/\(manifest.name)/rootfs").byteCount())
        StandardError.say(
            "plane: image \(manifest.name) is in \(state.images), \(size), \(ElapsedTime.text(since: started))")
        return 0
    }

    /// The recipe's manifest under the name that the image will have.
    private func readManifest() throws -> ImageManifest {
        let path = "\(recipe)/image.json"
        let text: [UInt8]
        do throws(SystemError) {
            text = try File.read(path)
        } catch {
            throw CommandFailure("\(recipe) is no recipe of an image, which has an image.json and a build: \(error)")
        }
        do {
            var reader = try JSONReader(JSONValue(parsing: text))
            let written = try reader.string("name") ?? name?.text ?? ""
            // Checks the rest under the recipe's own name: a copy under another one is as good.
            var manifest = try ImageManifest.parse(text, name: ImageName(written, field: "name"))
            if let name { manifest.name = name }
            return manifest
        } catch {
            throw CommandFailure("\(path): \(error)")
        }
    }

    private func buildProgram() throws(CommandFailure) -> String {
        guard let real = realpath("\(recipe)/build", nil) else {
            throw CommandFailure("\(recipe)/build cannot be used: \(String(cString: strerror(errno)))")
        }
        defer { free(real) }
        let path = String(cString: real)
        guard access(path, X_OK) == 0 else {
            throw CommandFailure("\(path) is not executable; run: chmod +x \(path)")
        }
        return path
    }

    private func build(_ program: String, into folder: String, _ signals: borrowing SignalDescriptor) throws {
        // Progress belongs to standard error: standard output stays free. The namespaces, because a recipe starts many
        // programs and mounts file systems, none of which may outlive it.
        let child = try ChildProgram.start(
            ProgramCall(program, [folder]), streams: ChildProgram.Streams(output: STDERR_FILENO), .ownNamespaces)
        let end = try ChildProgram.awaitEnd(child, passingOn: signals, patience: .seconds(5))
        if let signal = end.interruption {
            throw CommandFailure("stopped by signal \(signal); nothing of the new image is kept")
        }
        guard end.status == .exited(code: 0) else {
            throw CommandFailure("\(program) \(end.status); nothing of the new image is kept")
        }
    }

    private func finish(_ folder: String, _ manifest: ImageManifest) throws {
        let rootPath = "\(folder)/rootfs"
        guard try !File.names(in: rootPath).isEmpty else {
            throw CommandFailure(
                "\(recipe)/build left its folder empty; it must fill the folder that its argument names")
        }
        guard chown(rootPath, 0, 0) == 0, chmod(rootPath, 0o755) == 0 else {
            throw SystemError(errno, "chown \(rootPath)")
        }
        let text = manifest.json.text + "\n"
        try File.open("\(folder)/manifest.json", O_WRONLY | O_CREAT | O_EXCL, mode: 0o644).writeAll(Array(text.utf8))
    }
}

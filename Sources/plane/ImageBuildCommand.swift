import Glibc
import Images
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
            The older image stays until the new one is whole. A device node, fifo or socket, a link in place of /dev, /etc,
            /proc, /sys or /tmp, an id above 65535 and a mark of overlayfs are refused; setuid and setgid bits and extended
            attributes (file capabilities among them) are taken away; missing /dev, /proc, /sys and /tmp are made.
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
        let image = try GrowingImage(manifest.name, in: store, .everybody)
        do {
            StandardError.say("plane: building image \(manifest.name) with \(program)")
            try build(program, into: image.rootPath, signals)
            guard try !File.names(in: image.rootPath).isEmpty else {
                throw CommandFailure(
                    "\(recipe)/build left its folder empty; it must fill the folder that its argument names")
            }
            try image.finish(manifest, .none, ImageWork("checking", signals: signals), started: started)
        } catch {
            image.discard()
            throw error
        }
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
            manifest.source = "recipe \(recipe)"
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
}

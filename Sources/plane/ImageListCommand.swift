import Glibc
import Images
import Linux
import Model
import Policy

/// Lists the images of a state folder.
struct ImageListCommand: Subcommand {
    static let syntax = CommandSyntax(
        "image ls", purpose: "list the images with size, digest, command and port",
        flags: [Flag.json, StateFolder.flag])

    private let state: StateFolder
    private let form: OutputForm

    init(_ arguments: Arguments) throws(UsageError) {
        state = try StateFolder(arguments)
        form = OutputForm(arguments)
    }

    func run() throws -> Int32 {
        var status: Int32 = 0
        var images: [ListedImage] = []
        for name in try ImageStore(state: state).names() {
            do throws(PolicyError) {
                images.append(try ListedImage(name, state))
            } catch {
                StandardError.say("plane: \(error)")
                status = 1
            }
        }
        switch form {
        case .json: StandardOutput.say(JSONValue.array(images.map(\.json)).text)
        case .text where images.isEmpty:
            StandardError.say("no image in \(state.images); build one: plane image build DIR")
        case .text:
            let rows = images.map { image in
                [
                    image.manifest.name.text, ByteCount.text(image.bytes), String(image.manifest.port),
                    image.manifest.digest.map { String($0.dropFirst("sha256:".count).prefix(12)) } ?? "-",
                    LocalTime.text(image.builtSeconds), image.manifest.command.joined(separator: " "),
                ]
            }
            StandardOutput.write(Table.text(["NAME", "SIZE", "PORT", "DIGEST", "BUILT", "COMMAND"], rows))
        }
        return status
    }
}

/// A moment as people read it, in the machine's zone.
enum LocalTime {
    /// - Parameter seconds: since 1970.
    static func text(_ seconds: Int64) -> String {
        var moment = time_t(seconds)
        var parts = tm()
        localtime_r(&moment, &parts)
        var buffer = [CChar](repeating: 0, count: 32)
        let count = strftime(&buffer, buffer.count, "%Y-%m-%d %H:%M", &parts)
        return String(decoding: buffer[..<count].map(UInt8.init), as: UTF8.self)
    }
}

private struct ListedImage {
    let manifest: ImageManifest
    let bytes: Int64
    let builtSeconds: Int64

    init(_ name: String, _ state: StateFolder) throws(PolicyError) {
        let (manifest, rootPath) = try PlanCompiler.image(name, in: state.images, .anyOwner)
        self.manifest = manifest
        bytes = FileTree(path: rootPath).byteCount()
        builtSeconds = (File.status("\(state.images)/\(name)/manifest.json")?.modified ?? 0) / 1_000_000_000
    }

    var json: JSONValue {
        var members = manifest.json.members ?? [:]
        members["size_bytes"] = .integer(bytes)
        members["built_seconds"] = .integer(builtSeconds)
        return .object(members)
    }
}

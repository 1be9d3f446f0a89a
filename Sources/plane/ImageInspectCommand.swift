import Glibc
import Images
import Linux
import Model
import Policy

/// Tells all that is known of an image.
struct ImageInspectCommand: Subcommand {
    static let syntax = CommandSyntax(
        "image inspect", .words(1...1, "NAME"),
        purpose: """
            show an image's manifest, digest, size, origin and policy

            The digest is the SHA-256 of the tree and of what the manifest says of running it; a copy under another name has
            the same one. With --verify it is computed again, and the exit status is 1 when it is another, or when the image
            has none.
            """,
        flags: [verify, Flag.json, StateFolder.flag])

    private static let verify = Flag("--verify", .bare, "read the whole tree and compare its digest")

    /// How the digest of the manifest and that of the tree stand to each other.
    private enum Verdict {
        case notAsked
        case same
        case other(String)
        case missing
        case refused(String)

        /// For people and for programs.
        var text: String? {
            switch self {
            case .notAsked: nil
            case .same: "verified"
            case .other(let digest): "NOT THE SAME: the tree and the manifest are \(digest) now"
            case .missing: "not verified: the image was made without one; build or import it again"
            case .refused(let problem): "NOT VERIFIED: \(problem)"
            }
        }

        var status: Int32 {
            switch self {
            case .notAsked, .same: 0
            case .other, .missing, .refused: 1
            }
        }
    }

    private let name: ImageName
    private let isVerified: Bool
    private let form: OutputForm
    private let state: StateFolder

    init(_ arguments: Arguments) throws(UsageError) {
        do throws(InvalidValue) { name = try ImageName(arguments.operands[0]) } catch {
            throw arguments.wrong(error.problem)
        }
        isVerified = arguments.isGiven(Self.verify)
        form = OutputForm(arguments)
        state = try StateFolder(arguments)
    }

    func run() throws -> Int32 {
        let (manifest, rootPath) = try ImageStore(state: state).image(name)
        let size = FileTree(path: rootPath).size()
        let made = (File.status("\(state.images)/\(name)/manifest.json")?.modified ?? 0) / 1_000_000_000
        let policy = try policyFile()
        let verdict = isVerified ? try verify(manifest, rootPath) : .notAsked
        switch form {
        case .json:
            var members = manifest.json.members ?? [:]
            members["size_bytes"] = .integer(size.bytes)
            members["entries"] = .integer(Int64(size.entries))
            members["built_seconds"] = .integer(made)
            members["root"] = .string(rootPath)
            members["policy"] = .string(policy)
            if let text = verdict.text { members["verification"] = .string(text) }
            StandardOutput.say(JSONValue.object(members).text)
        case .text:
            let environment = manifest.environment.map { "\($0.key)=\($0.value)" }.sorted()
            var rows = [
                ("name", name.text), ("digest", manifest.digest ?? "none"),
                ("size", "\(ByteCount.text(size.bytes)) in \(size.entries) entries"),
                ("made", LocalTime.text(made)), ("source", manifest.source ?? "unknown"), ("tree", rootPath),
                ("policy", policy), ("command", manifest.command.joined(separator: " ")),
                ("port", String(manifest.port)), ("folder", manifest.workingDirectory),
            ]
            rows += environment.enumerated().map { ($0.offset == 0 ? "environment" : "", $0.element) }
            if let text = verdict.text { rows.append(("verification", text)) }
            StandardOutput.write(CommandSyntax.table(rows.map { (name: $0.0, meaning: $0.1) }) + "\n")
        }
        return verdict.status
    }

    /// The file that `plane run` and the warden would take.
    private func policyFile() throws -> String {
        let file = ["\(name).json", "default.json"].first { File.status("\(state.policies)/\($0)") != nil }
        // An error here is what a start would say.
        _ = try PlanCompiler.policy(of: name, in: state.policies, .anyOwner)
        return file.map { "\(state.policies)/\($0)" } ?? "the built-in default"
    }

    private func verify(_ manifest: ImageManifest, _ rootPath: String) throws -> Verdict {
        guard let digest = manifest.digest else { return .missing }
        try CommandFailure.requireRoot(for: "every file of the image is read", userID: geteuid())
        let signals = try SignalDescriptor([SIGINT, SIGTERM, SIGHUP])
        let work = ImageWork("verifying \(name)", signals: signals)
        do {
            let (now, _) = try DigestProgram.run { output in
                try ImageTree(path: rootPath).verify(manifest: manifest.digestedText, digest: output, work.look)
            }
            return now == digest ? .same : .other(now)
        } catch let refusal as ImageRefusal {
            return .refused(refusal.description)
        }
    }
}

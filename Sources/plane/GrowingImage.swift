import Glibc
import Images
import Linux
import Model
import Policy

/// An image on its way into the store: it grows in a folder of its own, and is put into its place only when it is whole,
/// checked and digested.
struct GrowingImage {
    private let store: ImageStore
    private let name: ImageName
    /// All of it; scratch files too.
    let folder: String

    /// Its tree.
    var rootPath: String { folder + "/rootfs" }

    /// Who may look into it while it grows.
    enum Audience: UInt32 {
        /// Also the users that a recipe's programs become, such as apt's.
        case everybody = 0o755
        /// Nobody could use what an archive brings, before it is judged.
        case rootOnly = 0o700
    }

    /// Makes the folders. Call it with the store's lock held.
    init(_ name: ImageName, in store: ImageStore, _ audience: Audience) throws {
        try store.sweep()
        self.name = name
        self.store = store
        folder = store.aside(ImageStore.growing, name.text)
        try File.makeDirectory(folder, mode: audience.rawValue)
        try File.makeDirectory(rootPath, mode: 0o755)
    }

    /// Makes the tree fit for a sandbox, writes the manifest, and installs both.
    /// - Parameters:
    ///   - manifest: without digest.
    ///   - limits: what is beyond them is refused.
    ///   - started: when the whole work began.
    func finish(
        _ manifest: ImageManifest, _ limits: ImageLimits, _ work: ImageWork, started: BootInstant
    ) throws {
        var manifest = manifest
        manifest.name = name
        work.turn(to: "checking")
        let (digest, report) = try DigestProgram.run { output in
            try ImageTree(path: rootPath).normalise(manifest: manifest.digestedText, digest: output, limits, work.look)
        }
        for change in report.changes { StandardError.say("plane: \(change)") }
        manifest.digest = digest
        let text = manifest.json.text + "\n"
        try File.open("\(folder)/manifest.json", O_WRONLY | O_CREAT | O_EXCL, mode: 0o644).writeAll(Array(text.utf8))
        // Checked as it will be read, so that no image is installed that cannot be started.
        _ = try ImageManifest.parse(Array(text.utf8), name: name)
        guard chmod(folder, 0o755) == 0 else { throw SystemError(errno, "chmod \(folder)") }
        try store.install(folder, as: name)
        try store.sweep()
        let size = "\(ByteCount.text(report.size.bytes)) in \(report.size.entries) entries"
        StandardError.say(
            "plane: image \(name) is in \(store.state.images), \(size), \(digest), \(ElapsedTime.text(since: started))")
    }

    /// Takes all of it away.
    func discard() {
        do throws(SystemError) {
            try FileTree(path: folder).remove()
        } catch {
            StandardError.say("plane: \(folder) was left over and is removed by the next build: \(error)")
        }
    }
}

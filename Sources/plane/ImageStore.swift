import Glibc
import Images
import Linux
import Model
import Policy

/// The images of a state folder. A name that begins with a dot is no image: there new ones grow and replaced ones wait.
struct ImageStore {
    let state: StateFolder

    /// Begins the name of an image that is being built.
    static let growing = ".new-"
    /// Begins the name of an image that is about to be replaced.
    private static let older = ".old-"
    /// Begins the name of what was an image.
    private static let gone = ".gone-"

    /// The images' names; none when the folder is missing.
    func names() throws(CommandFailure) -> [String] {
        do throws(SystemError) {
            return try File.names(in: state.images).filter { !$0.hasPrefix(".") }
        } catch  where error.code == ENOENT {
            return []
        } catch {
            throw CommandFailure("images cannot be listed: \(error)")
        }
    }

    /// An image's manifest and the absolute path of its tree.
    func image(_ name: ImageName) throws -> (manifest: ImageManifest, rootPath: String) {
        guard File.status("\(state.images)/\(name)") != nil else {
            let known = try names()
            let next =
                known.isEmpty
                ? "There is none yet; build one: plane image build DIR" : "There are: \(known.joined(separator: ", "))."
            throw CommandFailure("no image \"\(name)\" in \(state.images). \(next)")
        }
        return try PlanCompiler.image(name.text, in: state.images, .rootOwned)
    }

    /// Makes the folder, and takes the lock that only one build or removal at a time holds.
    func lock() throws -> Descriptor {
        try File.makeDirectories(state.images, mode: 0o755)
        guard let lock = try File.lock("\(state.images)/.lock") else {
            throw CommandFailure(
                "another plane image build or rm is at work in \(state.images); wait until it has ended")
        }
        return lock
    }

    /// Puts a finished tree in the image's place.
    func install(_ folder: String, as name: ImageName) throws(SystemError) {
        let place = "\(state.images)/\(name)"
        let older = aside(Self.older, name.text)
        let isReplacement = File.status(place) != nil
        if isReplacement { try Self.rename(place, older) }
        try Self.rename(folder, place)
        if isReplacement { try Self.rename(older, aside(Self.gone, name.text)) }
    }

    /// Takes an image away.
    func remove(_ name: ImageName) throws(SystemError) {
        try Self.rename("\(state.images)/\(name)", aside(Self.gone, name.text))
    }

    /// Clears what a broken off build left, and what is gone as soon as no sandbox can be using it any more. Call it with
    /// the lock held.
    func sweep() throws(SystemError) {
        for name in try File.names(in: state.images) {
            let path = "\(state.images)/\(name)"
            if name.hasPrefix(Self.growing) {
                try FileTree(path: path).remove()
            } else if name.hasPrefix(Self.gone) {
                if !isInUse() { try FileTree(path: path).remove() }
            } else if name.hasPrefix(Self.older) {
                try settle(name, path)
            }
        }
    }

    /// What bears this prefix is there only if a build ended between its renames.
    private func settle(_ name: String, _ path: String) throws(SystemError) {
        let image = String(name.dropFirst(Self.older.count).prefix { $0 != "~" })
        let place = "\(state.images)/\(image)"
        try Self.rename(path, File.status(place) == nil ? place : aside(Self.gone, image))
    }

    /// Whether a warden or a `plane run` may have sandboxes: overlayfs goes on reading the tree that it was mounted on.
    private func isInUse() -> Bool {
        if File.status(state.wardenLock) != nil {
            do throws(SystemError) {
                guard let lock = try File.lock(state.wardenLock) else { return true }
                _ = consume lock
            } catch { return true }
        }
        let names = (try? File.names(in: state.run)) ?? []
        return names.contains { name in
            name.hasPrefix("scratch-") && File.status("/proc/\(name.dropFirst("scratch-".count))") != nil
        }
    }

    /// A path that no earlier one bears; `~` is in no image's name.
    func aside(_ prefix: String, _ name: String) -> String {
        "\(state.images)/\(prefix)\(name)~\(BootInstant.now.nanoseconds)"
    }

    private static func rename(_ from: String, _ to: String) throws(SystemError) {
        if Glibc.rename(from, to) != 0 { throw SystemError(errno, "rename \(from) to \(to)") }
    }
}

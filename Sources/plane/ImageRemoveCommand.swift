import Glibc
import Linux
import Model

/// Removes an image.
struct ImageRemoveCommand: Subcommand {
    static let syntax = CommandSyntax(
        "image rm", .words(1...1, "NAME"),
        purpose: """
            remove an image

            Refused while sandboxes run on it, which are named. The files are deleted once no warden has them open.
            """,
        flags: [StateFolder.flag])

    private let name: ImageName
    private let state: StateFolder

    init(_ arguments: Arguments) throws(UsageError) {
        do throws(InvalidValue) {
            name = try ImageName(arguments.operands[0])
        } catch {
            throw arguments.wrong(error.problem)
        }
        state = try StateFolder(arguments)
    }

    func run() throws -> Int32 {
        try CommandFailure.requireRoot(for: "images belong to root", userID: geteuid())
        let store = ImageStore(state: state)
        let lock = try store.lock()
        defer { _ = lock.raw }
        guard File.status("\(state.images)/\(name)") != nil else {
            let known = try store.names().joined(separator: ", ")
            throw CommandFailure(
                "no image \"\(name)\" in \(state.images); there are: \(known.isEmpty ? "none" : known)")
        }
        let users = try ImageUse.sandboxes(of: "\(state.images)/\(name)/rootfs")
        guard users.isEmpty else {
            let shown = users.prefix(10).joined(separator: ", ") + (users.count > 10 ? ", …" : "")
            throw CommandFailure(
                "image \(name) is in use by \(users.count == 1 ? "" : "\(users.count) sandboxes: ")\(shown). "
                    + "End them first: plane terminate BACKEND")
        }
        try store.remove(name)
        try store.sweep()
        return 0
    }
}

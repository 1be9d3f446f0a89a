/// A command line that was not understood: exit status 2.
struct UsageError: Error, Equatable {
    /// What is wrong, and what was probably meant.
    let sentence: String
    /// The words after `plane` whose `--help` says more.
    var command: String

    init(_ sentence: String, command: String = "") {
        self.sentence = sentence
        self.command = command
    }

    /// Where to read on.
    var hint: String { "Run \"plane \(command.isEmpty ? "" : command + " ")--help\" for what there is." }
}

/// Something that could not be done: exit status 1.
struct CommandFailure: Error, CustomStringConvertible {
    /// A sentence with the cause and the next step.
    let description: String

    init(_ sentence: String) { description = sentence }

    /// Every command that touches what belongs to root says so before it does anything.
    static func requireRoot(for purpose: String, userID: UInt32) throws(CommandFailure) {
        guard userID == 0 else {
            throw CommandFailure("must run as root: \(purpose). Start it with sudo.")
        }
    }
}

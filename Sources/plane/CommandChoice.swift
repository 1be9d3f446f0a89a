import Model

/// A first word after `plane`.
enum CommandEntry {
    /// A subcommand of one word.
    case command(any Subcommand.Type)
    /// A word, what it is about, and the subcommands whose second words follow it.
    case group(String, String, [any Subcommand.Type])

    var name: String {
        switch self {
        case .command(let command): command.syntax.name
        case .group(let name, _, _): name
        }
    }

    var purpose: String {
        switch self {
        case .command(let command): String(command.syntax.purpose.prefix { $0 != "\n" })
        case .group(_, let purpose, _): purpose
        }
    }
}

/// What the words after `plane` ask for.
enum CommandChoice {
    /// Show a text.
    case help(String)
    /// Do this.
    case command(any Subcommand)

    init(_ words: [String], in entries: [CommandEntry]) throws(UsageError) {
        guard let first = words.first, !Self.isHelp(first) else {
            self = .help(Self.overview(entries))
            if words.isEmpty { throw UsageError("say what to do: \(entries.map(\.name).joined(separator: ", "))") }
            return
        }
        // Everybody tries it.
        let name = first == "--version" ? "version" : first
        guard let entry = entries.first(where: { $0.name == name }) else {
            throw Self.unknown(first, entries.map(\.name), of: "plane", command: "")
        }
        switch entry {
        case .command(let command): try self.init(command, words.dropFirst())
        case .group(let name, let purpose, let commands):
            try self.init(group: name, purpose, commands, words.dropFirst())
        }
    }

    private init(_ command: any Subcommand.Type, _ words: ArraySlice<String>) throws(UsageError) {
        let arguments = try Arguments(words, command.syntax)
        self = arguments.asksForHelp ? .help(command.syntax.helpText) : .command(try command.init(arguments))
    }

    private init(
        group: String, _ purpose: String, _ commands: [any Subcommand.Type], _ words: ArraySlice<String>
    ) throws(UsageError) {
        let seconds = commands.map { String($0.syntax.name.dropFirst(group.count + 1)) }
        guard let second = words.first else {
            throw UsageError("plane \(group) needs one of: \(seconds.joined(separator: ", "))", command: group)
        }
        if Self.isHelp(second) {
            let rows = commands.map { ("plane \($0.syntax.name)", CommandEntry.command($0).purpose) }
            self = .help("usage: plane \(group) SUBCOMMAND [FLAGS]\n\n\(purpose)\n\n\(CommandSyntax.table(rows))\n")
            return
        }
        guard let index = seconds.firstIndex(of: second) else {
            throw Self.unknown(second, seconds, of: "plane \(group)", command: group)
        }
        try self.init(commands[index], words.dropFirst())
    }

    /// - Returns: the exit status.
    func run() throws -> Int32 {
        switch self {
        case .help(let text):
            StandardOutput.write(text)
            return 0
        case .command(let command):
            return try command.run()
        }
    }

    private static func isHelp(_ word: String) -> Bool { word == "--help" || word == "-h" || word == "help" }

    private static func unknown(_ word: String, _ known: [String], of whole: String, command: String) -> UsageError {
        let kind = word.hasPrefix("-") ? "a flag" : "a subcommand"
        let sentence = "\"\(word)\" is not \(kind) of \(whole)"
        guard let nearest = NearestName.find(word, among: known) else {
            return UsageError("\(sentence); there are \(known.joined(separator: ", "))", command: command)
        }
        return UsageError("\(sentence); did you mean \(nearest)?", command: command)
    }

    private static func overview(_ entries: [CommandEntry]) -> String {
        """
        usage: plane SUBCOMMAND [FLAGS]

        One sandboxed process per key, reached through a proxy. Version \(planeVersion).

        \(CommandSyntax.table(entries.map { ($0.name, $0.purpose) }))

        Each has a --help of its own.

        """
    }
}

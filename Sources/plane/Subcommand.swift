/// One subcommand: what it takes, and what it does with that.
protocol Subcommand {
    /// What it takes, for parsing and for `--help`.
    static var syntax: CommandSyntax { get }

    /// Takes the parsed words and checks their values, before anything is done.
    init(_ arguments: Arguments) throws(UsageError)

    /// Does it.
    /// - Returns: the exit status.
    /// - Throws: anything whose description is a sentence for a person.
    func run() throws -> Int32
}

/// What a subcommand takes on its command line.
struct CommandSyntax {
    /// Its words after `plane`, for example `image build`.
    let name: String
    /// What stands behind the flags in the usage line.
    let operands: Operands
    /// What it does: the first line is also its line in `plane --help`.
    let purpose: String
    /// Every flag, in the order of `--help`.
    let flags: [Flag]

    init(_ name: String, _ operands: Operands = .none, purpose: String, flags: [Flag]) {
        self.name = name
        self.operands = operands
        self.purpose = purpose
        self.flags = flags
    }

    /// Words that are not flags.
    enum Operands {
        case none
        /// So many words, called so in the usage line.
        case words(ClosedRange<Int>, String)
        /// A command line of its own behind `--`.
        case command(String)
    }

    /// The flags with what every subcommand has.
    var allFlags: [Flag] { flags + [.help] }

    /// The text of `--help`.
    var helpText: String {
        let summary = purpose.prefix { $0 != "\n" }
        let explanation = purpose.dropFirst(summary.count)
        let heading = "usage: plane \(name)\(usageWords)\n\n\(summary.prefix(1).uppercased() + summary.dropFirst())."
        return heading + explanation + "\n\n" + Self.table(allFlags.map { ($0.spelling, $0.explanation) }) + "\n"
    }

    private var usageWords: String {
        let required = flags.compactMap { flag in
            if case .required(let value) = flag.kind { " \(flag.name) \(value)" } else { nil }
        }
        let tail =
            switch operands {
            case .none: ""
            case .words(let range, let name): range.lowerBound == 0 ? " [\(name)]" : " \(name)"
            case .command(let name): " -- \(name)"
            }
        return required.joined() + (flags.count > required.count ? " [FLAGS]" : "") + tail
    }

    /// Two columns, indented.
    static func table(_ rows: [(name: String, meaning: String)]) -> String {
        let width = rows.reduce(0) { max($0, $1.name.count) }
        return rows.map { "  " + $0.name + String(repeating: " ", count: width - $0.name.count + 2) + $0.meaning }
            .joined(separator: "\n")
    }
}

/// A flag of a subcommand.
struct Flag: Equatable {
    /// With its dashes.
    let name: String
    let kind: Kind
    let meaning: String

    enum Kind: Equatable {
        /// Given or not.
        case bare
        /// Takes a value, called so in the help, with what holds when it is left out.
        case value(String, default: String?)
        /// Takes a value and must be given.
        case required(String)
        /// Takes a value and may be given several times.
        case repeated(String)
    }

    init(_ name: String, _ kind: Kind, _ meaning: String) {
        self.name = name
        self.kind = kind
        self.meaning = meaning
    }

    static let help = Flag("--help", .bare, "show this and do nothing")

    /// As the help shows it.
    var spelling: String {
        switch kind {
        case .bare: name
        case .value(let value, _), .required(let value): "\(name) \(value)"
        case .repeated(let value): "\(name) \(value) …"
        }
    }

    /// As the help explains it.
    var explanation: String {
        switch kind {
        case .bare, .required, .value(_, nil): meaning
        case .repeated: meaning + " (may be repeated)"
        case .value(_, let text?): "\(meaning) (default \(text.isEmpty ? "\"\"" : text))"
        }
    }
}

import Model

/// A subcommand's words, sorted into flags, operands and the command behind `--`. Pure.
struct Arguments {
    /// Words that are not flags.
    private(set) var operands: [String] = []
    /// What stands behind `--`; empty without it.
    private(set) var command: [String] = []
    /// Whether `--help` is among the words.
    private(set) var asksForHelp = false
    private var values: [String: [String]] = [:]
    private let syntax: CommandSyntax

    /// - Parameters:
    ///   - words: those behind the subcommand's name.
    ///   - syntax: what it takes.
    init(_ words: some Collection<String>, _ syntax: CommandSyntax) throws(UsageError) {
        self.syntax = syntax
        var rest = Array(words)[...]
        while let word = rest.popFirst() {
            if word == "--" {
                try takeRest(rest)
                break
            } else if word == "-h" || word == "--help" {
                asksForHelp = true
            } else if word.hasPrefix("-"), word != "-" {
                try takeFlag(word, &rest)
            } else {
                operands.append(word)
            }
        }
        if !asksForHelp { try checkWhole() }
    }

    private mutating func takeRest(_ rest: ArraySlice<String>) throws(UsageError) {
        switch syntax.operands {
        case .command: command = Array(rest)
        case .none, .words: operands += rest
        }
    }

    private mutating func takeFlag(_ word: String, _ rest: inout ArraySlice<String>) throws(UsageError) {
        let equals = word.firstIndex(of: "=")
        let name = String(word[..<(equals ?? word.endIndex)])
        guard let flag = syntax.allFlags.first(where: { $0.name == name }) else { throw unknown(name) }
        var value = equals.map { String(word[word.index(after: $0)...]) }
        switch flag.kind {
        case .bare:
            guard value == nil else { throw wrong("\(name) takes no value") }
            value = ""
        case .value(let placeholder, _), .required(let placeholder), .repeated(let placeholder):
            // A value that looks like a flag is far more often a forgotten value; `--flag=--value` says it on purpose.
            if value == nil, let next = rest.first, !next.hasPrefix("--") { value = rest.removeFirst() }
            guard value != nil else { throw wrong("\(name) needs a value: \(name) \(placeholder)") }
        }
        if case .repeated = flag.kind {
        } else if values[name] != nil {
            throw wrong("\(name) is given twice")
        }
        values[name, default: []].append(value ?? "")
    }

    private func unknown(_ name: String) -> UsageError {
        let known = syntax.allFlags.map(\.name)
        let sentence = "\(name) is not a flag of plane \(syntax.name)"
        guard let nearest = NearestName.find(name, among: known) else { return wrong(sentence) }
        return wrong("\(sentence); did you mean \(nearest)?")
    }

    private func checkWhole() throws(UsageError) {
        for flag in syntax.flags {
            if case .required(let value) = flag.kind, values[flag.name] == nil {
                throw wrong("plane \(syntax.name) needs \(flag.name) \(value)")
            }
        }
        switch syntax.operands {
        case .none:
            if let first = operands.first { throw wrong("plane \(syntax.name) takes no word \"\(first)\"") }
        case .words(let range, let name):
            if operands.count < range.lowerBound { throw wrong("plane \(syntax.name) needs \(name)") }
            if operands.count > range.upperBound {
                throw wrong("plane \(syntax.name) takes \(name), and \"\(operands[range.upperBound])\" is too many")
            }
        case .command:
            if let first = operands.first {
                throw wrong("\"\(first)\" stands before --; write the command behind it: -- \(first) …")
            }
        }
    }

    /// An error about these words.
    func wrong(_ sentence: String) -> UsageError { UsageError(sentence, command: syntax.name) }

    /// Whether the flag was given.
    func isGiven(_ flag: Flag) -> Bool {
        precondition(syntax.allFlags.contains(flag), "\(flag.name) is not declared by plane \(syntax.name)")
        return values[flag.name] != nil
    }

    /// The flag's value, else its default, else nil.
    func text(_ flag: Flag) -> String? {
        if isGiven(flag) { return values[flag.name]?.first }
        if case .value(_, let standard) = flag.kind { return standard }
        return nil
    }

    /// The value of a flag that has a default or must be given.
    func required(_ flag: Flag) -> String {
        guard let text = text(flag) else { preconditionFailure("\(flag.name) has no default and may be left out") }
        return text
    }

    /// Every value of a flag that may be repeated.
    func all(_ flag: Flag) -> [String] { isGiven(flag) ? values[flag.name] ?? [] : [] }

    /// A whole number within a range; nil when the flag was left out and has no default.
    func integer(_ flag: Flag, in range: ClosedRange<Int64>) throws(UsageError) -> Int64? {
        guard let text = text(flag) else { return nil }
        guard let number = Int64(text), range.contains(number) else {
            throw wrong(
                "\(flag.name) \(text): write a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// A TCP port; nil when the flag was left out and has no default.
    func port(_ flag: Flag) throws(UsageError) -> UInt16? { try integer(flag, in: 1...65535).map(UInt16.init) }

    /// A value that some type checks; nil when the flag was left out and has no default.
    func checked<Value>(
        _ flag: Flag, _ check: (String) throws(InvalidValue) -> Value
    ) throws(UsageError) -> Value? {
        guard let text = text(flag) else { return nil }
        do throws(InvalidValue) {
            return try check(text)
        } catch {
            throw wrong("\(flag.name): \(error.problem)")
        }
    }
}

internal import Model

/// Kinds of fields that policies and manifests share.
extension JSONReader {
    /// A number field, whole or not, within a range; nil when absent.
    mutating func number(_ name: String, in range: ClosedRange<Double>) throws(InvalidValue) -> Double? {
        let number: Double
        switch value(name) {
        case nil: return nil
        case .integer(let whole): number = Double(whole)
        case .number(let any): number = any
        case .some(let other):
            throw InvalidValue(field: pathOf(name), problem: "is \(other.kindName); write a number")
        }
        guard range.contains(number) else {
            throw InvalidValue(
                field: pathOf(name),
                problem: "\(number) is out of range; allowed are \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// A text field that takes one of a few words; nil when absent.
    mutating func choice<Choice: RawRepresentable<String> & CaseIterable>(
        _ name: String, _: Choice.Type
    ) throws(InvalidValue) -> Choice? {
        guard let text = try string(name) else { return nil }
        return try chosen(text, field: pathOf(name))
    }

    /// A list of words of which there are a few, each at most once; empty when absent.
    mutating func choices<Choice: RawRepresentable<String> & CaseIterable & Hashable>(
        _ name: String, _: Choice.Type
    ) throws(InvalidValue) -> [Choice] {
        try distinct(name, try strings(name) ?? []) { (text, field) throws(InvalidValue) -> Choice in
            try chosen(text, field: field)
        }
    }

    private func chosen<Choice: RawRepresentable<String> & CaseIterable>(
        _ text: String, field: String
    ) throws(InvalidValue) -> Choice {
        if let choice = Choice(rawValue: text) { return choice }
        let words = Choice.allCases.map(\.rawValue)
        let allowed = words.map { "\"\($0)\"" }.joined(separator: ", ")
        let nearest = NearestName.find(text, among: words).map { "; did you mean \"\($0)\"? " } ?? "; "
        let rest = words.count == 1 ? "the only value is" : "the values are"
        throw InvalidValue(
            field: field,
            problem: "\"\(text.prefix(80))\" is not supported" + nearest
                + (nearest == "; " ? rest : rest.prefix(1).uppercased() + rest.dropFirst()) + " \(allowed)")
    }

    /// Checks each item of a list, and that none stands in it twice.
    func distinct<Item, Checked: Hashable>(
        _ name: String, _ items: [Item], _ check: (Item, String) throws(InvalidValue) -> Checked
    ) throws(InvalidValue) -> [Checked] {
        var seen: Set<Checked> = []
        var all: [Checked] = []
        for (index, item) in items.enumerated() {
            let field = pathOf("\(name)[\(index)]")
            let checked = try check(item, field)
            guard seen.insert(checked).inserted else {
                throw InvalidValue(field: field, problem: "stands twice in the list; take one out")
            }
            all.append(checked)
        }
        return all
    }

    /// A list of integers within a range, each at most once; nil when absent.
    mutating func integers(
        _ name: String, in range: ClosedRange<Int64>, countMax: Int
    ) throws(InvalidValue) -> [Int64]? {
        guard let items = try array(name, of: "integers", countMax: countMax) else { return nil }
        return try distinct(name, items) { (item, field) throws(InvalidValue) -> Int64 in
            guard case .integer(let number) = item else {
                throw InvalidValue(field: field, problem: "is \(item.kindName); write an integer")
            }
            guard range.contains(number) else {
                throw InvalidValue(
                    field: field,
                    problem: "\(number) is out of range; allowed are \(range.lowerBound) to \(range.upperBound)")
            }
            return number
        }
    }

    /// A list of anything; nil when absent.
    mutating func array(_ name: String, of kind: String, countMax: Int) throws(InvalidValue) -> [JSONValue]? {
        guard let value = value(name) else { return nil }
        guard case .array(let items) = value else {
            throw InvalidValue(field: pathOf(name), problem: "is \(value.kindName); write an array of \(kind)")
        }
        guard items.count <= countMax else {
            throw InvalidValue(
                field: pathOf(name), problem: "has \(items.count) items; at most \(countMax) are allowed")
        }
        return items
    }

    /// A program and its arguments, 1–256 words; nil when absent.
    mutating func command(_ name: String) throws(InvalidValue) -> [String]? {
        guard let command = try strings(name) else { return nil }
        guard let program = command.first else {
            throw InvalidValue(
                field: pathOf(name), problem: "is empty; write the program and its arguments, [\"/bin/sh\"]")
        }
        guard command.count <= 256 else {
            throw InvalidValue(field: pathOf(name), problem: "has \(command.count) words; at most 256 are allowed")
        }
        _ = try checkedAbsolutePath(program, field: pathOf("\(name)[0]"))
        for (index, word) in command.enumerated() where word.utf8.count > 4096 || word.utf8.contains(0) {
            throw InvalidValue(
                field: pathOf("\(name)[\(index)]"), problem: "is longer than 4096 bytes or contains a zero character")
        }
        return command
    }

    /// Environment variables: at most 256, of at most 32 KiB together; nil when absent.
    mutating func environment(_ name: String) throws(InvalidValue) -> [String: String]? {
        guard let variables = try stringMap(name) else { return nil }
        let path = pathOf(name)
        guard variables.count <= 256 else {
            throw InvalidValue(field: path, problem: "has \(variables.count) variables; at most 256 are allowed")
        }
        // With the sign between them, as a plan and the command have it.
        let bytes = variables.reduce(0) { $0 + $1.key.utf8.count + 1 + $1.value.utf8.count }
        guard bytes <= Executable.environmentBytesMax else {
            throw InvalidValue(
                field: path, problem: "is \(bytes) bytes long; at most \(Executable.environmentBytesMax) are allowed")
        }
        for variable in variables.keys.sorted() {
            guard ASCIIName.isVariable(variable) else {
                throw InvalidValue(
                    field: path,
                    problem: "\"\(variable.prefix(80))\" is not a variable's name; use A-Z a-z 0-9 and _, "
                        + "not beginning with a digit")
            }
            guard !Executable.reservedEnvironment.contains(variable) else {
                throw InvalidValue(field: "\(path).\(variable)", problem: "is set by Plane itself; take it out")
            }
            guard variables[variable]?.utf8.contains(0) == false else {
                throw InvalidValue(field: "\(path).\(variable)", problem: "contains a zero character")
            }
        }
        return variables
    }

    /// An absolute path of at most 4096 bytes without `..`; nil when absent.
    mutating func absolutePath(_ name: String) throws(InvalidValue) -> String? {
        guard let path = try string(name) else { return nil }
        return try checkedAbsolutePath(path, field: pathOf(name))
    }
}

/// Paths are inside an image, where the sandbox resolves them; `..` is refused since it never says what it seems to.
func checkedAbsolutePath(_ path: String, field: String) throws(InvalidValue) -> String {
    let parts = path.split(separator: "/")
    guard path.hasPrefix("/"), path.utf8.count <= 4095, !path.utf8.contains(0), !parts.contains("..") else {
        throw InvalidValue(
            field: field,
            problem: "\"\(path.prefix(80))\" is not an absolute path; write one that begins with / and has no ..")
    }
    return path
}

/// A path that can be compared with others as text: absolute, at most 4095 bytes, without `.`, `..`, empty parts and a
/// slash at the end.
func checkedPlainPath(_ path: String, field: String) throws(InvalidValue) -> String {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
    let isPlain = path == "/" || parts.allSatisfy { !$0.isEmpty && $0 != "." && $0 != ".." }
    guard path.hasPrefix("/"), isPlain, path.utf8.count <= 4095, !path.utf8.contains(0) else {
        throw InvalidValue(
            field: field,
            problem: "\"\(path.prefix(80))\" is not a plain absolute path; write one that begins with /, does not end "
                + "with / and has no //, . or ..")
    }
    return path
}

/// Character rules for names that become part of a system's own namespace.
enum ASCIIName {
    static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: false
        }
    }

    /// POSIX's portable names, with lower case as well: base definitions, chapter 8.
    static func isVariable(_ name: String) -> Bool {
        guard let first = name.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else {
            return false
        }
        return name.utf8.count <= 255 && name.utf8.allSatisfy { isLetterOrDigit($0) || $0 == UInt8(ascii: "_") }
    }
}

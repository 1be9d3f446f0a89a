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
        guard let choice = Choice(rawValue: text) else {
            let allowed = Choice.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: ", ")
            throw InvalidValue(
                field: pathOf(name), problem: "\"\(text.prefix(80))\" is not supported; the only value is \(allowed)")
        }
        return choice
    }

    /// Environment variables: at most 256, of at most 32 KiB together; nil when absent.
    mutating func environment(_ name: String) throws(InvalidValue) -> [String: String]? {
        guard let variables = try stringMap(name) else { return nil }
        let path = pathOf(name)
        guard variables.count <= 256 else {
            throw InvalidValue(field: path, problem: "has \(variables.count) variables; at most 256 are allowed")
        }
        let bytes = variables.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count }
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

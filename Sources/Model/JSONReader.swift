/// Walks a JSON object that came from outside and names the path of whatever is wrong with it.
///
/// Every field is asked for by name; what is left over is known too, so that a file may refuse unknown fields while an
/// API ignores them, as its clients expect.
public struct JSONReader: Sendable {
    private let members: [String: JSONValue]
    private var asked: Set<String> = []
    private let path: String

    /// - Parameters:
    ///   - value: must be an object.
    ///   - path: how messages name it; empty for a document's top.
    public init(_ value: JSONValue, path: String = "") throws(InvalidValue) {
        guard let members = value.members else {
            let what = path.isEmpty ? "the document" : path
            throw InvalidValue(field: what, problem: "is \(value.kindName); write an object, {…}")
        }
        self.members = members
        self.path = path
    }

    /// The full path of a field of this object.
    public func pathOf(_ name: String) -> String { path.isEmpty ? name : path + "." + name }

    /// A field as it came; nil when it is absent or null.
    public mutating func value(_ name: String) -> JSONValue? {
        asked.insert(name)
        guard let value = members[name], value != .null else { return nil }
        return value
    }

    /// Whether the field is there and null: some fields of the reference's API must not be.
    public mutating func isExplicitNull(_ name: String) -> Bool {
        asked.insert(name)
        return members[name] == .null
    }

    /// A text field; nil when absent.
    public mutating func string(_ name: String) throws(InvalidValue) -> String? {
        guard let value = value(name) else { return nil }
        guard case .string(let text) = value else { throw wrong(name, value, "a string") }
        return text
    }

    /// A boolean field; nil when absent.
    public mutating func bool(_ name: String) throws(InvalidValue) -> Bool? {
        guard let value = value(name) else { return nil }
        guard case .bool(let flag) = value else { throw wrong(name, value, "true or false") }
        return flag
    }

    /// An integer field within a range; nil when absent.
    public mutating func integer(_ name: String, in range: ClosedRange<Int64>) throws(InvalidValue) -> Int64? {
        guard let value = value(name) else { return nil }
        guard case .integer(let number) = value else { throw wrong(name, value, "an integer") }
        guard range.contains(number) else {
            throw InvalidValue(
                field: pathOf(name),
                problem: "\(number) is out of range; allowed are \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// An object field as a reader of its own; nil when absent.
    public mutating func object(_ name: String) throws(InvalidValue) -> JSONReader? {
        guard let value = value(name) else { return nil }
        return try JSONReader(value, path: pathOf(name))
    }

    /// A list of strings; nil when absent.
    public mutating func strings(_ name: String) throws(InvalidValue) -> [String]? {
        guard let value = value(name) else { return nil }
        guard case .array(let items) = value else { throw wrong(name, value, "an array of strings") }
        var texts: [String] = []
        for (index, item) in items.enumerated() {
            guard case .string(let text) = item else { throw wrong("\(name)[\(index)]", item, "a string") }
            texts.append(text)
        }
        return texts
    }

    /// An object whose members are all strings; nil when absent.
    public mutating func stringMap(_ name: String) throws(InvalidValue) -> [String: String]? {
        guard let value = value(name) else { return nil }
        guard let members = value.members else { throw wrong(name, value, "an object of strings") }
        var map: [String: String] = [:]
        for (key, item) in members {
            guard case .string(let text) = item else { throw wrong("\(name).\(key)", item, "a string") }
            map[key] = text
        }
        return map
    }

    /// Names of fields that nobody asked for, sorted. Call it last.
    public var unknownFields: [String] { members.keys.filter { !asked.contains($0) }.sorted() }

    /// Refuses fields that nobody asked for. Call it last.
    public func refuseUnknownFields() throws(InvalidValue) {
        guard let first = unknownFields.first else { return }
        let known = asked.sorted().joined(separator: ", ")
        let nearest = NearestName.find(first, among: asked.sorted())
        throw InvalidValue(
            field: pathOf(String(first.prefix(80))),
            problem: "is not a known field; " + (nearest.map { "did you mean \($0)? Known" } ?? "known")
                + " are \(known)")
    }

    private func wrong(_ name: String, _ value: JSONValue, _ wanted: String) -> InvalidValue {
        InvalidValue(field: pathOf(name), problem: "is \(value.kindName); write \(wanted)")
    }
}

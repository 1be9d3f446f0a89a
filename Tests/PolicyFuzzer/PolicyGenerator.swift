import Model

/// Makes policy files, right ones and wrong ones, from a seed and a number alone.
struct PolicyGenerator {
    private var random: SeededRandom
    /// Once in how many values a wrong one is taken; 0 is never.
    private var wrongOneIn = 0

    /// - Parameters:
    ///   - seed: of the whole run.
    ///   - index: which case of the run.
    init(seed: UInt64, index: UInt64) {
        var mixer = SeededRandom(seed: seed)
        random = SeededRandom(seed: mixer.next() ^ index &* 0xd134_2543_de82_ef95)
    }

    /// A file's content.
    mutating func file() -> [UInt8] {
        switch random.below(16) {
        case 0: return noise()
        case 1...3:
            var text = Array(document().text.utf8)
            for _ in 0...random.below(3) { scratch(&text) }
            return text
        case 4...6:
            var value = document()
            for _ in 0...random.below(2) { value = mutated(value) }
            return Array(value.text.utf8)
        default: return Array(document().text.utf8)
        }
    }

    private mutating func document() -> JSONValue {
        wrongOneIn = random.pick([0, 0, 0, 40, 8])
        return value(.policy)
    }

    private mutating func value(_ shape: PolicyShape) -> JSONValue {
        switch shape {
        case .values(let right, let wrong):
            let takesWrong = wrongOneIn > 0 && !wrong.isEmpty && random.isOneIn(wrongOneIn)
            if takesWrong { return random.pick(wrong) }
            return right.isEmpty || random.isOneIn(64) ? .null : random.pick(right)
        case .object(let fields):
            var members: [String: JSONValue] = [:]
            // Rules need all of their fields, mounts and Landlock most, whole policies a few.
            let skips = fields.count <= 5
            for (name, shape) in fields where skips ? !random.isOneIn(9) : random.isOneIn(4) {
                if case .values([], _) = shape, wrongOneIn == 0 { continue }
                members[name] = value(shape)
            }
            return .object(members)
        case .list(let item):
            return .array((0..<random.below(4)).map { _ in value(item) })
        case .either(let shapes): return value(random.pick(shapes))
        }
    }

    private static let scraps: [JSONValue] = [
        .null, .bool(true), .integer(0), .integer(-1), .integer(.max), .integer(.min), .number(0.5), .number(1e308),
        .string(""), .string("default"), .string("/"), .string("\u{0}"), .string("1GiB"),
        .string(String(repeating: "a", count: 5000)),
        .array([]), .array([.null]), .object([:]), .object(["at": .string("/x")]),
    ]

    /// Something put in another's place, taken out, or given another name, anywhere in the tree.
    private mutating func mutated(_ value: JSONValue) -> JSONValue {
        switch value {
        case .object(var members) where !members.isEmpty && !random.isOneIn(8):
            let name = members.keys.sorted()[random.below(members.count)]
            let member = members[name] ?? .null
            switch random.below(6) {
            case 0: members[name] = nil
            case 1: members[String(name.dropLast())] = members.removeValue(forKey: name)
            case 2: members[random.pick(["extra", "", "limits", "é", "at"])] = member
            default: members[name] = mutated(member)
            }
            return .object(members)
        case .array(var items) where !items.isEmpty && !random.isOneIn(8):
            let index = random.below(items.count)
            switch random.below(4) {
            case 0: items.remove(at: index)
            case 1: items += items
            default: items[index] = mutated(items[index])
            }
            return .array(items)
        case .string(let text) where random.isOneIn(2):
            let cut = text.prefix(random.below(text.count + 1))
            return .string(cut + random.pick(["", "0", "B", "/", "..", "\u{0}", "😀", "iB"]))
        case .integer(let number) where random.isOneIn(2):
            return .integer(number &+ Int64(random.below(5)) &- 2)
        case .null, .bool, .integer, .number, .string, .array, .object: return random.pick(Self.scraps)
        }
    }

    private static let pieces = [
        "{", "}", "[", "]", "\"", ":", ",", "\\u", "\\ud8", "\\\"", "0", "-", "1e9", "null", "\u{0}", "é", "MiB",
        "99999999999999999999", ".", "true", "\n", " ",
    ]

    /// Bytes flipped, dropped, doubled or put in.
    private mutating func scratch(_ text: inout [UInt8]) {
        let index = random.below(text.count + 1)
        switch random.below(4) {
        case 0: text.insert(contentsOf: random.pick(Self.pieces).utf8, at: index)
        case 1: if index < text.count { text[index] = UInt8(truncatingIfNeeded: random.next()) }
        case 2: text.removeSubrange(index..<min(text.count, index + random.below(5)))
        default: text.insert(contentsOf: Array(text[index..<min(text.count, index + 9)]), at: index)
        }
    }

    private mutating func noise() -> [UInt8] {
        let isText = random.isOneIn(2)
        return (0..<random.below(48)).flatMap { _ -> [UInt8] in
            isText ? Array(random.pick(Self.pieces).utf8) : [UInt8(truncatingIfNeeded: random.next())]
        }
    }
}

internal import Model

extension SystemCallPolicy {
    init(_ fields: inout JSONReader) throws(InvalidValue) {
        base = try fields.choice("base", Base.self) ?? base
        (allow, allowWhen) = try Self.entries("allow", &fields)
        (deny, denyWhen) = try Self.entries("deny", &fields)
        try fields.refuseUnknownFields()
        try refuseTooMany()
        try refuseContradictions()
        try refuseDangers()
    }

    private static func entries(
        _ field: String, _ fields: inout JSONReader
    ) throws(InvalidValue) -> (Set<String>, [SystemCallRule]) {
        var names: Set<String> = []
        var rules: [SystemCallRule] = []
        let items = try fields.array(field, of: "names and objects", countMax: 1024) ?? []
        _ = try fields.distinct(field, items) { (item, path) throws(InvalidValue) -> JSONValue in
            switch item {
            case .string(let name): names.insert(try checkedCall(name, field: path))
            case .object:
                var reader = try JSONReader(item, path: path)
                rules.append(try SystemCallRule(&reader))
            case .null, .bool, .integer, .number, .array:
                throw InvalidValue(
                    field: path,
                    problem: "is \(item.kindName); write a system call's name or "
                        + "{\"call\": \"ioctl\", \"argument\": 1, \"values\": [21523]}")
            }
            return item
        }
        return (names, rules)
    }

    private func refuseTooMany() throws(InvalidValue) {
        let rules = allowWhen + denyWhen
        guard rules.count <= SystemCallRule.countMax else {
            throw InvalidValue(
                field: "seccomp",
                problem: "has \(rules.count) conditions; at most \(SystemCallRule.countMax) are allowed")
        }
        let values = rules.reduce(0) { count, rule in
            if case .isOneOf(let values) = rule.condition { count + values.count } else { count }
        }
        guard values <= SystemCallRule.valuesMax else {
            throw InvalidValue(
                field: "seccomp", problem: "has \(values) values; at most \(SystemCallRule.valuesMax) are allowed")
        }
    }

    private func refuseContradictions() throws(InvalidValue) {
        let allowed = allow.union(allowWhen.map(\.call))
        if let both = deny.intersection(allowed).min() {
            throw InvalidValue(
                field: "seccomp.deny", problem: "\"\(both)\" is in seccomp.allow too; take it out of one")
        }
        for (field, names, rules) in [("allow", allow, allowWhen), ("deny", deny, denyWhen)] {
            if let rule = rules.first(where: { names.contains($0.call) }) {
                throw InvalidValue(
                    field: "seccomp.\(field)",
                    problem: "\"\(rule.call)\" stands there by its name too, whatever its arguments; take one out")
            }
        }
        for rule in allowWhen {
            if let other = denyWhen.first(where: { $0.overlaps(rule) }) {
                throw InvalidValue(
                    field: "seccomp.deny", problem: "\(other.text) is in seccomp.allow too; take it out of one")
            }
        }
    }

    private func refuseDangers() throws(InvalidValue) {
        for name in allow.sorted() {
            if let reason = SystemCallList.reasonNotToAllow(name) {
                throw InvalidValue(field: "seccomp.allow", problem: "\"\(name)\" \(reason)")
            }
        }
        for rule in allowWhen {
            if let reason = SystemCallList.reasonNotToAllow(rule) {
                throw InvalidValue(field: "seccomp.allow", problem: "\"\(rule.call)\" \(reason)")
            }
        }
        for name in deny.union(denyWhen.map(\.call)).sorted() {
            if let reason = SystemCallList.reasonNotToDeny(name) {
                throw InvalidValue(field: "seccomp.deny", problem: "\"\(name)\" \(reason)")
            }
        }
    }
}

extension SystemCallRule {
    init(_ fields: inout JSONReader) throws(InvalidValue) {
        guard let name = try fields.string("call") else {
            throw InvalidValue(field: fields.pathOf("call"), problem: "is missing; write a system call's name")
        }
        call = try checkedCall(name, field: fields.pathOf("call"))
        guard let number = try fields.integer("argument", in: 0...5) else {
            throw InvalidValue(
                field: fields.pathOf("argument"), problem: "is missing; write which argument decides, 0 to 5")
        }
        argument = Int(number)
        let values = try fields.integers("values", in: 0...Int64(UInt32.max), countMax: Self.valuesMax)
        let mask = try fields.integer("mask", in: 1...Int64(UInt32.max))
        let set = try fields.choice("set", Bits.self)
        try fields.refuseUnknownFields()
        switch (values, mask, set) {
        case (let values?, nil, nil) where !values.isEmpty: condition = .isOneOf(values.map(UInt32.init).sorted())
        case (nil, let mask?, .some(.any)): condition = .hasAnyBit(UInt32(mask))
        case (nil, let mask?, .some(.none)): condition = .hasNoBit(UInt32(mask))
        default:
            throw InvalidValue(
                field: fields.pathOf("values"),
                problem: "or mask must say when: \"values\": [21523], or \"mask\": 4 with \"set\": \"any\" or \"none\"")
        }
    }

    /// How many of a mask's bits are set.
    private enum Bits: String, CaseIterable {
        case any
        case none
    }

    /// Whether both mean the same call with the same argument; of masks, only those that are equal.
    func overlaps(_ other: SystemCallRule) -> Bool {
        guard call == other.call, argument == other.argument else { return false }
        if case .isOneOf(let values) = condition, case .isOneOf(let others) = other.condition {
            return !Set(values).isDisjoint(with: others)
        }
        return condition == other.condition
    }
}

private func checkedCall(_ name: String, field: String) throws(InvalidValue) -> String {
    guard SystemCallNumber.isKnown(name) else {
        let nearest = NearestName.find(name, among: SystemCallList.known).map { "did you mean \"\($0)\"? Write" }
        throw InvalidValue(
            field: field,
            problem: "\"\(name.prefix(80))\" is not a system call that is known here; \(nearest ?? "write") "
                + "its name as in section 2 of the manual, for example \"ptrace\"")
    }
    return name
}

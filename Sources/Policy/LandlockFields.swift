internal import Model

extension LandlockRules {
    /// Most paths and ports of one list; the plan's own bound.
    private static let countMax = 256

    init(_ fields: inout JSONReader) throws(InvalidValue) {
        self.init()
        readable = try Self.paths("read", &fields)
        writable = try Self.paths("write", &fields)
        executable = try Self.paths("execute", &fields)
        // bind(2) to port 0 takes any that is free, and landlock(7) has a rule for that.
        listenPorts = try fields.integers("listen", in: 0...65535, countMax: Self.countMax)?.map(UInt16.init)
        connectPorts = try fields.integers("connect", in: 1...65535, countMax: Self.countMax)?.map(UInt16.init)
        try fields.refuseUnknownFields()
        if executable.isEmpty {
            throw InvalidValue(
                field: fields.pathOf("execute"),
                problem: "is empty, so the command itself could not be started; write [\"/usr\"] or the like")
        }
    }

    private static func paths(_ name: String, _ fields: inout JSONReader) throws(InvalidValue) -> [String] {
        let texts = try fields.strings(name) ?? []
        guard texts.count <= countMax else {
            throw InvalidValue(
                field: fields.pathOf(name), problem: "has \(texts.count) items; at most \(countMax) are allowed")
        }
        return try fields.distinct(name, texts) { (path, field) throws(InvalidValue) in
            try checkedPlainPath(path, field: field)
        }
    }
}

internal import Model

extension PolicyDocument.Mount {
    /// Most mounts of one policy; the plan's own bound.
    static let countMax = 64

    init(_ fields: inout JSONReader) throws(InvalidValue) {
        let path = try fields.string("read_only")
        let volume = try fields.string("volume")
        let at = try fields.string("at")
        try fields.refuseUnknownFields()
        switch (path, volume) {
        case (let path?, nil):
            let field = fields.pathOf("read_only")
            source = .readOnly(path: try HostFolder.checkedToShow(path, field: field))
        case (nil, let name?):
            source = .volume(name: try Self.checkedVolume(name, field: fields.pathOf("volume")))
        case (nil, nil), (_?, _?):
            throw InvalidValue(
                field: fields.pathOf("read_only"),
                problem: "or volume must be given, and not both: {\"read_only\": \"/srv/data\", \"at\": \"/data\"} or "
                    + "{\"volume\": \"notebooks\", \"at\": \"/data\"}")
        }
        guard let at else {
            throw InvalidValue(
                field: fields.pathOf("at"), problem: "is missing; write where it stands inside, \"/data\"")
        }
        target = try Self.checkedTarget(at, field: fields.pathOf("at"))
    }

    private static func checkedVolume(_ name: String, field: String) throws(InvalidValue) -> String {
        let body = name.utf8.allSatisfy { ASCIIName.isLetterOrDigit($0) || "._-".utf8.contains($0) }
        guard body, (1...64).contains(name.utf8.count), name.first != ".", name.first != "-" else {
            throw InvalidValue(
                field: field,
                problem: "\"\(name.prefix(80))\" is not a volume's name; use 1 to 64 of a-z A-Z 0-9 . _ and -, "
                    + "not beginning with . or -")
        }
        return name
    }

    /// Folders that the sandbox mounts itself, and that its walls rest on.
    private static let ownTargets = ["/proc", "/dev", "/sys"]

    private static func checkedTarget(_ target: String, field: String) throws(InvalidValue) -> String {
        let path = try checkedPlainPath(target, field: field)
        if path == "/" {
            throw InvalidValue(field: field, problem: "\"/\" would cover the whole image; name a folder in it")
        }
        if let own = ownTargets.first(where: { PathOrder($0, path) != .apart && PathOrder($0, path) != .inside }) {
            throw InvalidValue(
                field: field, problem: "\"\(path.prefix(80))\" is \(own) or below it, which the sandbox makes itself")
        }
        return path
    }

    /// Each mount after those that it stands in: one that came later would hide them.
    static func list(_ file: inout JSONReader) throws(InvalidValue) -> [PolicyDocument.Mount] {
        var mounts: [PolicyDocument.Mount] = []
        for (index, item) in (try file.array("mounts", of: "objects", countMax: countMax) ?? []).enumerated() {
            let path = file.pathOf("mounts[\(index)]")
            var fields = try JSONReader(item, path: path)
            let mount = try PolicyDocument.Mount(&fields)
            for (earlier, other) in mounts.enumerated() {
                switch PathOrder(mount.target, other.target) {
                case .same:
                    throw InvalidValue(
                        field: "\(path).at", problem: "\"\(mount.target)\" is that of mounts[\(earlier)] too")
                case .contains:
                    throw InvalidValue(
                        field: "\(path).at",
                        problem: "\"\(mount.target)\" would hide mounts[\(earlier)] at \"\(other.target)\"; "
                            + "write it before that one")
                case .inside, .apart: break
                }
            }
            mounts.append(mount)
        }
        return mounts
    }
}

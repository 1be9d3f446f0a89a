internal import Model

/// How one policy differs from another, field by field, and whether it lets a sandbox do more.
public struct PolicyComparison: Sendable {
    /// One field in which they differ.
    public struct Difference: Hashable, Sendable {
        /// A JSON path such as `limits.memory`; of lists, with what was added or taken out.
        public let field: String
        /// What the first policy says.
        public let before: String
        /// What the second says.
        public let after: String
        /// Whether the second lets more happen.
        public let direction: Direction
    }

    /// Whether a sandbox under the second policy may do more.
    public enum Direction: String, Sendable {
        case looser
        case tighter
        /// Neither, or not to be told by a program.
        case other
    }

    /// In the order of the explanation.
    public private(set) var differences: [Difference] = []
    /// System calls that get through, at least with some arguments, in the second policy only.
    public private(set) var callsGained: [String] = []
    /// And in the first only.
    public private(set) var callsLost: [String] = []

    /// Whether the second policy is looser anywhere.
    public var isLooser: Bool { differences.contains { $0.direction == .looser } }

    /// - Parameters:
    ///   - first: what the comparison starts from.
    ///   - second: what is judged.
    public init(_ first: PolicyDocument, _ second: PolicyDocument) {
        compareIdentity(first, second)
        compareLimits(first.limits, second.limits)
        compareMounts(first, second)
        compareMembers("devices", first.devices.map(\.rawValue), second.devices.map(\.rawValue))
        compareMembers("capabilities", first.capabilities.map(\.rawValue), second.capabilities.map(\.rawValue))
        compareSystemCalls(first.seccomp, second.seccomp)
        compareLandlock(first.landlock, second.landlock)
        note("network", first.network.rawValue, second.network.rawValue, .other)
        compareLife(first, second)
    }

    private mutating func note(_ field: String, _ before: String, _ after: String, _ direction: Direction) {
        guard before != after else { return }
        differences.append(Difference(field: field, before: before, after: after, direction: direction))
    }

    /// The more, the looser; nil is no limit.
    private mutating func compareCeiling(
        _ field: String, _ before: UInt64?, _ after: UInt64?, _ text: (UInt64) -> String = { String($0) }
    ) {
        let direction: Direction = (after ?? .max) > (before ?? .max) ? .looser : .tighter
        note(field, before.map(text) ?? "no limit", after.map(text) ?? "no limit", direction)
    }

    /// The more members, the looser.
    private mutating func compareMembers(_ field: String, _ before: [String], _ after: [String]) {
        for member in before where !after.contains(member) { note(field, member, "-", .tighter) }
        for member in after where !before.contains(member) { note(field, "-", member, .looser) }
    }

    private mutating func compareIdentity(_ first: PolicyDocument, _ second: PolicyDocument) {
        func command(_ policy: PolicyDocument) -> String { policy.command?.joined(separator: " ") ?? "the image's" }
        note("command", command(first), command(second), .other)
        // Of equal words, lists may still differ.
        if command(first) == command(second), first.command != second.command {
            note("command", "\(first.command ?? [])", "\(second.command ?? [])", .other)
        }
        for name in Set(first.environment.keys).union(second.environment.keys).sorted() {
            note("environment.\(name)", quoted(first.environment[name]), quoted(second.environment[name]), .other)
        }
        note("command_user.uid", "\(first.commandUser.uid)", "\(second.commandUser.uid)", .other)
        note("command_user.gid", "\(first.commandUser.gid)", "\(second.commandUser.gid)", .other)
        note("hostname", first.hostname, second.hostname, .other)
    }

    private func quoted(_ text: String?) -> String { text.map { "\"\($0)\"" } ?? "-" }

    private mutating func compareLimits(_ first: PolicyDocument.Limits, _ second: PolicyDocument.Limits) {
        let size = ColumnText.size
        let weight = PolicyDocument.Limits.standardWeight
        compareCeiling("limits.memory", first.memoryBytes, second.memoryBytes, size)
        compareCeiling("limits.memory_high", first.memoryHighBytes, second.memoryHighBytes, size)
        compareCeiling("limits.swap", first.swapBytes, second.swapBytes, size)
        note(
            "limits.cpus", ColumnText.number(first.cpus), ColumnText.number(second.cpus),
            second.cpus > first.cpus ? .looser : .tighter)
        note(
            "limits.cpu_period", "\(first.cpuPeriodMicroseconds / 1000)ms",
            "\(second.cpuPeriodMicroseconds / 1000)ms", .other)
        compareCeiling("limits.cpu_weight", first.cpuWeight ?? weight, second.cpuWeight ?? weight)
        compareCeiling("limits.cpu_time", first.cpuTimeSeconds, second.cpuTimeSeconds, ColumnText.duration)
        compareCeiling("limits.pids", first.pids, second.pids)
        compareCeiling("limits.io.weight", first.ioWeight ?? weight, second.ioWeight ?? weight)
        compareCeiling("limits.io.read", first.io.readBytesPerSecond, second.io.readBytesPerSecond, size)
        compareCeiling("limits.io.write", first.io.writeBytesPerSecond, second.io.writeBytesPerSecond, size)
        compareCeiling("limits.io.reads", first.io.readsPerSecond, second.io.readsPerSecond)
        compareCeiling("limits.io.writes", first.io.writesPerSecond, second.io.writesPerSecond)
        compareCeiling("limits.disk", first.diskBytes, second.diskBytes, size)
        compareCeiling("limits.disk_files", first.diskFiles, second.diskFiles)
        compareCeiling("limits.open_files", first.openFiles, second.openFiles)
        compareCeiling("limits.shared_memory", first.sharedMemoryBytes, second.sharedMemoryBytes, size)
    }

    private mutating func compareLife(_ first: PolicyDocument, _ second: PolicyDocument) {
        let (before, after) = (first.readiness, second.readiness)
        note(
            "readiness.port", before.port.map { "\($0)" } ?? "the image's", after.port.map { "\($0)" } ?? "the image's",
            .other)
        note("readiness.path", before.path ?? "-", after.path ?? "-", .other)
        compareCeiling(
            "readiness.timeout", UInt64(before.timeoutSeconds), UInt64(after.timeoutSeconds), ColumnText.duration)
        compareCeiling(
            "grace_period", UInt64(first.gracePeriodSeconds), UInt64(second.gracePeriodSeconds), ColumnText.duration)
        compareCeiling("lifetime", first.lifetimeSeconds, second.lifetimeSeconds, ColumnText.duration)
        compareCeiling("idle", first.idleSeconds, second.idleSeconds, ColumnText.duration)
    }

    private mutating func compareMounts(_ first: PolicyDocument, _ second: PolicyDocument) {
        let before = first.mounts.reduce(into: [:]) { $0[$1.target] = $1.sourceText }
        let after = second.mounts.reduce(into: [:]) { $0[$1.target] = $1.sourceText }
        for mount in first.mounts where after[mount.target] == nil {
            note("mounts at \(mount.target)", mount.sourceText, "-", .tighter)
        }
        // Another source is something that was out of reach before.
        for mount in second.mounts {
            note("mounts at \(mount.target)", before[mount.target] ?? "-", mount.sourceText, .looser)
        }
        if before == after {
            func order(_ policy: PolicyDocument) -> String { policy.mounts.map(\.target).joined(separator: ", ") }
            note("mounts", order(first), order(second), .other)
        }
        note(
            "volume_base", first.volumeBase ?? "the state folder's", second.volumeBase ?? "the state folder's",
            second.hasVolumes ? .looser : .other)
    }
}

// The walls inside: what may be called, and what Landlock lets through.
extension PolicyComparison {
    fileprivate mutating func compareSystemCalls(_ first: SystemCallPolicy, _ second: SystemCallPolicy) {
        for name in first.changedCalls.union(second.changedCalls).sorted() {
            let (before, after) = (first.decision(of: name), second.decision(of: name))
            if before == after { continue }
            if !before.canBeAllowed, after.canBeAllowed { callsGained.append(name) }
            if before.canBeAllowed, !after.canBeAllowed { callsLost.append(name) }
            differences.append(
                Difference(
                    field: "seccomp \(name)", before: first.text(of: name), after: second.text(of: name),
                    direction: Self.direction(name, before, after, first, second)))
        }
    }

    private static func direction(
        _ name: String, _ before: SystemCallDecision, _ after: SystemCallDecision, _ first: SystemCallPolicy,
        _ second: SystemCallPolicy
    ) -> Direction {
        switch (before.canBeAllowed, after.canBeAllowed) {
        case (false, false): return .other
        case (false, true): return .looser
        case (true, false): return .tighter
        case (true, true):
            if after == .allow { return .looser }
            if before == .allow { return .tighter }
            let allowed =
                first.allow.contains(name)
                || second.cases(\.allowWhen, of: name).isSubset(of: first.cases(\.allowWhen, of: name))
            let refused = second.cases(\.denyWhen, of: name).isSuperset(of: first.cases(\.denyWhen, of: name))
            let byName = second.allow.contains(name) && !first.allow.contains(name)
            return allowed && refused && !byName ? .tighter : .looser
        }
    }

    fileprivate mutating func compareLandlock(_ first: LandlockRules?, _ second: LandlockRules?) {
        guard let first, let second else {
            note(
                "landlock", first == nil ? "no rules" : "rules", second == nil ? "no rules" : "rules",
                second == nil ? .looser : .tighter)
            return
        }
        comparePaths("landlock.read", first.readable, second.readable)
        comparePaths("landlock.write", first.writable, second.writable)
        comparePaths("landlock.execute", first.executable, second.executable)
        comparePorts("landlock.listen", first.listenPorts, second.listenPorts)
        comparePorts("landlock.connect", first.connectPorts, second.connectPorts)
    }

    /// A path is as good as gone, or as good as there, when another one of the same list contains it.
    private mutating func comparePaths(_ field: String, _ before: [String], _ after: [String]) {
        func covered(_ path: String, by paths: [String]) -> Bool {
            paths.contains { other in
                switch PathOrder(other, path) {
                case .same, .contains: true
                case .inside, .apart: false
                }
            }
        }
        for path in before where !after.contains(path) {
            note(field, path, "-", covered(path, by: after) ? .other : .tighter)
        }
        for path in after where !before.contains(path) {
            note(field, "-", path, covered(path, by: before) ? .other : .looser)
        }
    }

    private mutating func comparePorts(_ field: String, _ before: [UInt16]?, _ after: [UInt16]?) {
        guard let before, let after else {
            func text(_ ports: [UInt16]?) -> String { ports.map { "\($0.count) ports" } ?? "any" }
            note(field, text(before), text(after), after == nil ? .looser : .tighter)
            return
        }
        compareMembers(field, before.map { "\($0)" }, after.map { "\($0)" })
    }
}

extension PolicyDocument {
    fileprivate var hasVolumes: Bool { mounts.contains { $0.isVolume } }
}

extension PolicyDocument.Mount {
    var isVolume: Bool {
        switch source {
        case .volume: true
        case .readOnly: false
        }
    }

    fileprivate var sourceText: String {
        switch source {
        case .readOnly(let path): "\(path), read-only"
        case .volume(let name): "volume \(name)"
        }
    }
}

extension SystemCallPolicy {
    /// What happens to a call, for a table.
    fileprivate func text(of name: String) -> String {
        let whole =
            allow.contains(name) ? "let through" : deny.contains(name) ? "refused" : SystemCallList.decision(name).text
        let rules =
            allowWhen.filter { $0.call == name }.map { "let through \($0.when)" }
            + denyWhen.filter { $0.call == name }.map { "refused \($0.when)" }
        return ([whole] + rules).joined(separator: "; ")
    }

    /// The rules about one call, of lists of values one by one, so that two policies can be compared.
    fileprivate func cases(_ rules: KeyPath<SystemCallPolicy, [SystemCallRule]>, of name: String) -> Set<SystemCallRule>
    {
        Set(
            self[keyPath: rules].filter { $0.call == name }.flatMap { rule -> [SystemCallRule] in
                switch rule.condition {
                case .isOneOf(let values):
                    values.map { SystemCallRule(call: name, argument: rule.argument, condition: .isOneOf([$0])) }
                case .hasAnyBit, .hasNoBit: [rule]
                }
            })
    }
}

extension SystemCallDecision {
    /// For a table.
    fileprivate var text: String {
        switch self {
        case .allow: "let through"
        case .refuse: "refused"
        case .killProcess: "ends the process"
        case .byValue, .byBits: "by its arguments"
        }
    }
}

extension PolicyComparison {
    /// What differs, as a table, and the system calls gained and lost.
    /// - Parameters: how the text calls the policies.
    public func text(_ first: String, _ second: String) -> String {
        if differences.isEmpty { return "\(first) and \(second) say the same.\n" }
        let rows =
            [["field", "in \(first)", "in \(second)", "which is"]]
            + differences.map { [$0.field, $0.before, $0.after, $0.direction.rawValue] }
        let table = ColumnText.table(rows)
        let verdict =
            isLooser ? "\(second) is looser than \(first)." : "\(second) is nowhere looser than \(first)."
        var lines = [table, ""]
        for (names, what) in [(callsGained, "gained"), (callsLost, "lost")] where !names.isEmpty {
            lines.append("System calls \(what) (\(names.count)):")
            lines += ColumnText.wrapped(names)
        }
        return (lines + [verdict]).joined(separator: "\n") + "\n"
    }
}

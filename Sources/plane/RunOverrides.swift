import Model
import Policy

/// Flags of `plane run` that change the policy. They change its JSON before it is read, so that they pass the same checks
/// and get the same answers as what a policy file says; whoever may call `plane run` may loosen as well as tighten. Pure.
struct RunOverrides {
    /// A flag and the field that it sets.
    private struct Setting {
        let flag: Flag
        let path: [String]
        let kind: Kind

        enum Kind {
            /// Text as it is: sizes, durations, names.
            case text
            case number
            /// An item of a list, once.
            case item
        }

        init(_ name: String, _ value: String, _ meaning: String, _ path: [String], _ kind: Kind) {
            switch kind {
            case .text, .number: flag = Flag(name, .value(value, default: nil), meaning)
            case .item: flag = Flag(name, .repeated(value), meaning)
            }
            self.path = path
            self.kind = kind
        }
    }

    private static let settings = [
        Setting("--memory", "SIZE", "most memory, files that it writes included: 512MiB", ["limits", "memory"], .text),
        Setting("--swap", "SIZE", "most swap", ["limits", "swap"], .text),
        Setting("--cpus", "N", "processors' worth of time: 0.5", ["limits", "cpus"], .number),
        Setting("--cpu-time", "TIME", "processor time of all processes together: 30s", ["limits", "cpu_time"], .text),
        Setting("--pids", "N", "most processes and threads", ["limits", "pids"], .number),
        Setting("--disk", "SIZE", "most that it writes to its file system", ["limits", "disk"], .text),
        Setting("--disk-files", "N", "most files that it makes there", ["limits", "disk_files"], .number),
        Setting("--open-files", "N", "most open files of each process", ["limits", "open_files"], .number),
        Setting("--shm", "SIZE", "size of /dev/shm", ["limits", "shared_memory"], .text),
        Setting("--timeout", "TIME", "kill it after so long: 5m", ["lifetime"], .text),
        Setting("--hostname", "NAME", "its host name", ["hostname"], .text),
        Setting("--volume-base", "DIR", "where volumes are (default STATE/volumes)", ["volume_base"], .text),
        Setting("--device", "NAME", "a device that it may use", ["devices"], .item),
        Setting("--capability", "NAME", "a capability that it keeps", ["capabilities"], .item),
        Setting("--allow-syscall", "NAME", "a system call to let through", ["seccomp", "allow"], .item),
        Setting("--deny-syscall", "NAME", "a system call to refuse", ["seccomp", "deny"], .item),
    ]

    private static let user = Flag(
        "--user", .value("UID[:GID]", default: nil),
        "who the command is inside; the group is the user's number unless said")
    private static let readOnlyMount = Flag(
        "--mount-read-only", .repeated("HOST:INSIDE"), "show a folder or file of the host there, unchangeable")
    private static let volume = Flag(
        "--volume", .repeated("NAME:INSIDE"), "put a volume there, which keeps what is written")

    /// Every flag, in the order of `--help`.
    static let flags = settings.map(\.flag) + [user, readOnlyMount, volume]

    private enum Change {
        case set([String], JSONValue)
        case append([String], JSONValue)
        /// A name in one list of system calls must not be in the other.
        case remove([String], JSONValue)
    }

    private var changes: [Change] = []

    init(_ arguments: Arguments) throws(UsageError) {
        for setting in Self.settings {
            for text in arguments.all(setting.flag) { try add(setting, text, arguments) }
        }
        if let text = arguments.text(Self.user) {
            changes.append(.set(["command_user"], try Self.userObject(text, arguments)))
        }
        for (flag, member) in [(Self.readOnlyMount, "read_only"), (Self.volume, "volume")] {
            for text in arguments.all(flag) {
                // The place inside comes last: a path of the host may have colons of its own.
                guard let colon = text.lastIndex(of: ":"), colon != text.startIndex else {
                    throw arguments.wrong("\(flag.name) \(text): write \(flag.spelling.split(separator: " ")[1])")
                }
                let mount: [String: JSONValue] = [
                    member: .string(String(text[..<colon])),
                    "at": .string(String(text[text.index(after: colon)...])),
                ]
                changes.append(.append(["mounts"], .object(mount)))
            }
        }
    }

    /// Whether no flag was given.
    var isEmpty: Bool { changes.isEmpty }

    private mutating func add(_ setting: Setting, _ text: String, _ arguments: Arguments) throws(UsageError) {
        switch setting.kind {
        case .text: changes.append(.set(setting.path, .string(text)))
        case .number:
            let number = try? JSONValue(parsing: Array(text.utf8))
            switch number {
            case .integer?, .number?: changes.append(.set(setting.path, number ?? .null))
            case .null?, .bool?, .string?, .array?, .object?, nil:
                throw arguments.wrong("\(setting.flag.name) \(text): write a number")
            }
        case .item:
            let opposite = ["allow": "deny", "deny": "allow"]
            if setting.path.first == "seccomp", let last = setting.path.last, let other = opposite[last] {
                changes.append(.remove(["seccomp", other], .string(text)))
            }
            changes.append(.append(setting.path, .string(text)))
        }
    }

    private static func userObject(_ text: String, _ arguments: Arguments) throws(UsageError) -> JSONValue {
        let ids = text.split(separator: ":", omittingEmptySubsequences: false).map { Int64($0) }
        guard (1...2).contains(ids.count), let uid = ids[0], let gid = ids[ids.count - 1] else {
            throw arguments.wrong("\(user.name) \(text): write UID or UID:GID, both numbers")
        }
        return .object(["uid": .integer(uid), "gid": .integer(gid)])
    }

    /// The policy with the flags' changes. Text that is no JSON object is left for its reader to refuse.
    func applied(to policy: PlanCompiler.PolicyText) -> PlanCompiler.PolicyText {
        guard !isEmpty, var value = try? JSONValue(parsing: policy.text), value.members != nil else { return policy }
        for change in changes {
            switch change {
            case .set(let path, let new): value = value.replacing(path[...]) { _ in new }
            case .append(let path, let item):
                value = value.replacing(path[...]) { old in
                    guard case .array(let items)? = old else { return old == nil ? .array([item]) : old }
                    return .array(items.contains(item) ? items : items + [item])
                }
            case .remove(let path, let item):
                value = value.replacing(path[...]) { old in
                    guard case .array(let items)? = old else { return old }
                    return .array(items.filter { $0 != item })
                }
            }
        }
        return PlanCompiler.PolicyText(
            name: "\(policy.name) with the flags of the command line", text: Array(value.text.utf8))
    }
}

extension JSONValue {
    /// The value with what stands at a path replaced; objects on the way that are missing are made. What is no object
    /// stays as it is.
    fileprivate func replacing(_ path: ArraySlice<String>, _ new: (JSONValue?) -> JSONValue?) -> JSONValue {
        guard let name = path.first, var members else { return self }
        let rest = path.dropFirst()
        if rest.isEmpty {
            members[name] = new(members[name])
        } else {
            let inner = (members[name] ?? .object([:])).replacing(rest, new)
            // Nothing is made on the way to something that stays missing.
            if members[name] != nil || inner != .object([:]) { members[name] = inner }
        }
        return .object(members)
    }
}

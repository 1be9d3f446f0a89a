import Glibc
import Linux
import Model

/// The rules that the command puts on itself by landlock(7): those of its policy, and a few that cost nothing and hold for
/// every command, should another layer have a hole: no device nodes are made, no device outside /dev is controlled, and
/// no process outside the command's own family is signalled.
struct LandlockLayer {
    /// What the kernel offers: `LandlockRuleset.version()`.
    let version: Int
    let rules: LandlockRules?

    private static let everything: LandlockRuleset.FileAccess = [
        .execute, .read, .write, .makeDevices, .controlDevices,
    ]

    /// Rules that are ready to be put on.
    enum Prepared: ~Copyable {
        /// This kernel has none, and none are asked for.
        case nothing
        case rules(LandlockRuleset)

        /// Puts them on. The calling process has no_new_privs.
        func restrictSelf() throws(SandboxFailure) {
            switch self {
            case .nothing: return
            case .rules(let set):
                do { try set.restrictSelf() } catch { throw SandboxFailure(.landlock, error) }
            }
        }
    }

    /// Makes the rules. The calling process is in its final root.
    func prepare() throws(SandboxFailure) -> Prepared {
        guard version > 0 else {
            if rules == nil { return .nothing }
            throw SandboxFailure(
                .landlock, call: "the policy has Landlock rules, and this kernel was built or booted without Landlock",
                code: 0)
        }
        do throws(SystemError) {
            guard let rules else { return .rules(try ordinary()) }
            return .rules(try ruleset(of: rules))
        } catch { throw SandboxFailure(.landlock, error) }
    }

    private func ordinary() throws(SystemError) -> LandlockRuleset {
        let set = try LandlockRuleset(
            version: version, files: [.makeDevices, .controlDevices, .refer], ports: [])
        try set.allow(.refer, below: "/")
        try set.allow(.controlDevices, below: "/dev")
        return set
    }

    private func ruleset(of rules: LandlockRules) throws(SystemError) -> LandlockRuleset {
        var ports: LandlockRuleset.PortAccess = []
        if rules.listenPorts != nil { ports.insert(.listen) }
        if rules.connectPorts != nil { ports.insert(.connect) }
        guard ports.isEmpty || version >= 4 else {
            throw SystemError(EOPNOTSUPP, "the policy's Landlock rules for ports need Linux 6.7")
        }
        let set = try LandlockRuleset(version: version, files: Self.everything, ports: ports)
        for path in rules.readable { try set.allow(.read, below: path) }
        for path in rules.writable { try set.allow([.read, .write], below: path) }
        for path in rules.executable { try set.allow([.read, .execute], below: path) }
        // Without these hardly any program runs; what they hold is the sandbox's own.
        try set.allow([.read, .write, .controlDevices], below: "/dev")
        try set.allow([.read, .write], below: "/proc")
        for port in rules.listenPorts ?? [] { try set.allow(.listen, port: port) }
        for port in rules.connectPorts ?? [] { try set.allow(.connect, port: port) }
        return set
    }
}

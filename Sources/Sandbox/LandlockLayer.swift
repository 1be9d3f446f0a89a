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

    /// Puts them on. The calling process is in its final root and has no_new_privs.
    func restrictSelf() throws(SandboxFailure) {
        guard version > 0 else {
            if rules == nil { return }
            throw SandboxFailure(
                .landlock, call: "the policy has Landlock rules, and this kernel was built or booted without Landlock",
                code: 0)
        }
        do throws(SystemError) {
            guard let rules else { return try restrictToOrdinary() }
            try restrict(to: rules)
        } catch { throw SandboxFailure(.landlock, error) }
    }

    private func restrictToOrdinary() throws(SystemError) {
        let set = try LandlockRuleset(
            version: version, files: [.makeDevices, .controlDevices, .refer], ports: [])
        try set.allow(.refer, below: "/")
        try set.allow(.controlDevices, below: "/dev")
        try set.restrictSelf()
    }

    private func restrict(to rules: LandlockRules) throws(SystemError) {
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
        try set.restrictSelf()
    }
}

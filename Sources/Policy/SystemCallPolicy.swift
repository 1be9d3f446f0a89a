internal import Glibc

/// Which system calls a policy lets through, as changes of a named list.
public struct SystemCallPolicy: Hashable, Sendable {
    /// The list that the changes start from.
    public var base = Base.default
    /// Names let through besides the list's, whatever their arguments.
    public var allow: Set<String> = []
    /// Let through besides the list's where an argument says so.
    public var allowWhen: [SystemCallRule] = []
    /// Names refused with EPERM although the list has them.
    public var deny: Set<String> = []
    /// Refused with EPERM where an argument says so, whatever lets the call through otherwise.
    public var denyWhen: [SystemCallRule] = []

    /// The default list, unchanged.
    public init() {}

    /// A list known by name.
    public enum Base: String, Hashable, Sendable, CaseIterable {
        /// What interpreters, compilers, shells and servers need.
        case `default`
    }
}

extension SystemCallPolicy {
    /// What a sandbox does between being ready and the exec of its command: receive the order, allocate, take the streams or
    /// a terminal, limit itself, unblock signals, close the rest, tell of a failure.
    private static let launchCalls = [
        "brk", "close", "close_range", "dup2", "execve", "exit_group", "fcntl", "getrlimit", "madvise", "mmap",
        "mprotect", "mremap", "munmap", "openat", "prlimit64", "recvfrom", "recvmsg", "rt_sigaction",
        "rt_sigprocmask", "sendmsg",
    ]

    /// Whether the program lets all of that through, so that it can be put on before a launch is waited for.
    var letsLaunchThrough: Bool {
        !changedCalls.contains("ioctl") && Self.launchCalls.allSatisfy { decision(of: $0) == .allow }
    }

    /// Calls that may be decided otherwise than by the list.
    var changedCalls: Set<String> { allow.union(deny).union((allowWhen + denyWhen).map(\.call)) }

    /// What happens to a call of this name. What is refused goes before what is let through.
    func decision(of name: String) -> SystemCallDecision {
        var decision =
            switch base {
            case .default: SystemCallList.decision(name)
            }
        if allow.contains(name) { decision = .allow }
        for rule in allowWhen where rule.call == name { decision = rule.decision(.allow, otherwise: decision) }
        if deny.contains(name) { decision = .refuse(EPERM) }
        for rule in denyWhen where rule.call == name { decision = rule.decision(.refuse(EPERM), otherwise: decision) }
        return decision
    }
}

/// What happens to a system call. Only the low 32 bits of an argument are looked at, as the kernel does for the calls
/// that are decided so: a comparison of all 64 could be passed by with rubbish above them (CVE-2019-10063).
indirect enum SystemCallDecision: Hashable, Sendable {
    /// The kernel carries it out.
    case allow
    /// The call does nothing and returns this errno(3).
    case refuse(Int32)
    /// The whole process ends: it speaks a convention that it has no business with.
    case killProcess
    /// By an argument's value. - Parameters: which of the six; decisions of named values; that of all others.
    case byValue(argument: Int, [UInt32: SystemCallDecision], otherwise: SystemCallDecision)
    /// By an argument's bits. - Parameters: which of the six; the bits; the decision when all are 0; that otherwise.
    case byBits(argument: Int, mask: UInt32, clear: SystemCallDecision, otherwise: SystemCallDecision)

    /// SECCOMP_RET_… of linux/seccomp.h for a call with these arguments. What the compiled filter is tested against.
    func action(_ arguments: [UInt64]) -> UInt32 {
        switch self {
        case .allow: 0x7fff_0000
        case .refuse(let code): 0x0005_0000 | UInt32(code)
        case .killProcess: 0x8000_0000
        case .byValue(let argument, let values, let otherwise):
            (values[UInt32(truncatingIfNeeded: arguments[argument])] ?? otherwise).action(arguments)
        case .byBits(let argument, let mask, let clear, let otherwise):
            (UInt32(truncatingIfNeeded: arguments[argument]) & mask == 0 ? clear : otherwise).action(arguments)
        }
    }

    /// Whether some arguments get it through.
    var canBeAllowed: Bool {
        switch self {
        case .allow: true
        case .refuse, .killProcess: false
        case .byValue(_, let values, let otherwise):
            otherwise.canBeAllowed || values.values.contains { $0.canBeAllowed }
        case .byBits(_, _, let clear, let otherwise): clear.canBeAllowed || otherwise.canBeAllowed
        }
    }
}

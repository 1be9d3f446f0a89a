/// A capability that a policy may leave to the command: what it means over files and processes of its own sandbox, and
/// nothing that administers a kernel. Raw values are the names of capabilities(7).
public enum SandboxCapability: String, CaseIterable, Sendable {
    case changeOwners = "CAP_CHOWN"
    case overridePermissions = "CAP_DAC_OVERRIDE"
    case actAsOwner = "CAP_FOWNER"
    case keepSetID = "CAP_FSETID"
    case signalAny = "CAP_KILL"
    case changeGroup = "CAP_SETGID"
    case changeUser = "CAP_SETUID"
    case bindLowPorts = "CAP_NET_BIND_SERVICE"

    /// The kernel's number: linux/capability.h.
    public var number: UInt8 {
        switch self {
        case .changeOwners: 0
        case .overridePermissions: 1
        case .actAsOwner: 3
        case .keepSetID: 4
        case .signalAny: 5
        case .changeGroup: 6
        case .changeUser: 7
        case .bindLowPorts: 10
        }
    }
}

import CCap
import CLinux
import Glibc
import Linux

/// Users, groups and capabilities of the calling process. credentials(7), capabilities(7).
enum Identity {
    /// CAP_KILL: to signal processes of other users.
    static let kill: UInt8 = 5

    /// Leaves every supplementary group. setgroups(2).
    static func leaveGroups() throws(SystemError) { try succeed("setgroups", plane_setgroups(0, nil)) }

    /// Takes a user and a group. setresuid(2).
    static func become(user: UInt32, group: UInt32) throws(SystemError) {
        try succeed("setresgid", plane_setresgid(group))
        try succeed("setresuid", plane_setresuid(user))
    }

    /// A session keyring of its own, so that no key of the warden's session can be read. keyctl(2).
    static func joinNewSessionKeyring() throws(SystemError) {
        let joined = plane_keyctl_join_session()
        // Kernels without keyrings have nothing that could be read.
        if joined == -Int(ENOSYS) { return }
        try succeed("keyctl KEYCTL_JOIN_SESSION_KEYRING", joined)
    }

    /// Empties the bounding set but for what is kept: nothing that is exec'ed later can get a capability back.
    static func dropBoundingSet(keeping kept: [UInt8]) throws(SystemError) {
        try dropBoundingSet((0..<UInt8(cap_max_bits())).filter { !kept.contains($0) })
    }

    /// Takes capabilities out of the bounding set.
    static func dropBoundingSet(_ capabilities: [UInt8]) throws(SystemError) {
        for capability in capabilities where cap_drop_bound(cap_value_t(capability)) != 0 {
            throw SystemError(errno, "prctl PR_CAPBSET_DROP")
        }
    }

    /// Whether a process may still raise ambient capabilities after its secure bits are locked.
    enum AmbientChoice {
        /// For one that keeps capabilities through an exec.
        case ambientOpen
        /// For one that keeps none.
        case ambientClosed
    }

    /// Uid 0 gets nothing from being 0, and none of these switches can be turned back. capabilities(7), securebits.
    static func lockSecureBits(_ choice: AmbientChoice) throws(SystemError) {
        let setSecureBits: Int32 = 28
        let noRoot: UInt = 1 << 0 | 1 << 1
        let noSetUserFixup: UInt = 1 << 2 | 1 << 3
        let keepCapabilitiesLocked: UInt = 1 << 5
        let noAmbientRaise: UInt = 1 << 6 | 1 << 7
        let ambient =
            switch choice {
            case .ambientOpen: UInt(0)
            case .ambientClosed: noAmbientRaise
            }
        let bits = noRoot | noSetUserFixup | keepCapabilitiesLocked | ambient
        try succeed("prctl PR_SET_SECUREBITS", plane_prctl(setSecureBits, bits, 0, 0, 0))
    }

    /// Leaves exactly these capabilities, in every set that an exec looks at. cap_set_proc(3).
    static func setCapabilities(_ kept: [UInt8]) throws(SystemError) {
        guard let state = cap_init() else { throw SystemError(errno, "cap_init") }
        defer { cap_free(UnsafeMutableRawPointer(state)) }
        var values = kept.map { cap_value_t($0) }
        for flag in [CAP_PERMITTED, CAP_INHERITABLE, CAP_EFFECTIVE] where !kept.isEmpty {
            guard cap_set_flag(state, flag, Int32(values.count), &values, CAP_SET) == 0 else {
                throw SystemError(errno, "cap_set_flag")
            }
        }
        guard cap_set_proc(state) == 0 else { throw SystemError(errno, "capset") }
        // Not by libcap, which asks for each capability first.
        let ambient: Int32 = 47
        let clearAll: UInt = 4
        try succeed("prctl PR_CAP_AMBIENT_CLEAR_ALL", plane_prctl(ambient, clearAll, 0, 0, 0))
        for value in values where cap_set_ambient(value, CAP_SET) != 0 {
            throw SystemError(errno, "prctl PR_CAP_AMBIENT_RAISE")
        }
    }

    /// No exec gives more than the caller has; a filter may be installed without privilege. prctl(2).
    static func setNoNewPrivileges() throws(SystemError) {
        let setNoNewPrivs: Int32 = 38
        try succeed("prctl PR_SET_NO_NEW_PRIVS", plane_prctl(setNoNewPrivs, 1, 0, 0, 0))
    }

    private static func succeed(_ call: String, _ result: Int) throws(SystemError) {
        if result < 0 { throw SystemError(Int32(-result), call) }
    }
}

internal import CSeccomp

/// The machines whose programs are filtered; a call made in any other convention ends the process.
public enum Architecture: Sendable, CaseIterable {
    case x86_64
    case aarch64

    /// What this program was built for.
    public static var native: Architecture {
        #if arch(x86_64)
            .x86_64
        #elseif arch(arm64)
            .aarch64
        #endif
    }

    /// AUDIT_ARCH_… of linux/audit.h: what seccomp hands a filter, and libseccomp's own token for it.
    var auditToken: UInt32 {
        switch self {
        case .x86_64: 0xc000_003e
        case .aarch64: 0xc000_00b7
        }
    }
}

/// Numbers of system calls by name, from libseccomp's tables.
enum SystemCallNumber {
    /// Calls newer than the libseccomp of Debian 12. Since 5.1 a new call has one number on all machines.
    private static let recent: [String: UInt32] = [
        "cachestat": 451, "fchmodat2": 452, "map_shadow_stack": 453, "futex_wake": 454, "futex_wait": 455,
        "futex_requeue": 456, "statmount": 457, "listmount": 458, "lsm_get_self_attr": 459, "lsm_set_self_attr": 460,
        "lsm_list_modules": 461, "mseal": 462, "setxattrat": 463, "getxattrat": 464, "listxattrat": 465,
        "removexattrat": 466, "open_tree_attr": 467,
    ]

    /// Nil when this machine has no such call. seccomp_syscall_resolve_name(3): a negative number stands for a call
    /// that only other machines have.
    static func resolve(_ name: String, on architecture: Architecture) -> UInt32? {
        let number = seccomp_syscall_resolve_name_arch(architecture.auditToken, name)
        return number >= 0 ? UInt32(number) : recent[name]
    }

    /// Whether any machine has such a call.
    static func isKnown(_ name: String) -> Bool {
        !name.utf8.contains(0)
            && (recent[name] != nil || Architecture.allCases.contains { resolve(name, on: $0) != nil })
    }
}

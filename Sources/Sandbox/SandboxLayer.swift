/// The defences of a sandbox, one by one, so that a test can leave one out and see what it was good for.
///
/// Nothing outside this package can name them, and neither executable that is installed ever leaves one out: the proofs
/// are made by a program of the tests.
package enum SandboxLayer: String, CaseIterable, Sendable {
    /// A range of host ids of its own; without it the sandbox's root is the host's.
    case idRange = "id-range"
    case pidNamespace = "pid-namespace"
    case networkNamespace = "network-namespace"
    case ipcNamespace = "ipc-namespace"
    case utsNamespace = "uts-namespace"
    case cgroupNamespace = "cgroup-namespace"
    case timeNamespace = "time-namespace"
    /// Targets in the image are resolved without links.
    case linkRefusal = "link-refusal"
    /// nosuid on root, image and volumes.
    case noSetUserID = "no-set-user-id"
    /// nodev on root, image and volumes.
    case noDevices = "no-devices"
    /// /dev with six devices, read-only; without it the host's.
    case ownDevices = "own-devices"
    /// /proc/sys and its like read-only.
    case readOnlyProc = "read-only-proc"
    /// Files of /proc that tell of the host, covered.
    case procMasks = "proc-masks"
    /// Other users' processes invisible in /proc.
    case hiddenProcesses = "hidden-processes"
    /// max_user_namespaces of 0 in the sandbox.
    case userNamespaceLimit = "user-namespace-limit"
    /// pivot_root and the old root detached; without it chroot only.
    case pivotRoot = "pivot-root"
    case sessionKeyring = "session-keyring"
    /// RLIMIT_CORE, RLIMIT_MEMLOCK and RLIMIT_MSGQUEUE.
    case resourceLimits = "resource-limits"
    /// A terminal session of the command's own.
    case ownSession = "own-session"
    case boundingSet = "bounding-set"
    case secureBits = "secure-bits"
    /// Capability sets emptied.
    case capabilities
    /// No supplementary groups.
    case groups
    /// A user id of the command's own, not the sandbox's root.
    case commandUser = "command-user"
    case noNewPrivileges = "no-new-privileges"
    case landlock
    case closedDescriptors = "closed-descriptors"
    case seccomp
    /// A user id of the init's own, which the command can neither signal nor trace.
    case initUser = "init-user"
    /// The init exec'ed anew from sealed memory; without it the warden's copied memory stays.
    case initProgram = "init-program"
}

import CLinux
import Glibc

/// Kinds of namespaces, with clone(2)'s bits. namespaces(7).
public struct Namespaces: OptionSet, Sendable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// CLONE_NEWNS
    public static let mount = Namespaces(rawValue: 0x0002_0000)
    /// CLONE_NEWCGROUP
    public static let cgroup = Namespaces(rawValue: 0x0200_0000)
    /// CLONE_NEWUTS
    public static let uts = Namespaces(rawValue: 0x0400_0000)
    /// CLONE_NEWIPC
    public static let ipc = Namespaces(rawValue: 0x0800_0000)
    /// CLONE_NEWUSER
    public static let user = Namespaces(rawValue: 0x1000_0000)
    /// CLONE_NEWPID
    public static let pid = Namespaces(rawValue: 0x2000_0000)
    /// CLONE_NEWNET
    public static let network = Namespaces(rawValue: 0x4000_0000)

    /// CLONE_NEWTIME, Linux 5.6. With unshare(2) it is for the children made from then on: time_namespaces(7).
    public static let time = Namespaces(rawValue: 0x0000_0080)

    /// Moves the calling thread into new namespaces. unshare(2).
    public static func unshare(_ kinds: Namespaces) throws(SystemError) {
        try check("unshare", plane_unshare(UInt(kinds.rawValue)))
    }

    /// Moves the calling thread into an existing namespace. setns(2). Only on a thread that is ours for ever.
    public static func enter(_ descriptor: borrowing Descriptor, _ kind: Namespaces) throws(SystemError) {
        try check("setns", plane_setns(descriptor.raw, Int32(truncatingIfNeeded: kind.rawValue)))
    }
}

/// What clone3(2) gave.
public enum CloneResult: ~Copyable {
    /// We are the parent.
    case parent(pid: Int32, ProcessDescriptor)
    /// We are the child: the only thread, with a copy of the parent's memory.
    case child
}

/// Creates processes. clone3(2), Linux 5.3.
public enum Clone {
    /// Clones the calling process, which must have one thread only: a child of a threaded process inherits locks whose
    /// owners do not exist in it, and hangs or crashes in some of its tries (measured). That is checked here, each time.
    /// - Parameters:
    ///   - namespaces: which ones the child gets fresh.
    ///   - cgroup: a descriptor of the cgroup folder in which the child is born (CLONE_INTO_CGROUP, Linux 5.7): it never
    ///     runs outside. Nil stays in the parent's.
    public static func process(
        namespaces: Namespaces, cgroup: Int32?
    ) throws(SystemError) -> CloneResult {
        precondition(CurrentProcess.threadCount() == 1, "only a single-threaded process may be cloned")
        var pidfd: Int32 = -1
        var arguments = clone_args()
        let clonePidfd: UInt64 = 0x1000
        let cloneClearSighand: UInt64 = 0x1_0000_0000
        let cloneIntoCgroup: UInt64 = 0x2_0000_0000
        arguments.flags = namespaces.rawValue | clonePidfd | cloneClearSighand
        if let cgroup {
            arguments.flags |= cloneIntoCgroup
            arguments.cgroup = UInt64(cgroup)
        }
        arguments.exit_signal = UInt64(SIGCHLD)
        let pid = withUnsafeMutablePointer(to: &pidfd) { pointer in
            arguments.pidfd = UInt64(UInt(bitPattern: pointer))
            // EINTR cannot be: the kernel restarts clone by itself.
            return plane_clone3(&arguments)
        }
        if try check("clone3", pid) == 0 { return .child }
        return .parent(pid: Int32(pid), ProcessDescriptor(owning: Descriptor(owning: pidfd)))
    }
}

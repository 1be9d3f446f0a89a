import CLinux
import Glibc
import Linux

/// What holds a child that works as root on files from outside: the whole tree is read-only but for one folder, it can
/// make no device node, undo none of that, and write no file beyond a size.
struct ChildConfinement {
    /// The only folder it may write to: absolute.
    let writable: String
    /// Most bytes of one file that it writes.
    let fileBytesMax: UInt64

    /// Memory of its own that the program may have. Both programs that unpack images stay far below it.
    private static let memoryBytesMax: UInt64 = 2 << 30

    /// CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID and CAP_SETFCAP of capabilities(7): files of
    /// any user, with any mode. CAP_MKNOD and CAP_SYS_ADMIN are not among them.
    private static let keptCapabilities: Set<UInt> = [0, 1, 2, 3, 4, 31]

    /// In the child, in a mount namespace of its own whose propagation is off.
    func enter() throws(SystemError) {
        let folder = try DetachedMount(copying: try File.open(writable, File.pathOnly | O_DIRECTORY | O_NOFOLLOW))
        try folder.set([.noSetUserID, .noDevices, .noExecute])
        try MountTree.makeReadOnly()
        try folder.attach(at: writable)
        // setrlimit(2): RLIMIT_FSIZE is 1, RLIMIT_DATA 2, RLIMIT_CORE 4.
        for (resource, most) in [(Int32(1), fileBytesMax), (2, Self.memoryBytesMax), (4, 0)] {
            let outcome = plane_prlimit(resource, most, most)
            guard outcome >= 0 else { throw SystemError(Int32(-outcome), "prlimit \(resource)") }
        }
        // The bounding set bounds what root gets at execve(2). PR_CAPBSET_DROP is 24; EINVAL ends the kernel's list.
        for capability in UInt(0)..<64 where !Self.keptCapabilities.contains(capability) {
            let outcome = plane_prctl(24, capability, 0, 0, 0)
            if outcome == -Int(EINVAL) { break }
            guard outcome >= 0 else { throw SystemError(Int32(-outcome), "prctl PR_CAPBSET_DROP") }
        }
        // PR_SET_NO_NEW_PRIVS is 38.
        let outcome = plane_prctl(38, 1, 0, 0, 0)
        guard outcome >= 0 else { throw SystemError(Int32(-outcome), "prctl PR_SET_NO_NEW_PRIVS") }
    }
}

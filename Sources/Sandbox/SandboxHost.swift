import CLinux
import Glibc
import Linux
import Model

/// What all sandboxes of a warden share, made once at its start: the scratch folder in a mount namespace of the
/// warden's own, /dev, the init program, the cgroup folder and the block of user ids.
public struct SandboxHost: ~Copyable {
    /// Where the sandboxes' cgroups are.
    public let cgroup: HostCgroup
    var ranges: UserRangeBlock
    let scratch: String
    /// The root folder of the shared /dev, attached in the warden's own namespace: before Linux 6.15 only an attached
    /// mount can be copied.
    let devices: Descriptor
    let initProgram: Descriptor

    /// Moves the calling process into a mount namespace of its own and prepares what sandboxes share.
    /// - Parameters:
    ///   - scratch: an empty folder, made if only it is missing, that only root can write; nothing is ever left in it on the host's side.
    ///   - cgroup: where the sandboxes' cgroups go.
    ///   - lockFolder: shared by all wardens of the machine.
    public static func prepare(
        scratch: String, cgroup: HostCgroup, lockFolder: String
    ) throws(SandboxFailure) -> SandboxHost {
        let ranges = try step(.userRange) { () throws(SystemError) in try UserRangeBlock(lockFolder: lockFolder) }
        try step(.writableLayer) { () throws(SystemError) in try prepareScratch(scratch) }
        let devices = try step(.devices) { () throws(SystemError) in
            try makeDevices(at: scratch + "/devices")
        }
        let program = try step(.initProcess) { () throws(SystemError) in try copyOfThisProgram() }
        return SandboxHost(cgroup: cgroup, ranges: ranges, scratch: scratch, devices: devices, initProgram: program)
    }

    /// Mount points on a tmpfs that exists in this process's namespace only.
    private static func prepareScratch(_ path: String) throws(SystemError) {
        try Namespaces.unshare(.mount)
        try MountTree.makePrivate()
        try File.makeDirectory(path, mode: 0o700)
        let mount = try DetachedMount(
            fileSystem: "tmpfs", options: [("size", "64k"), ("mode", "0711")], attributes: [.noDevices, .noSetUserID])
        try mount.attach(at: path)
        for name in ["lower", "rw", "root", "devices"] { try File.makeDirectory(path + "/" + name, mode: 0o711) }
    }

    /// One /dev for all sandboxes, read-only: the six harmless devices, and places for pts, shm and mqueue.
    ///
    /// It is made in the initial user namespace, where nodes may be made and work; no sandbox can change it.
    private static func makeDevices(at path: String) throws(SystemError) -> Descriptor {
        let mount = try DetachedMount(
            fileSystem: "tmpfs", options: [("size", "64k"), ("mode", "0755")],
            attributes: [.noSetUserID, .noExecute])
        let nodes: [(String, UInt32, UInt32)] = [
            ("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0),
        ]
        let mask = umask(0)
        defer { umask(mask) }
        for (name, major, minor) in nodes {
            try MountTree.makeCharacterDevice(name, in: mount.descriptor, major: major, minor: minor)
        }
        let links = [
            ("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"),
            ("stderr", "/proc/self/fd/2"), ("ptmx", "pts/ptmx"),
        ]
        for (name, target) in links where symlinkat(target, mount.descriptor.raw, name) != 0 {
            throw SystemError(errno, "symlinkat /dev/\(name)")
        }
        for name in ["pts", "shm", "mqueue"] where mkdirat(mount.descriptor.raw, name, 0o755) != 0 {
            throw SystemError(errno, "mkdirat /dev/\(name)")
        }
        try mount.set(.readOnly)
        try mount.attach(at: path)
        return try File.open(path, File.pathOnly | O_DIRECTORY)
    }

    /// A sealed copy of this executable in memory, to be exec'ed as pid 1: what runs in a sandbox is never a file of
    /// the host that could be reached through /proc/1/exe. memfd_create(2), CVE-2019-5736.
    private static func copyOfThisProgram() throws(SystemError) -> Descriptor {
        let source = try File.open("/proc/self/exe", O_RDONLY)
        let allowSealing: UInt32 = 2
        let closeOnExec: UInt32 = 1
        let made = plane_memfd_create("plane-init", closeOnExec | allowSealing)
        guard made >= 0 else { throw SystemError(Int32(-made), "memfd_create") }
        let copy = Descriptor(owning: Int32(made))
        while true {
            let count = sendfile(copy.raw, source.raw, nil, 16 << 20)
            if count < 0 { throw SystemError(errno, "sendfile") }
            if count == 0 { break }
        }
        let addSeals: Int32 = 1033
        let sealShrinkGrowWriteSeal = 0x1 | 0x2 | 0x4 | 0x8
        let sealed = plane_fcntl(copy.raw, addSeals, sealShrinkGrowWriteSeal)
        guard sealed >= 0 else { throw SystemError(Int32(-sealed), "fcntl F_ADD_SEALS") }
        return copy
    }
}

import CLinux
import Glibc
import Linux
import Model

/// What all sandboxes of a maker share, made once at its start: the scratch folder in a mount namespace of its own, /dev,
/// the init program, the cgroup folder, the network namespaces that are kept ready and the block of user ids.
public struct SandboxHost: ~Copyable {
    /// Where the sandboxes' cgroups are.
    public let cgroup: HostCgroup
    var ranges: UserRangeBlock
    let scratch: String
    let initProgram: Descriptor
    let networks: NetworkMaker
    let home: Descriptor
    let proc: ProcEntries
    let landlockVersion: Int
    let ignoredSignals: [Int32]
    let layers: OverlayLayers
    /// Always empty but in the tests' own program.
    package var omitted: Set<SandboxLayer> = []
    /// Folders of the scratch folder that hold a /dev with more than the usual devices.
    private var devices: [[SandboxDevice]: String] = [:]

    /// How many sandboxes there will be.
    public enum Scale: Sendable {
        /// One after the other or many at once: a warden's.
        case warden
        /// A single run's.
        case run
    }

    /// Moves the calling process into a mount namespace of its own and prepares what sandboxes share.
    /// - Parameters:
    ///   - scratch: an empty folder, made if only it is missing, that only root can write; nothing is ever left in it on the host's side.
    ///   - cgroup: where the sandboxes' cgroups go.
    ///   - lockFolder: shared by all makers of sandboxes of the machine.
    ///   - scale: how many sandboxes there will be.
    public static func prepare(
        scratch: String, cgroup: HostCgroup, lockFolder: String, _ scale: Scale
    ) throws(SandboxFailure) -> SandboxHost {
        let ranges = try step(.userRange) { () throws(SystemError) in
            try UserRangeBlock(scale == .run ? .one : .many, lockFolder: lockFolder)
        }
        let networks = try step(.network) { () throws(SystemError) in
            try NetworkMaker(scale == .run ? .single : .steady(ahead: networksAhead))
        }
        let home = try step(.network) { () throws(SystemError) in try File.open("/proc/self/ns/net", O_RDONLY) }
        try step(.writableLayer) { () throws(SystemError) in try prepareScratch(scratch) }
        let program = try step(.initProcess) { () throws(SystemError) in try copyOfThisProgram() }
        var host = SandboxHost(
            cgroup: cgroup, ranges: ranges, scratch: scratch, initProgram: program, networks: networks, home: home,
            proc: ProcEntries(), landlockVersion: LandlockRuleset.version(), layers: OverlayLayers.found())
        _ = try host.devices(of: [])
        return host
    }

    private init(
        cgroup: HostCgroup, ranges: consuming UserRangeBlock, scratch: String, initProgram: consuming Descriptor,
        networks: NetworkMaker, home: consuming Descriptor, proc: ProcEntries, landlockVersion: Int,
        layers: OverlayLayers
    ) {
        self.cgroup = cgroup
        self.ranges = ranges
        self.scratch = scratch
        self.initProgram = initProgram
        self.networks = networks
        self.home = home
        self.proc = proc
        self.landlockVersion = landlockVersion
        self.layers = layers
        // The warden ignores SIGPIPE before it prepares anything.
        ignoredSignals = Signals.ignored()
    }

    /// Network namespaces that a warden keeps ready: some 2 MiB of kernel memory.
    private static let networksAhead = 8

    /// Mount points on a tmpfs that exists in this process's namespace, and in copies of it, only.
    private static func prepareScratch(_ path: String) throws(SystemError) {
        try Namespaces.unshare(.mount)
        try MountTree.makePrivate()
        try File.makeDirectory(path, mode: 0o700)
        let mount = try DetachedMount(
            fileSystem: "tmpfs", options: [("size", "256k"), ("mode", "0711")], attributes: [.noDevices, .noSetUserID])
        try mount.attach(at: path)
        for name in ["rw", "root", "proc", "dev", "special"] {
            try File.makeDirectory(path + "/" + name, mode: 0o711)
        }
    }

    /// The scratch folder's path of a /dev with these devices, made when it is first asked for.
    mutating func devices(of extra: [SandboxDevice]) throws(SandboxFailure) -> String {
        if let made = devices[extra] { return made }
        let path = scratch + "/devices-\(devices.count)"
        try step(.devices) { () throws(SystemError) in
            try File.makeDirectory(path, mode: 0o711)
            try Self.makeDevices(extra, at: path)
        }
        devices[extra] = path
        return path
    }

    /// A copy of the /dev with these devices, attached nowhere; nil when it is the usual one, which every sandbox finds by
    /// itself.
    mutating func specialDevices(_ extra: [SandboxDevice]) throws(SandboxFailure) -> Int32? {
        if extra.isEmpty { return nil }
        let path = try devices(of: extra)
        return try step(.devices) { () throws(SystemError) in
            let folder = try File.open(path, File.pathOnly | O_DIRECTORY)
            return try DetachedMount(copying: folder).release()
        }
    }

    /// One /dev for all sandboxes of a kind, read-only: the six harmless devices, those that a policy adds, and places for
    /// pts, shm and mqueue.
    ///
    /// It is made in the initial user namespace, where nodes may be made and work; no sandbox can change it.
    private static func makeDevices(_ extra: [SandboxDevice], at path: String) throws(SystemError) {
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
        for device in extra { try make(device, in: mount.descriptor) }
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
    }

    /// A device that a policy names, with the numbers that the host's own node has.
    private static func make(_ device: SandboxDevice, in folder: borrowing Descriptor) throws(SystemError) {
        guard case .characterDevice(let major, let minor)? = File.status("/dev/" + device.path)?.kind else {
            throw SystemError(ENODEV, "/dev/\(device.path), which the policy names")
        }
        if let slash = device.path.firstIndex(of: "/") {
            let parent = String(device.path[..<slash])
            if mkdirat(folder.raw, parent, 0o755) != 0, errno != EEXIST {
                throw SystemError(errno, "mkdirat /dev/\(parent)")
            }
        }
        try MountTree.makeCharacterDevice(device.path, in: folder, major: major, minor: minor)
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

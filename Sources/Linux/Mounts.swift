import CLinux
import Glibc

/// Attributes of a mount. mount_setattr(2), fsmount(2).
public struct MountAttributes: OptionSet, Sendable {
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// MOUNT_ATTR_RDONLY
    public static let readOnly = MountAttributes(rawValue: 0x01)
    /// MOUNT_ATTR_NOSUID
    public static let noSetUserID = MountAttributes(rawValue: 0x02)
    /// MOUNT_ATTR_NODEV
    public static let noDevices = MountAttributes(rawValue: 0x04)
    /// MOUNT_ATTR_NOEXEC
    public static let noExecute = MountAttributes(rawValue: 0x08)
    /// MOUNT_ATTR_IDMAP
    static let idMapped = MountAttributes(rawValue: 0x0010_0000)
}

/// A mount that has no place yet, or a copy of one, held by a descriptor. open_tree(2), fsmount(2), Linux 5.2.
public struct DetachedMount: ~Copyable {
    /// Refers to the mount's root. Closing it unmounts what was never attached.
    public let descriptor: Descriptor

    /// Takes over a descriptor of a detached mount, as received over a socket.
    public init(owning descriptor: consuming Descriptor) { self.descriptor = descriptor }

    /// Copies the mount that a descriptor refers to, without the mounts below it. open_tree(2), OPEN_TREE_CLONE.
    public init(copying directory: borrowing Descriptor) throws(SystemError) {
        let clone: UInt32 = 1
        let opened = plane_open_tree(directory.raw, "", clone | UInt32(O_CLOEXEC) | emptyPath)
        self.descriptor = Descriptor(owning: Int32(try check("open_tree", opened)))
    }

    /// Creates a file system that is mounted nowhere. fsopen(2), fsconfig(2), fsmount(2).
    /// - Parameter options: key and value; a nil value sets a flag.
    public init(
        fileSystem type: String, options: [(String, String?)], attributes: MountAttributes
    ) throws(SystemError) {
        let context = Descriptor(owning: Int32(try check("fsopen \(type)", plane_fsopen(type, 1))))
        let setFlag: UInt32 = 0
        let setString: UInt32 = 1
        let create: UInt32 = 6
        for (key, value) in options {
            let set = plane_fsconfig(context.raw, value == nil ? setFlag : setString, key, value, 0)
            try check("fsconfig \(type) \(key)=\(value ?? "")", set)
        }
        try check("fsconfig \(type) create", plane_fsconfig(context.raw, create, nil, nil, 0))
        let mounted = plane_fsmount(context.raw, 1, UInt32(attributes.rawValue))
        self.descriptor = Descriptor(owning: Int32(try check("fsmount \(type)", mounted)))
    }

    /// An overlay whose layers are given by descriptors, of mounts that may be attached nowhere. Linux 6.15.
    public init(
        overlay lower: borrowing Descriptor, upper: borrowing Descriptor, work: borrowing Descriptor,
        options: [(String, String?)], attributes: MountAttributes
    ) throws(SystemError) {
        let context = Descriptor(owning: Int32(try check("fsopen overlay", plane_fsopen("overlay", 1))))
        let setString: UInt32 = 1
        let setDescriptor: UInt32 = 5
        let create: UInt32 = 6
        for (key, layer) in [("lowerdir+", lower.raw), ("upperdir", upper.raw), ("workdir", work.raw)] {
            try check("fsconfig overlay \(key)", plane_fsconfig(context.raw, setDescriptor, key, nil, layer))
        }
        for (key, value) in options {
            try check("fsconfig overlay \(key)", plane_fsconfig(context.raw, setString, key, value, 0))
        }
        try check("fsconfig overlay create", plane_fsconfig(context.raw, create, nil, nil, 0))
        let mounted = plane_fsmount(context.raw, 1, UInt32(attributes.rawValue))
        self.descriptor = Descriptor(owning: Int32(try check("fsmount overlay", mounted)))
    }

    /// Shows the files' owners through a user namespace's mapping. MOUNT_ATTR_IDMAP, Linux 5.12. Before attaching only.
    public borrowing func mapOwners(through userNamespace: borrowing Descriptor) throws(SystemError) {
        var attr = plane_mount_attr()
        attr.attr_set = MountAttributes.idMapped.rawValue
        attr.userns_fd = UInt64(userNamespace.raw)
        try check("mount_setattr MOUNT_ATTR_IDMAP", plane_mount_setattr(descriptor.raw, "", emptyPath, &attr))
    }

    /// Adds attributes. mount_setattr(2), Linux 5.12.
    public borrowing func set(_ attributes: MountAttributes) throws(SystemError) {
        var attr = plane_mount_attr()
        attr.attr_set = attributes.rawValue
        try check("mount_setattr", plane_mount_setattr(descriptor.raw, "", emptyPath, &attr))
    }

    /// Puts it on top of the file or folder that a descriptor refers to, so that no path is looked up. move_mount(2).
    public borrowing func attach(onto target: borrowing Descriptor) throws(SystemError) {
        let fromEmptyPath: UInt32 = 0x04
        let toEmptyPath: UInt32 = 0x40
        try check(
            "move_mount", plane_move_mount(descriptor.raw, "", target.raw, "", fromEmptyPath | toEmptyPath))
    }

    /// Puts it on top of a name in a folder whose names cannot be links, as those of /proc's own files cannot. move_mount(2).
    public borrowing func attach(onto name: String, in folder: borrowing Descriptor) throws(SystemError) {
        let fromEmptyPath: UInt32 = 0x04
        try check("move_mount \(name)", plane_move_mount(descriptor.raw, "", folder.raw, name, fromEmptyPath))
    }

    /// Copies the mount of a name in a folder, without what is mounted below. open_tree(2), OPEN_TREE_CLONE.
    public init(copying name: String, in folder: borrowing Descriptor) throws(SystemError) {
        let clone: UInt32 = 1
        let opened = plane_open_tree(folder.raw, name, clone | UInt32(O_CLOEXEC) | noFollow)
        self.descriptor = Descriptor(owning: Int32(try check("open_tree \(name)", opened)))
    }

    /// Gives the descriptor up: the caller now closes it.
    public consuming func release() -> Int32 { descriptor.release() }

    /// Puts it on top of a name, and leaves the descriptor to the process's end: for a process that is about to exec.
    public consuming func attachForGood(onto name: String, in folder: borrowing Descriptor) throws(SystemError) {
        try attach(onto: name, in: folder)
        _ = descriptor.release()
    }

    /// Puts it at a path of the calling process's own tree. move_mount(2).
    public borrowing func attach(at path: String) throws(SystemError) {
        let fromEmptyPath: UInt32 = 0x04
        try check("move_mount \(path)", plane_move_mount(descriptor.raw, "", at_fdcwd, path, fromEmptyPath))
    }
}

private let at_fdcwd: Int32 = -100
private let emptyPath: UInt32 = 0x1000
private let noFollow: UInt32 = 0x100

/// The mount tree of the calling process. mount_namespaces(7).
public enum MountTree {
    /// Stops every propagation from and to other namespaces. mount_setattr(2) with AT_RECURSIVE and MS_PRIVATE.
    public static func makePrivate() throws(SystemError) {
        var attr = plane_mount_attr()
        let msPrivate: UInt64 = 1 << 18
        attr.propagation = msPrivate
        let recursive: UInt32 = 0x8000
        try check("mount_setattr / private", plane_mount_setattr(at_fdcwd, "/", recursive, &attr))
    }

    /// Makes every mount of the tree read-only, whatever is mounted below others too. mount_setattr(2) with AT_RECURSIVE.
    /// In a mount namespace of one's own only: nobody else's may be changed.
    public static func makeReadOnly() throws(SystemError) {
        var attr = plane_mount_attr()
        attr.attr_set = MountAttributes.readOnly.rawValue
        let recursive: UInt32 = 0x8000
        try check("mount_setattr / read-only", plane_mount_setattr(at_fdcwd, "/", recursive, &attr))
    }

    /// Unmounts a path at once for new look-ups; what still uses it keeps it. umount2(2) MNT_DETACH.
    public static func detach(_ path: String) throws(SystemError) {
        let mntDetach: Int32 = 2
        try check("umount2 \(path)", plane_umount2(path, mntDetach))
    }

    /// Makes the folder that a descriptor refers to the root, and leaves the old root reachable by nobody.
    /// pivot_root(2), its NOTES on `pivot_root(".", ".")`.
    public static func pivot(to root: borrowing Descriptor) throws(SystemError) {
        try check("fchdir", result(fchdir(root.raw)))
        try check("pivot_root", plane_pivot_root(".", "."))
        try detach(".")
        try check("chdir /", result(chdir("/")))
    }

    /// Makes the folder that a descriptor refers to the root of the calling process, and leaves the old root where it is.
    /// chroot(2).
    package static func changeRoot(to root: borrowing Descriptor) throws(SystemError) {
        try check("fchdir", result(fchdir(root.raw)))
        try check("chroot", result(chroot(".")))
    }

    /// Makes a device node. mknod(2).
    public static func makeCharacterDevice(
        _ name: String, in directory: borrowing Descriptor, major: UInt32, minor: UInt32
    ) throws(SystemError) {
        let characterDevice: UInt32 = 0o020000
        let mode = characterDevice | 0o666
        try check("mknodat \(name)", plane_mknodat(directory.raw, name, mode, major, minor))
    }
}

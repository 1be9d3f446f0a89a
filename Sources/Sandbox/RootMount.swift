import Glibc
import Linux
import Model

extension SandboxHost {
    /// The root of one sandbox, mounted nowhere yet: its image, shown through its id range and read-only, under a
    /// writable layer on a tmpfs of limited size.
    ///
    /// Made by the warden and not by the child, in the initial user namespace: overlayfs then keeps its marks in
    /// trusted xattrs, which nothing in a sandbox can write, and works the same on every kernel since 5.19. Before
    /// Linux 6.15 overlayfs takes only attached mounts as layers, hence the stay in the scratch folder.
    func makeRoot(
        _ plan: SandboxPlan, image: borrowing Descriptor, range: UserRange, userNamespace: borrowing Descriptor
    ) throws(SandboxFailure) -> DetachedMount {
        let lower = scratch + "/lower"
        let writable = scratch + "/rw"
        do {
            let mount = try DetachedMount(copying: image)
            try mount.mapOwners(through: userNamespace)
            try mount.set([.readOnly, .noSetUserID, .noDevices])
            try mount.attach(at: lower)
        } catch { throw SandboxFailure(.image, error) }
        defer { try? MountTree.detach(lower) }
        do {
            return try Self.overlay(plan, lower: lower, writable: writable, owner: range.first)
        } catch { throw SandboxFailure(.writableLayer, error) }
    }

    private static func overlay(
        _ plan: SandboxPlan, lower: String, writable: String, owner: UInt32
    ) throws(SystemError) -> DetachedMount {
        let layer = try DetachedMount(
            fileSystem: "tmpfs",
            options: [("size", String(plan.diskBytes)), ("nr_inodes", String(plan.diskInodes)), ("mode", "0700")],
            attributes: [.noSetUserID, .noDevices])
        try layer.attach(at: writable)
        defer { try? MountTree.detach(writable) }
        let upper = writable + "/upper"
        let work = writable + "/work"
        try File.makeDirectory(upper, mode: 0o755)
        try File.makeDirectory(work, mode: 0o700)
        // The overlay's root has the upper folder's owner: the sandbox's own root, who may make missing mount points.
        guard chown(upper, owner, owner) == 0 else { throw SystemError(errno, "chown \(upper)") }
        return try DetachedMount(
            fileSystem: "overlay",
            options: [
                // For the sandbox's mountinfo, where plane image rm looks for who uses an image.
                ("source", plan.rootPath),
                ("lowerdir", lower), ("upperdir", upper), ("workdir", work), ("index", "off"), ("metacopy", "off"),
                ("redirect_dir", "off"), ("xino", "off"),
            ],
            attributes: [.noSetUserID, .noDevices])
    }
}

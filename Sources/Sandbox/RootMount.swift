import Glibc
import Linux
import Model

extension SandboxHost {
    /// The root of one sandbox, mounted nowhere yet: its image, shown through its id range and read-only, under a
    /// writable layer on a tmpfs of limited size.
    ///
    /// Made by the warden and not by the child, in the initial user namespace: overlayfs then keeps its marks in
    /// trusted xattrs, which nothing in a sandbox can write, and works the same on every kernel since 5.19.
    func makeRoot(
        _ image: SandboxImage, range: UserRange, userNamespace: borrowing Descriptor
    ) throws(SandboxFailure) -> RootMount {
        let lower = try image.withRoot { root throws(SandboxFailure) in
            do throws(SystemError) {
                let mount = try DetachedMount(copying: root)
                try mount.mapOwners(through: userNamespace)
                try mount.set(harmless.union(.readOnly))
                return mount
            } catch { throw SandboxFailure(.image, error) }
        }
        do throws(SystemError) {
            let writable = try writableLayer(image.plan, owner: range.first)
            return try layers.stack(
                lower, writable, source: image.plan.rootPath, attributes: harmless, scratch: scratch)
        } catch { throw SandboxFailure(.writableLayer, error) }
    }

    /// What every mount of files gets.
    private var harmless: MountAttributes {
        var attributes: MountAttributes = [.noSetUserID, .noDevices]
        if omitted.contains(.noSetUserID) { attributes.remove(.noSetUserID) }
        if omitted.contains(.noDevices) { attributes.remove(.noDevices) }
        return attributes
    }

    private func writableLayer(_ plan: SandboxPlan, owner: UInt32) throws(SystemError) -> DetachedMount {
        let layer = try DetachedMount(
            fileSystem: "tmpfs",
            options: [("size", String(plan.diskBytes)), ("nr_inodes", String(plan.diskInodes)), ("mode", "0700")],
            attributes: harmless)
        for (name, mode) in [("upper", mode_t(0o755)), ("work", 0o700)]
        where mkdirat(layer.descriptor.raw, name, mode) != 0 {
            throw SystemError(errno, "mkdirat \(name)")
        }
        // The overlay's root has the upper folder's owner: the sandbox's own root, who may make missing mount points.
        guard fchownat(layer.descriptor.raw, "upper", owner, owner, AT_SYMLINK_NOFOLLOW) == 0 else {
            throw SystemError(errno, "chown upper")
        }
        return layer
    }

    /// What a policy mounts over the image, mounted nowhere yet.
    func make(_ mount: SandboxMount, userNamespace: borrowing Descriptor, _ plan: SandboxPlan) throws(SandboxFailure)
        -> DetachedMount
    {
        do throws(SystemError) {
            switch mount.source {
            case .readOnly(let path):
                let made = try DetachedMount(copying: File.open(path, File.pathOnly))
                try made.set(harmless.union(.readOnly))
                return made
            case .volume(let base, let name):
                let made = try DetachedMount(copying: Self.volume(name, in: base, owner: plan))
                try made.mapOwners(through: userNamespace)
                try made.set(harmless)
                return made
            }
        } catch { throw SandboxFailure(.mounts, call: "\(mount.target): \(error.call)", code: error.code) }
    }

    /// The folder of a volume; a new one belongs to the command's user, by its id inside.
    private static func volume(
        _ name: String, in base: String, owner: SandboxPlan
    ) throws(SystemError) -> Descriptor {
        // The way to it is closed to everybody else: on disk its files bear ids of the host that others may have.
        try File.makeDirectory(base, mode: 0o700)
        let folder = try File.open(base, File.pathOnly | O_DIRECTORY)
        let status = try File.status(folder)
        guard status.userID == 0, status.mode & 0o077 == 0 else {
            throw SystemError(EACCES, "\(base) must belong to root and be closed to others (chmod 700)")
        }
        if mkdirat(folder.raw, name, 0o755) == 0 {
            guard fchownat(folder.raw, name, owner.userID, owner.groupID, AT_SYMLINK_NOFOLLOW) == 0 else {
                throw SystemError(errno, "chown of the new volume \(name)")
            }
        } else if errno != EEXIST {
            throw SystemError(errno, "mkdir \(base)/\(name)")
        }
        return try File.open(name, below: folder, File.pathOnly | O_DIRECTORY, .beneathWithoutLinks)
    }
}

import Glibc
import Linux
import Model

/// A mount that is attached somewhere in the scratch folder, with what is mounted on it, on its way to its place.
typealias MovableMount = DetachedMount

extension SandboxChild {
    /// A /proc of the new pid namespace, in which a process sees only what is its own; what could change the host is
    /// read-only, and what tells of it is covered, whatever the mode bits say.
    func makeProc(at place: borrowing Descriptor, _ places: borrowing Places) throws(SandboxFailure) -> MovableMount {
        do {
            let quiet: MountAttributes = [.noSetUserID, .noDevices, .noExecute]
            let hiding = [("hidepid", omitted.contains(.hiddenProcesses) ? "off" : "invisible")]
            let proc = try DetachedMount(fileSystem: "proc", options: hiding, attributes: quiet)
            try proc.attach(onto: place)
            if !omitted.contains(.userNamespaceLimit) {
                // No further user namespace, also should the system call filter have a hole. user_namespaces(7)
                let limit = try File.open(
                    "sys/user/max_user_namespaces", below: proc.descriptor, O_WRONLY, .beneathWithoutLinks)
                try limit.writeAll(Array("0\n".utf8))
            }
            if !omitted.contains(.readOnlyProc) {
                for name in self.proc.readOnly {
                    let copy = try DetachedMount(copying: name, in: proc.descriptor)
                    try copy.set(quiet.union(.readOnly))
                    try copy.attachForGood(onto: name, in: proc.descriptor)
                }
            }
            if !omitted.contains(.procMasks) {
                // The warden's own node, in a folder that nothing in a sandbox can write (CVE-2025-31133).
                for name in self.proc.masked {
                    try DetachedMount(copying: "null", in: places.devices)
                        .attachForGood(onto: name, in: proc.descriptor)
                }
            }
            return proc
        } catch { throw SandboxFailure(.proc, error) }
    }

    /// A shared read-only /dev, and this sandbox's own pts and mqueue on it.
    func finishDevices(
        _ folder: consuming DetachedMount, at place: borrowing Descriptor
    ) throws(SandboxFailure) -> MovableMount {
        do {
            try folder.attach(onto: place)
            let quiet: MountAttributes = [.noSetUserID, .noDevices, .noExecute]
            // devices of a devpts made in a user namespace are its own terminals only, so they may be opened.
            try DetachedMount(
                fileSystem: "devpts",
                options: [("newinstance", nil), ("ptmxmode", "0666"), ("mode", "0620")],
                attributes: [.noSetUserID, .noExecute]
            ).attachForGood(onto: "pts", in: folder.descriptor)
            try DetachedMount(fileSystem: "mqueue", options: [], attributes: quiet)
                .attachForGood(onto: "mqueue", in: folder.descriptor)
            return folder
        } catch { throw SandboxFailure(.devices, error) }
    }

    /// /dev/shm, of the size that the plan says.
    func addSharedMemory(_ plan: SandboxPlan, to devices: borrowing MovableMount) throws(SandboxFailure) {
        try step(.devices) { () throws(SystemError) in
            try DetachedMount(
                fileSystem: "tmpfs",
                options: [("size", String(plan.sharedMemoryBytes)), ("mode", "1777"), ("nr_inodes", "4096")],
                attributes: [.noSetUserID, .noDevices, .noExecute]
            ).attachForGood(onto: "shm", in: devices.descriptor)
        }
    }

    /// Puts the root that the warden has made in its place, and opens it there.
    func attachRoot(at places: borrowing Places) throws(SandboxFailure) -> Descriptor {
        let mount = try awaitMount("the root")
        do {
            try mount.attach(onto: places.root)
            return try mount.descriptor.duplicate()
        } catch { throw SandboxFailure(.attachRoot, error) }
    }

    /// Moves a finished mount to its place in the root, making that in the writable layer where the image lacks it.
    ///
    /// No link is followed: an image whose /dev or /proc is one is refused, instead of its target being mounted on
    /// (CVE-2024-45310, CVE-2021-30465).
    func move(_ mount: borrowing MovableMount, to name: String, _ root: borrowing Descriptor) throws(SandboxFailure) {
        do throws(SystemError) {
            if omitted.contains(.linkRefusal) {
                return try mount.attach(at: "\(scratch)/root/\(name)")
            }
            do throws(SystemError) {
                try mount.attach(
                    onto: File.open(name, below: root, File.pathOnly | O_DIRECTORY, .beneathWithoutLinks))
            } catch {
                guard error.code == ENOENT else { throw error }
                if mkdirat(root.raw, name, 0o755) != 0 { throw SystemError(errno, "mkdirat /\(name)") }
                try mount.attach(
                    onto: File.open(name, below: root, File.pathOnly | O_DIRECTORY, .beneathWithoutLinks))
            }
        } catch { throw SandboxFailure(name == "dev" ? .devices : .proc, error) }
    }

    /// Puts a mount of the policy on its target. The image is the operator's, what is in a volume is not: links stay in
    /// the root, and /proc and /dev have nothing of theirs covered.
    func attach(_ mount: SandboxMount, _ root: borrowing Descriptor) throws(SandboxFailure) {
        let made = try awaitMount("the mount \(mount.target)")
        do throws(SystemError) {
            let isFolder = try File.status(made.descriptor).kind == .directory
            let target = try self.target(mount.target, isFolder ? .folder : .file, root)
            try made.attach(onto: target)
        } catch { throw SandboxFailure(.mounts, call: "\(mount.target): \(error.call)", code: error.code) }
    }

    private enum TargetKind {
        case folder
        case file
    }

    /// Opens a target in the root, making what is missing of the way to it in the writable layer.
    private func target(
        _ path: String, _ kind: TargetKind, _ root: borrowing Descriptor
    ) throws(SystemError) -> Descriptor {
        do throws(SystemError) { return try File.open(path, below: root, File.pathOnly, .inRoot) } catch {
            if error.code != ENOENT { throw error }
        }
        let names = path.split(separator: "/").map(String.init)
        var folder = try root.duplicate()
        for name in names.dropLast() {
            if mkdirat(folder.raw, name, 0o755) != 0, errno != EEXIST { throw SystemError(errno, "mkdirat \(name)") }
            // Links were followed above, where the whole way was there; a new way has none.
            folder = try File.open(name, below: folder, File.pathOnly | O_DIRECTORY, .beneathWithoutLinks)
        }
        let name = names.last ?? "."
        switch kind {
        case .folder:
            if mkdirat(folder.raw, name, 0o755) != 0, errno != EEXIST { throw SystemError(errno, "mkdirat \(name)") }
            return try File.open(name, below: folder, File.pathOnly | O_DIRECTORY, .beneathWithoutLinks)
        case .file:
            _ = try File.open(name, below: folder, O_WRONLY | O_CREAT | O_NOFOLLOW, mode: 0o644, .beneathWithoutLinks)
            return try File.open(name, below: folder, File.pathOnly, .beneathWithoutLinks)
        }
    }

    func enterRoot(_ root: borrowing Descriptor) throws(SandboxFailure) {
        do {
            if omitted.contains(.pivotRoot) { return try MountTree.changeRoot(to: root) }
            try MountTree.pivot(to: root)
        } catch { throw SandboxFailure(.pivot, error) }
    }
}

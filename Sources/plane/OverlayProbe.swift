import Glibc
import Linux

/// A writable layer over a read-only folder whose owners are shown through a user namespace, as every sandbox's root is.
enum OverlayProbe {
    static func finding(_ state: StateFolder) -> Finding {
        let folder = nearestExisting(state.path)
        let remedy =
            "boot Linux 5.19 or newer with overlayfs (modprobe overlay), and keep the state folder on a file system "
            + "that can be idmapped: ext4, xfs, btrfs or tmpfs"
        return Finding.trying("overlay, idmapped", remedy: remedy) { () throws(SystemError) in
            let lower = "\(folder)/.plane-doctor-\(getpid())"
            try File.makeDirectory(lower, mode: 0o755)
            defer { rmdir(lower) }
            try tryOverlay(on: lower)
            return "works on the file system of \(folder)"
        }
    }

    /// The state folder may not be there yet; its file system is that of the nearest folder above.
    private static func nearestExisting(_ path: String) -> String {
        var path = path
        while !path.isEmpty, File.status(path)?.kind != .directory {
            path = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
        }
        return path.isEmpty ? "/" : path
    }

    private static func tryOverlay(on folder: String) throws(SystemError) {
        let child = try ProbeChild.idle(.user, cgroup: nil)
        let pid = child.pid
        let outcome = Result { () throws(SystemError) in
            for map in ["uid_map", "gid_map"] { try File.write("0 268435456 65536\n", to: "/proc/\(pid)/\(map)") }
            let user = try File.open("/proc/\(pid)/ns/user", O_RDONLY)
            try ProbeChild.run(.mount) { () throws(SystemError) in try mountOverlay(folder, user) }
        }
        _ = try child.end()
        try outcome.get()
    }

    /// In a mount namespace that ends with the process.
    private static func mountOverlay(_ folder: String, _ user: borrowing Descriptor) throws(SystemError) {
        try MountTree.makePrivate()
        let image = try DetachedMount(copying: File.open(folder, File.pathOnly | O_DIRECTORY))
        try image.mapOwners(through: user)
        try image.set([.readOnly, .noSetUserID, .noDevices])
        let scratch = try DetachedMount(fileSystem: "tmpfs", options: [("size", "64k")], attributes: [.noDevices])
        // The folder itself is the one place that is surely there and ours.
        try scratch.attach(at: folder)
        for name in ["lower", "upper", "work"] { try File.makeDirectory("\(folder)/\(name)", mode: 0o755) }
        try image.attach(at: "\(folder)/lower")
        let overlay = try DetachedMount(
            fileSystem: "overlay",
            options: [
                ("lowerdir", "\(folder)/lower"), ("upperdir", "\(folder)/upper"), ("workdir", "\(folder)/work"),
            ],
            attributes: [.noDevices])
        let root = try File.open(".", below: overlay.descriptor, O_RDONLY | O_DIRECTORY, .inRoot)
        let made = openat(root.raw, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard made >= 0 else { throw SystemError(errno, "write into the overlay") }
        close(made)
    }
}

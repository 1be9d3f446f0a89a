import Glibc
import Linux
import Model

extension SandboxChild {
    /// Opens a folder of the image as a mount target, making it in the writable layer where the image lacks it.
    ///
    /// No link is followed: an image whose /dev or /proc is one is refused, instead of its target being mounted on
    /// (CVE-2024-45310, CVE-2021-30465).
    private func target(_ name: String, _ root: borrowing Descriptor) throws(SystemError) -> Descriptor {
        if mkdirat(root.raw, name, 0o755) != 0, errno != EEXIST { throw SystemError(errno, "mkdirat /\(name)") }
        return try File.open(name, below: root, File.pathOnly | O_DIRECTORY, .beneathWithoutLinks)
    }

    /// The shared read-only /dev, and this sandbox's own pts, shm and mqueue on it.
    func attachDevices(_ devices: borrowing DetachedMount, _ root: borrowing Descriptor) throws(SandboxFailure) {
        do {
            try devices.attach(onto: target("dev", root))
            let folder = try File.open("dev", below: root, File.pathOnly | O_DIRECTORY, .beneathWithoutLinks)
            let quiet: MountAttributes = [.noSetUserID, .noDevices, .noExecute]
            // devices of a devpts made in a user namespace are its own terminals only, so they may be opened.
            try DetachedMount(
                fileSystem: "devpts",
                options: [("newinstance", nil), ("ptmxmode", "0666"), ("mode", "0620")],
                attributes: [.noSetUserID, .noExecute]
            ).attach(onto: File.open("pts", below: folder, File.pathOnly | O_DIRECTORY, .beneathWithoutLinks))
            try DetachedMount(
                fileSystem: "tmpfs",
                options: [("size", String(plan.sharedMemoryBytes)), ("mode", "1777"), ("nr_inodes", "4096")],
                attributes: quiet
            ).attach(onto: File.open("shm", below: folder, File.pathOnly | O_DIRECTORY, .beneathWithoutLinks))
            try DetachedMount(fileSystem: "mqueue", options: [], attributes: quiet)
                .attach(onto: File.open("mqueue", below: folder, File.pathOnly | O_DIRECTORY, .beneathWithoutLinks))
        } catch { throw SandboxFailure(.devices, error) }
    }

    /// A /proc of the new pid namespace, in which a process sees only what is its own; what could change the host is
    /// read-only, and what tells of it is covered, whatever the mode bits say.
    func attachProc(_ root: borrowing Descriptor) throws(SandboxFailure) {
        do {
            let quiet: MountAttributes = [.noSetUserID, .noDevices, .noExecute]
            try DetachedMount(fileSystem: "proc", options: [("hidepid", "invisible")], attributes: quiet)
                .attach(onto: target("proc", root))
            let proc = try File.open("proc", below: root, File.pathOnly | O_DIRECTORY, .beneathWithoutLinks)
            // No further user namespace, also should the system call filter have a hole. user_namespaces(7)
            let limit = try File.open("sys/user/max_user_namespaces", below: proc, O_WRONLY, .beneathWithoutLinks)
            try limit.writeAll(Array("0\n".utf8))
            for name in ["sys", "sysrq-trigger", "irq", "bus", "fs", "acpi", "scsi"] {
                try makeReadOnly(name, proc)
            }
            let null = try File.open("dev/null", below: root, File.pathOnly, .beneathWithoutLinks)
            for name in Self.maskedProcFiles { try mask(name, proc, with: null) }
        } catch { throw SandboxFailure(.proc, error) }
    }

    /// Files of /proc that tell of the host or of other users of it.
    private static let maskedProcFiles = [
        "kcore", "keys", "key-users", "timer_list", "sched_debug", "kallsyms", "kmsg", "config.gz", "interrupts",
        "softirqs", "slabinfo", "pagetypeinfo", "vmallocinfo", "latency_stats", "modules", "cmdline", "iomem",
        "ioports",
        "kpagecount", "kpageflags", "kpagecgroup",
    ]

    private func makeReadOnly(_ name: String, _ proc: borrowing Descriptor) throws(SystemError) {
        guard let place = try existing(name, proc) else { return }
        let copy = try DetachedMount(copying: place)
        try copy.set([.readOnly, .noSetUserID, .noDevices, .noExecute])
        try copy.attach(onto: place)
    }

    private func mask(_ name: String, _ proc: borrowing Descriptor, with null: borrowing Descriptor) throws(SystemError)
    {
        guard let place = try existing(name, proc) else { return }
        try DetachedMount(copying: null).attach(onto: place)
    }

    /// An entry of /proc, nil where this kernel has none of that name.
    private func existing(_ name: String, _ proc: borrowing Descriptor) throws(SystemError) -> Descriptor? {
        do { return try File.open(name, below: proc, File.pathOnly, .beneathWithoutLinks) } catch {
            if error.code == ENOENT { return nil }
            throw error
        }
    }
}

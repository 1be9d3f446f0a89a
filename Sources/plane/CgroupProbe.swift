import Glibc
import Linux

/// cgroup v2: where sandboxes are born, limited and killed. The kernel's admin-guide/cgroup-v2.
enum CgroupProbe {
    private static let controllers = [
        ("memory", "memory.max"), ("cpu", "cpu.max"), ("pids", "pids.max"),
    ]
    private static let unified = "boot with systemd.unified_cgroup_hierarchy=1 on the kernel's command line"

    static func findings() -> [Finding] {
        guard let mount = Cgroup.mountPoint() else {
            return [
                Finding(
                    "cgroup v2", .missing("mount it: mount -t cgroup2 none /sys/fs/cgroup"),
                    "no cgroup2 file system is mounted")
            ]
        }
        let top = Cgroup(path: mount)
        let birth = Finding.trying(
            "clone into cgroup", remedy: "boot Linux 5.14 or newer, and have \(mount) mounted writable"
        ) { () throws(SystemError) in try birthAndKill(top) }
        return [Finding("cgroup v2", .fine, "mounted at \(mount)"), birth] + controllerFindings(top)
    }

    /// A child born in a cgroup of its own, and killed through it.
    private static func birthAndKill(_ top: Cgroup) throws(SystemError) -> String {
        let cgroup = top.child("plane-doctor-\(getpid())")
        try cgroup.create()
        defer { _ = try? cgroup.remove() }
        let folder = try cgroup.open()
        let child = try ProbeChild.idle([], cgroup: folder.raw)
        let pid = child.pid
        let members = try? cgroup.read("cgroup.procs")
        let killed = Result { () throws(SystemError) in try cgroup.kill() }
        _ = try child.end()
        try killed.get()
        guard members == String(pid) else { throw SystemError(ESRCH, "CLONE_INTO_CGROUP: the child was elsewhere") }
        return "CLONE_INTO_CGROUP and cgroup.kill work"
    }

    private static func controllerFindings(_ top: Cgroup) -> [Finding] {
        let offered = (try? top.controllers()) ?? []
        return controllers.map { name, file in
            let subject = "cgroup v2 \(name)"
            if offered.contains(name) { return Finding(subject, .fine, "\(file) can be set") }
            let remedy = "\(unified); plane dev, and others with --allow-missing-controllers, run without \(file)"
            guard let elsewhere = versionOneMount(of: name) else {
                return Finding(subject, .missing(remedy), "the kernel does not offer it (cgroup_disable=?)")
            }
            return Finding(subject, .missing(remedy), "it is mounted as v1 at \(elsewhere)")
        }
    }

    private static func versionOneMount(of controller: String) -> String? {
        guard let mounts = try? File.readText("/proc/self/mounts", limit: 4 << 20) else { return nil }
        for line in mounts.split(separator: "\n") {
            let fields = line.split(separator: " ")
            if fields.count > 3, fields[2] == "cgroup", fields[3].split(separator: ",").contains(Substring(controller))
            {
                return String(fields[1])
            }
        }
        return nil
    }
}

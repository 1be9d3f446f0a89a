import Glibc
public import Linux
import Model

/// The cgroup v2 folder below which every sandbox has its own.
public struct HostCgroup: Sendable {
    /// Controllers that the limits of a sandbox need.
    public static let needed = ["memory", "cpu", "pids"]

    /// Where the sandboxes' folders are.
    public let root: Cgroup
    /// The needed controllers that are not offered there; their limits cannot be enforced.
    public let missing: [String]

    /// Makes the folder and hands the controllers down to it.
    /// - Parameters:
    ///   - name: the folder's name below the cgroup2 mount, one for each state folder.
    public init(name: String) throws(SystemError) {
        guard let mount = Cgroup.mountPoint() else {
            throw SystemError(ENOENT, "no cgroup v2 file system is mounted; mount one at /sys/fs/cgroup")
        }
        let top = Cgroup(path: mount)
        root = top.child(name)
        let offered = try top.controllers()
        missing = Self.needed.filter { !offered.contains($0) }
        try root.create()
        let wanted = Self.needed.filter(offered.contains).map { "+" + $0 }.joined(separator: " ")
        if !wanted.isEmpty {
            try top.write(wanted, to: "cgroup.subtree_control")
            try root.write(wanted, to: "cgroup.subtree_control")
        }
    }

    /// Makes a sandbox's folder and writes its limits, before any process is in it.
    func make(_ cgroup: Cgroup, _ limits: SandboxPlan.CgroupLimits) throws(SystemError) {
        try cgroup.create()
        if !missing.contains("memory") {
            try cgroup.write(String(limits.memoryMaxBytes), to: "memory.max")
            try cgroup.write(String(limits.swapMaxBytes), to: "memory.swap.max")
            // One process of a group that ran out of memory is no sandbox any more: the kernel ends all of it at once.
            try cgroup.write("1", to: "memory.oom.group")
        }
        if !missing.contains("cpu") {
            try cgroup.write("\(limits.cpuQuotaMicroseconds) \(limits.cpuPeriodMicroseconds)", to: "cpu.max")
        }
        if !missing.contains("pids") { try cgroup.write(String(limits.pidsMax), to: "pids.max") }
    }

    /// Kills and removes what a maker of sandboxes that was killed itself has left behind, and waits until it is gone.
    /// - Parameter isLeftover: tells by a sandbox's name whether its maker is gone.
    public func removeLeftovers(where isLeftover: (String) -> Bool) throws(SystemError) {
        for name in try File.names(in: root.path) where isLeftover(name) {
            let cgroup = root.child(name)
            guard File.status(cgroup.path)?.kind == .directory else { continue }
            try cgroup.kill()
            let events = try File.open(cgroup.path + "/cgroup.events", O_RDONLY)
            while cgroup.isPopulated() {
                // The file reports a change as POLLPRI (cgroups(7)); each read of it re-arms that.
                var watch = pollfd(fd: events.raw, events: Int16(POLLPRI), revents: 0)
                _ = poll(&watch, 1, 100)
            }
            _ = try cgroup.remove()
        }
    }

    /// Removes the folder itself when a warden ends.
    public func remove() { _ = try? root.remove() }
}

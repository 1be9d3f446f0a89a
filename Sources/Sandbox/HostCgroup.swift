import Glibc
public import Linux
import Model

/// The cgroup v2 folder below which every sandbox has its own.
public struct HostCgroup: Sendable {
    /// Controllers that the limits of a sandbox need.
    public static let needed = ["memory", "cpu", "pids"]
    /// Controllers that only some policies ask for.
    private static let useful = ["io"]

    /// Where the sandboxes' folders are.
    public let root: Cgroup
    /// The needed controllers that are not offered there; their limits cannot be enforced.
    public let missing: [String]
    /// The controllers that sandboxes have.
    private let offered: Set<String>

    /// Makes the folder and hands the controllers down to it.
    /// - Parameters:
    ///   - name: the folder's name below the cgroup2 mount, one for each state folder.
    public init(name: String) throws(SystemError) {
        guard let mount = Cgroup.mountPoint() else {
            throw SystemError(ENOENT, "no cgroup v2 file system is mounted; mount one at /sys/fs/cgroup")
        }
        let top = Cgroup(path: mount)
        root = top.child(name)
        offered = try top.controllers().intersection(Self.needed + Self.useful)
        let offered = offered
        missing = Self.needed.filter { !offered.contains($0) }
        try root.create()
        let wanted = offered.sorted().map { "+" + $0 }.joined(separator: " ")
        if !wanted.isEmpty {
            try top.write(wanted, to: "cgroup.subtree_control")
            try root.write(wanted, to: "cgroup.subtree_control")
        }
    }

    /// Makes a sandbox's folder and writes its limits, before any process is in it.
    func make(_ cgroup: Cgroup, _ settings: [CgroupSetting]) throws(SystemError) {
        try cgroup.create()
        try write(settings, to: cgroup)
    }

    /// Writes limits, also those of a sandbox that runs.
    func write(_ settings: [CgroupSetting], to cgroup: Cgroup) throws(SystemError) {
        for setting in settings {
            guard offered.contains(String(setting.controller)) else {
                // Without one of the needed controllers the warden has been told to go on without limits.
                if !missing.isEmpty { continue }
                throw SystemError(
                    ENOTSUP, "\(setting.file) is asked for, and cgroup v2 offers no such controller on this machine")
            }
            do throws(SystemError) { try cgroup.write(setting.value, to: setting.file) } catch {
                guard error.code == ENOENT, setting.need == .whereOffered else { throw error }
            }
        }
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
            // The kernel lets go of an empty cgroup within a tick or two; there is no event for that moment.
            let deadline = BootInstant.now + .seconds(5)
            while try !cgroup.remove(), BootInstant.now < deadline { poll(nil, 0, 1) }
        }
    }

    /// Removes the folder itself when a warden ends.
    public func remove() { _ = try? root.remove() }
}

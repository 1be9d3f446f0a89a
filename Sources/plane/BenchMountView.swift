import Glibc
import Linux

/// A mount namespace that a contender is started in. Only this process's single thread enters it, and leaves it at once.
final class BenchMountView {
    private let own: Descriptor
    private let other: Descriptor

    private static let path = "/proc/self/ns/mnt"

    private init(own: consuming Descriptor, other: consuming Descriptor) {
        self.own = own
        self.other = other
    }

    /// One in which only cgroup v2 is mounted at its usual place, as container runtimes want it; nil where that is so
    /// already.
    static func ofPlainCgroups() throws(SystemError) -> BenchMountView? {
        let place = "/sys/fs/cgroup"
        if Cgroup.mountPoint() == place { return nil }
        let own = try File.open(path, O_RDONLY)
        try Namespaces.unshare(.mount)
        let other: Descriptor
        do throws(SystemError) {
            try MountTree.makePrivate()
            try MountTree.detach(place)
            try File.makeDirectories(place, mode: 0o755)
            try DetachedMount(fileSystem: "cgroup2", options: [], attributes: []).attach(at: place)
            other = try File.open(path, O_RDONLY)
        } catch {
            try Namespaces.enter(own, .mount)
            throw error
        }
        try Namespaces.enter(own, .mount)
        return BenchMountView(own: own, other: other)
    }

    func enter() throws(SystemError) { try Namespaces.enter(other, .mount) }

    func leave() throws(SystemError) { try Namespaces.enter(own, .mount) }
}

import CLinux
import Glibc

/// A folder of a cgroup v2 tree. cgroups(7), the kernel's admin-guide/cgroup-v2.
public struct Cgroup: Hashable, Sendable {
    /// Its path in the file system.
    public let path: String

    /// - Parameter path: an existing or future folder below a cgroup2 mount.
    public init(path: String) { self.path = path }

    /// A folder below.
    public func child(_ name: String) -> Cgroup { Cgroup(path: path + "/" + name) }

    /// Where cgroup2 is mounted: the first of that type in /proc/self/mounts, or nil.
    public static func mountPoint() -> String? {
        guard let mounts = try? File.readText("/proc/self/mounts", limit: 4 << 20) else { return nil }
        for line in mounts.split(separator: "\n") {
            let fields = line.split(separator: " ")
            if fields.count > 2, fields[2] == "cgroup2" { return String(fields[1]) }
        }
        return nil
    }

    /// The controllers that this folder offers to those below it.
    public func controllers() throws(SystemError) -> Set<String> {
        let text = try File.readText(path + "/cgroup.controllers")
        return Set(text.split(whereSeparator: { $0 == " " || $0 == "\n" }).map(String.init))
    }

    /// Makes the folder; one that exists already is fine.
    public func create() throws(SystemError) { try File.makeDirectory(path, mode: 0o755) }

    /// Opens the folder, for CLONE_INTO_CGROUP.
    public func open() throws(SystemError) -> Descriptor {
        let directory = try File.open(path, O_RDONLY | O_DIRECTORY)
        return directory
    }

    /// Writes a control file of this folder.
    public func write(_ value: String, to file: String) throws(SystemError) {
        try File.write(value, to: path + "/" + file)
    }

    /// Reads a control file of this folder, without its last newline.
    public func read(_ file: String) throws(SystemError) -> String {
        var text = try File.readText(path + "/" + file)
        if text.hasSuffix("\n") { text.removeLast() }
        return text
    }

    /// One value of a flat-keyed file such as memory.events or cpu.stat; nil when file or key is missing.
    public func value(of key: String, in file: String) -> UInt64? {
        guard let text = try? read(file) else { return nil }
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: " ")
            if fields.count == 2, fields[0] == key { return UInt64(fields[1]) }
        }
        return nil
    }

    /// Kills every process in it and below, also those being forked at the moment. cgroup.kill, Linux 5.14.
    public func kill() throws(SystemError) { try write("1", to: "cgroup.kill") }

    /// Whether a living process is in it or below.
    public func isPopulated() -> Bool { value(of: "populated", in: "cgroup.events") != 0 }

    /// Removes the empty folder. rmdir(2). - Returns: false while something is still in it.
    public func remove() throws(SystemError) -> Bool {
        let outcome = result(rmdir(path))
        if outcome == -Int(EBUSY) { return false }
        if outcome == -Int(ENOENT) { return true }
        try check("rmdir \(path)", outcome)
        return true
    }
}

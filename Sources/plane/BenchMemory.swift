import Glibc
import Linux

/// Memory of one process that nobody shares with it. proc(5), /proc/PID/smaps_rollup.
struct PrivateMemory: Equatable {
    /// Clean and dirty together.
    let kibibytes: Double

    /// Of a running process. Needs root.
    init(of pid: Int32) throws(SystemError) {
        self.init(rollup: try File.readText("/proc/\(pid)/smaps_rollup"))
    }

    /// - Parameter rollup: the file's text.
    init(rollup: String) {
        kibibytes = KernelTable.values(rollup).reduce(0) { sum, line in
            line.key.hasPrefix("Private_") ? sum + line.value : sum
        }
    }
}

/// Files of /proc with a name, a colon and a number of KiB in each line.
enum KernelTable {
    static func values(_ text: String) -> [String: Double] {
        var values: [String: Double] = [:]
        for line in text.split(separator: "\n") {
            let parts = line.split(whereSeparator: { $0 == " " || $0 == ":" || $0 == "\t" })
            if parts.count >= 2, let value = Double(parts[1]) { values[String(parts[0])] = value }
        }
        return values
    }
}

/// What the kernel holds for all processes, KiB. proc(5), /proc/meminfo.
struct KernelMemory {
    let available: Double
    let slab: Double
    let stacks: Double
    let pageTables: Double

    static func now() throws(SystemError) -> KernelMemory {
        let values = KernelTable.values(try File.readText("/proc/meminfo"))
        return KernelMemory(
            available: values["MemAvailable"] ?? 0, slab: values["Slab"] ?? 0, stacks: values["KernelStack"] ?? 0,
            pageTables: values["PageTables"] ?? 0)
    }
}

/// What a warden has on its host; the same before and after its sandboxes, or something leaks.
struct WardenTraces: Equatable {
    /// Its mount points.
    let mounts: [String]
    /// Its sandboxes' cgroups.
    let cgroups: [String]
    /// Its children: each sandbox's first process.
    let children: [Int32]
    /// How many descriptors it has open.
    let descriptorCount: Int

    /// - Parameter pid: the warden's.
    static func now(of pid: Int32) throws -> WardenTraces {
        let mounts = try File.readText("/proc/\(pid)/mountinfo", limit: 16 << 20).split(separator: "\n").map(
            String.init)
        return WardenTraces(
            mounts: mounts.sorted(), cgroups: try sandboxCgroups(), children: try children(of: pid),
            descriptorCount: try File.names(in: "/proc/\(pid)/fd").count)
    }

    /// All that are named like the sandboxes of a benchmark, wherever the warden keeps them.
    private static func sandboxCgroups() throws -> [String] {
        guard let mount = Cgroup.mountPoint() else { return [] }
        var found: [String] = []
        for name in try File.names(in: mount) where name.hasPrefix("plane-") {
            let inside = (try? File.names(in: "\(mount)/\(name)")) ?? []
            found += inside.filter { $0.hasPrefix("bench-") }.map { "\(name)/\($0)" }
        }
        return found
    }

    /// The processes whose parent is the given one. proc(5), /proc/PID/stat: the second field after the name in
    /// parentheses, which may hold anything.
    static func children(of parent: Int32) throws -> [Int32] {
        var children: [Int32] = []
        for name in try File.names(in: "/proc") {
            guard let pid = Int32(name), let text = try? File.readText("/proc/\(pid)/stat"),
                let end = text.lastIndex(of: ")")
            else { continue }
            let fields = text[text.index(after: end)...].split(separator: " ")
            if fields.count > 1, Int32(fields[1]) == parent { children.append(pid) }
        }
        return children.sorted()
    }

    /// What is there now and was not before, in words; empty when all is as it was.
    func additions(since before: WardenTraces) -> [String] {
        let mounts = self.mounts.count - before.mounts.count
        let cgroups = Set(self.cgroups).subtracting(before.cgroups).count
        let children = self.children.count - before.children.count
        let descriptors = descriptorCount - before.descriptorCount
        let counts = [
            (mounts, "mounts"), (cgroups, "cgroups"), (children, "processes"), (descriptors, "descriptors"),
        ]
        return counts.filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }
    }
}

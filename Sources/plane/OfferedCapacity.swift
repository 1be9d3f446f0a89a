import Glibc
import Linux
import Model
import Policy

/// What a drone offers for promises, from its command line and from the machine.
enum OfferedCapacity {
    static let memory = Flag(
        "--offer-memory", .value("SIZE", default: nil),
        "memory that backends may be promised together, 64GiB or unbounded (default the machine's)")
    static let cpus = Flag(
        "--offer-cpus", .value("NUMBER", default: nil),
        "processors for promises, 8, 2.5 or unbounded (default 16 for each processor)")

    /// How much of the processors is promised by default: sandboxes that wait for somebody need none, and those that do not
    /// share by weight. Memory cannot be shared so, and is promised once.
    static let cpuOvercommit: UInt64 = 16

    static func read(_ arguments: Arguments) throws(UsageError) -> ResourceAmount {
        ResourceAmount(memoryBytes: try memoryBytes(arguments), cpuMillis: try cpuMillis(arguments))
    }

    private static func memoryBytes(_ arguments: Arguments) throws(UsageError) -> UInt64 {
        guard let text = arguments.text(memory) else { return machineMemory ?? ResourceAmount.unbounded.memoryBytes }
        if text == "unbounded" { return ResourceAmount.unbounded.memoryBytes }
        guard let bytes = ByteSize(text)?.bytes, (1...ResourceAmount.unbounded.memoryBytes).contains(bytes) else {
            throw arguments.wrong("\(memory.name) \(text): write a size such as 64GiB, or unbounded")
        }
        return bytes
    }

    private static func cpuMillis(_ arguments: Arguments) throws(UsageError) -> UInt64 {
        guard let text = arguments.text(cpus) else {
            return UInt64(max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))) * 1000 * cpuOvercommit
        }
        if text == "unbounded" { return ResourceAmount.unbounded.cpuMillis }
        guard let number = Double(text), (0.001...1_000_000).contains(number) else {
            throw arguments.wrong("\(cpus.name) \(text): write a number from 0.001 to 1000000, or unbounded")
        }
        return UInt64((number * 1000).rounded())
    }

    /// MemTotal of /proc/meminfo. proc(5).
    private static var machineMemory: UInt64? {
        guard let text = try? File.readText("/proc/meminfo") else { return nil }
        let line = text.split(separator: "\n").first { $0.hasPrefix("MemTotal:") }
        return line?.split(separator: " ").dropFirst().first.flatMap { UInt64($0) }.map { $0 * 1024 }
    }
}

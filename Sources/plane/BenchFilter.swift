import CLinux
import Glibc
import Linux
import Policy

/// How long the kernel takes to attach a system call filter, which each start pays for. seccomp(2).
enum BenchFilter {
    /// - Parameters:
    ///   - count: attaches of each filter, each in a process of its own.
    static func rows(count: Int, check: () throws -> Void) throws -> [BenchRow] {
        StandardError.say("attaching system call filters …")
        let own = SeccompProgram(SystemCallPolicy())
        let (ours, theirs) = (own.bytes, try LibseccompProgram.bytes(SystemCallPolicy()))
        var times: (ours: [Double], theirs: [Double]) = ([], [])
        for _ in 0..<count {
            try check()
            times.ours.append(try attach(ours))
            times.theirs.append(try attach(theirs))
        }
        let spread = Percentiles(times.ours)
        return [
            BenchRow(
                "filter.attach", spread?.median, .microseconds,
                peer: .init(name: "libseccomp", value: Percentiles(times.theirs)?.median), spread: spread,
                note: "the default policy: \(own.allowedCount) calls let through, in \(ours.count / 8) instructions; "
                    + "libseccomp's binary tree has \(theirs.count / 8)")
        ]
    }

    /// Attaches a filter in a child that then ends. - Returns: microseconds.
    private static func attach(_ filter: [UInt8]) throws -> Double {
        let report = try Pipe()
        switch try Clone.process(namespaces: [], cgroup: nil) {
        case .child:
            let nanoseconds = attachHere(filter)
            // Through its owner: an owner that a branch does not use ends where the branch begins.
            _ = withUnsafeBytes(of: nanoseconds) { write(report.writing.raw, $0.baseAddress, $0.count) }
            CurrentProcess.exitImmediately(0)
        case .parent(_, let process):
            let (reading, writing) = report.split()
            _ = Descriptor(owning: writing)
            let bytes = try Descriptor(owning: reading).readAll(limit: 8)
            let status = try process.reap()
            guard status == .exited(code: 0), bytes.count == 8 else {
                throw CommandFailure("the process that attached a filter \(status)")
            }
            let nanoseconds = bytes.withUnsafeBytes { $0.loadUnaligned(as: Int64.self) }
            guard nanoseconds >= 0 else { throw SystemError(Int32(-nanoseconds), "seccomp SECCOMP_SET_MODE_FILTER") }
            return Double(nanoseconds) / 1000
        }
    }

    /// - Returns: nanoseconds, or minus errno.
    private static func attachHere(_ filter: [UInt8]) -> Int64 {
        let (setNoNewPrivileges, setModeFilter): (Int32, UInt32) = (38, 1)
        let prepared = plane_prctl(setNoNewPrivileges, 1, 0, 0, 0)
        if prepared < 0 { return Int64(prepared) }
        var bytes = filter
        return bytes.withUnsafeMutableBytes { raw -> Int64 in
            let records = raw.bindMemory(to: sock_filter.self)
            var program = sock_fprog(len: UInt16(records.count), filter: records.baseAddress)
            let start = plane_clock_ns(CLOCK_MONOTONIC)
            let attached = plane_seccomp(setModeFilter, 0, &program)
            let end = plane_clock_ns(CLOCK_MONOTONIC)
            return attached < 0 ? Int64(attached) : Int64(end - start)
        }
    }
}

internal import CSeccomp
internal import Glibc

/// A policy's filter as libseccomp compiles it, to measure ours beside. No sandbox runs under it. seccomp_init(3).
public enum LibseccompProgram {
    /// Why libseccomp gave no program.
    public struct Refused: Error, CustomStringConvertible {
        /// Its function.
        let call: String
        /// What it returned, errno(3).
        let code: Int32

        public var description: String { "libseccomp's \(call): \(String(cString: strerror(code)))" }
    }

    /// `struct sock_filter` records for this machine: a rule for each way in which a call gets through, compiled to a
    /// binary tree, as a runtime that cares asks for. Calls that are let through but for some values are let through
    /// whole: libseccomp cannot say it in one rule.
    public static func bytes(_ policy: SystemCallPolicy) throws(Refused) -> [UInt8] {
        let (allow, refuse): (UInt32, UInt32) = (0x7fff_0000, 0x0005_0000)
        guard let context = seccomp_init(refuse | UInt32(ENOSYS)) else {
            throw Refused(call: "seccomp_init", code: ENOMEM)
        }
        defer { seccomp_release(context) }
        try check("seccomp_attr_set", seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2))
        for (number, decision) in SeccompProgram(policy).decisions {
            let (action, cases): (UInt32, [[scmp_arg_cmp]])
            switch decision {
            case .refuse(let code): (action, cases) = (refuse | UInt32(code), [[]])
            case .killProcess: (action, cases) = (plane_scmp_kill_process(), [[]])
            case .allow, .byValue, .byBits: (action, cases) = (allow, waysThrough(decision))
            }
            for comparisons in cases {
                let added = seccomp_rule_add_array(
                    context, action, Int32(number), UInt32(comparisons.count), comparisons)
                try check("seccomp_rule_add_array", added)
            }
        }
        return try export(context)
    }

    private static func waysThrough(_ decision: SystemCallDecision) -> [[scmp_arg_cmp]] {
        switch decision {
        case .allow: [[]]
        case .refuse, .killProcess: []
        case .byValue(let argument, let values, let otherwise):
            otherwise.canBeAllowed
                ? [[]]
                : values.flatMap { value, inner in
                    waysThrough(inner).map { [comparison(argument, mask: .max, value)] + $0 }
                }
        case .byBits(let argument, let mask, let clear, _):
            waysThrough(clear).map { [comparison(argument, mask: mask, 0)] + $0 }
        }
    }

    private static func comparison(_ argument: Int, mask: UInt32, _ value: UInt32) -> scmp_arg_cmp {
        scmp_arg_cmp(arg: UInt32(argument), op: SCMP_CMP_MASKED_EQ, datum_a: UInt64(mask), datum_b: UInt64(value))
    }

    private static func export(_ context: scmp_filter_ctx) throws(Refused) -> [UInt8] {
        guard let file = tmpfile() else { throw Refused(call: "tmpfile", code: errno) }
        defer { fclose(file) }
        let descriptor = fileno(file)
        try check("seccomp_export_bpf", seccomp_export_bpf(context, descriptor))
        var records = [UInt8](repeating: 0, count: Int(lseek(descriptor, 0, SEEK_END)))
        guard pread(descriptor, &records, records.count, 0) == records.count else {
            throw Refused(call: "seccomp_export_bpf", code: EIO)
        }
        return records
    }

    private static func check(_ call: String, _ result: Int32) throws(Refused) {
        guard result == 0 else { throw Refused(call: call, code: -result) }
    }
}

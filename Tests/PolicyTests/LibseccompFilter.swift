import CSeccomp
import Glibc

@testable import Policy

/// A filter built by libseccomp, the program that ours is held against. seccomp_init(3).
struct LibseccompFilter: ~Copyable {
    private let context: scmp_filter_ctx
    private let architecture: Architecture

    struct Refused: Error { let call: String, code: Int32 }

    private init(owning context: scmp_filter_ctx, for architecture: Architecture) {
        self.context = context
        self.architecture = architecture
    }

    static func answering(_ action: UInt32, for architecture: Architecture) throws -> LibseccompFilter {
        guard let context = seccomp_init(action) else { throw Refused(call: "seccomp_init", code: ENOMEM) }
        let filter = LibseccompFilter(owning: context, for: architecture)
        try filter.configure()
        return filter
    }

    private func configure() throws {
        if architecture != .native {
            try check("seccomp_arch_add", seccomp_arch_add(context, architecture.auditToken))
            try check("seccomp_arch_remove", seccomp_arch_remove(context, Architecture.native.auditToken))
        }
        try check(
            "seccomp_attr_set", seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, plane_scmp_kill_process()))
        try check("seccomp_attr_set", seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2))
    }

    deinit { seccomp_release(context) }

    /// An argument's low 32 bits under a mask.
    struct Match {
        let argument: Int, mask: UInt32, value: UInt32
    }

    /// Whether libseccomp's tables have the number on this filter's machine.
    static func knows(_ number: UInt32, on architecture: Architecture) -> Bool {
        architecture == .native || ownNumber(number, architecture) != nil
    }

    func add(_ action: UInt32, _ number: UInt32, where matches: [Match] = []) throws {
        let comparisons = matches.map {
            scmp_arg_cmp(
                arg: UInt32($0.argument), op: SCMP_CMP_MASKED_EQ, datum_a: UInt64($0.mask), datum_b: UInt64($0.value))
        }
        let native = architecture == .native ? Int32(number) : Self.ownNumber(number, architecture)
        guard let native else { return }
        try check(
            "seccomp_rule_add", seccomp_rule_add_array(context, action, native, UInt32(comparisons.count), comparisons))
    }

    /// libseccomp takes rules in the numbers of the machine it runs on and translates them, by way of the name.
    private static func ownNumber(_ number: UInt32, _ architecture: Architecture) -> Int32? {
        guard let name = seccomp_syscall_resolve_num_arch(architecture.auditToken, Int32(number)) else { return nil }
        defer { free(name) }
        let own = seccomp_syscall_resolve_name(name)
        return own == -1 ? nil : own
    }

    /// What the kernel would be given.
    func machine() throws -> FilterMachine {
        var name = Array("/tmp/policy-filter-XXXXXX".utf8CString)
        let file = mkstemp(&name)
        unlink(name)
        defer { close(file) }
        try check("seccomp_export_bpf", seccomp_export_bpf(context, file))
        var records = [UInt8](repeating: 0, count: Int(lseek(file, 0, SEEK_END)))
        guard pread(file, &records, records.count, 0) == records.count else {
            throw Refused(call: "pread", code: errno)
        }
        return FilterMachine(records: records)
    }

    private func check(_ call: String, _ result: Int32) throws {
        guard result == 0 else { throw Refused(call: call, code: -result) }
    }
}

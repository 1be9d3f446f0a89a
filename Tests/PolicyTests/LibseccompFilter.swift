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

/// A program's decisions in libseccomp's own terms.
///
/// It has a rule for each way in which a call gets through. Of a call that is let through but for some values it can only
/// have rules for those, in a filter that lets all others through.
struct LibseccompList {
    let machine: FilterMachine
    private let refusing: FilterMachine
    private let openNumbers: Set<UInt32>
    private let architecture: Architecture

    init(_ program: SeccompProgram, _ architecture: Architecture) throws {
        self.architecture = architecture
        let filter = try LibseccompFilter.answering(0x0005_0000 | UInt32(ENOSYS), for: architecture)
        let others = try LibseccompFilter.answering(Action.allow, for: architecture)
        var open: Set<UInt32> = []
        for (number, decision) in program.decisions {
            switch decision {
            case .allow, .refuse, .killProcess: try filter.add(decision.action([]), number)
            case .byValue(_, _, let otherwise) where otherwise == .allow:
                open.insert(number)
                for matches in Self.ways(decision, to: { !$0.canBeAllowed }) {
                    try others.add(Action.refuse(EPERM), number, where: matches)
                }
            case .byValue, .byBits:
                for matches in Self.ways(decision, to: { $0 == .allow }) {
                    try filter.add(Action.allow, number, where: matches)
                }
            }
        }
        openNumbers = open
        machine = try filter.machine()
        refusing = try others.machine()
    }

    /// The action that libseccomp's program answers.
    func run(_ number: UInt32, _ arguments: [UInt64]) throws -> UInt32 {
        try (openNumbers.contains(number) ? refusing : machine).run(
            number: number, arguments: arguments, architecture: architecture.auditToken)
    }

    /// The values of arguments that lead to a decision of a kind, by named values and clear masks only.
    private static func ways(
        _ decision: SystemCallDecision, to isMeant: (SystemCallDecision) -> Bool
    ) -> [[LibseccompFilter.Match]] {
        switch decision {
        case .allow, .refuse, .killProcess: isMeant(decision) ? [[]] : []
        case .byValue(let argument, let values, _):
            values.flatMap { value, inner in
                ways(inner, to: isMeant).map { [.init(argument: argument, mask: .max, value: value)] + $0 }
            }
        case .byBits(let argument, let mask, let clear, _):
            ways(clear, to: isMeant).map { [.init(argument: argument, mask: mask, value: 0)] + $0 }
        }
    }
}

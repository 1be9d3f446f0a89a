internal import Glibc

/// A seccomp filter as plain data, built once when policies are loaded and attached at each start. seccomp(2).
public struct SeccompProgram: Hashable, Sendable {
    /// In the order in which the kernel runs them.
    public let instructions: [FilterInstruction]
    /// How many system calls get through, at least with some arguments.
    public let allowedCount: Int
    /// The decision for each number that has one of its own; every other number answers ENOSYS.
    let decisions: [UInt32: SystemCallDecision]

    /// - Parameters:
    ///   - policy: a checked policy; names that this machine does not have are passed over.
    ///   - architecture: whose numbers.
    public init(_ policy: SystemCallPolicy, for architecture: Architecture = .native) {
        decisions = Self.decisions(policy, architecture)
        allowedCount = decisions.values.count { $0.canBeAllowed }
        instructions = FilterAssembler.program(Self.everyNumber(decisions, architecture), for: architecture)
        precondition(instructions.count <= 4096, "BPF_MAXINSNS: the bounds of SystemCallRule keep programs below it")
    }

    /// `struct sock_filter` records of 8 bytes each in this machine's byte order, as seccomp(2) takes them.
    public var bytes: [UInt8] {
        instructions.flatMap { instruction in
            [
                UInt8(truncatingIfNeeded: instruction.code), UInt8(truncatingIfNeeded: instruction.code >> 8),
                instruction.ifTrue, instruction.ifFalse,
            ] + withUnsafeBytes(of: instruction.operand.littleEndian, Array.init)
        }
    }

    private static func decisions(
        _ policy: SystemCallPolicy, _ architecture: Architecture
    ) -> [UInt32: SystemCallDecision] {
        var decisions: [UInt32: SystemCallDecision]
        switch policy.base {
        case .default: decisions = listed[architecture] ?? [:]
        }
        for name in policy.changedCalls {
            guard let number = SystemCallNumber.resolve(name, on: architecture) else { continue }
            decisions[number] = policy.decision(of: name)
        }
        return decisions
    }

    /// The list's own decisions: finding numbers by names takes libseccomp milliseconds.
    private static let listed: [Architecture: [UInt32: SystemCallDecision]] = Dictionary(
        uniqueKeysWithValues: Architecture.allCases.map { architecture in
            var decisions: [UInt32: SystemCallDecision] = [:]
            for name in SystemCallList.known {
                guard let number = SystemCallNumber.resolve(name, on: architecture) else { continue }
                decisions[number] = SystemCallList.decision(name)
            }
            return (architecture, decisions)
        })

    /// x86-64 kernels take the numbers from 0x40000000 for x32 programs, which would pass the table by. The last of them
    /// is -1, with which programs ask whether there is a kernel at all.
    private static func everyNumber(
        _ decisions: [UInt32: SystemCallDecision], _ architecture: Architecture
    ) -> [DecisionRange] {
        var ranges = DecisionRange.covering(decisions, otherwise: .refuse(ENOSYS))
        switch architecture {
        case .x86_64:
            ranges.append(DecisionRange(first: 0x4000_0000, decision: .killProcess))
            ranges.append(DecisionRange(first: .max, decision: .refuse(ENOSYS)))
        case .aarch64: break
        }
        return ranges
    }
}

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
        var byName: [String: SystemCallDecision]
        switch policy.base {
        case .default:
            byName = SystemCallList.conditional
            for name in SystemCallList.allowed { byName[name] = .allow }
            for name in SystemCallList.forbidden { byName[name] = .refuse(EPERM) }
        }
        for name in policy.allow { byName[name] = .allow }
        for name in policy.deny { byName[name] = .refuse(EPERM) }
        var decisions: [UInt32: SystemCallDecision] = [:]
        for (name, decision) in byName {
            if let number = SystemCallNumber.resolve(name, on: architecture) { decisions[number] = decision }
        }
        return decisions
    }

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

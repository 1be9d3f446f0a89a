import CSeccomp
import Glibc
import Testing

@testable import Policy
@testable import plane_policy_fuzzer

@Suite("Conditions on a system call's argument")
struct SystemCallRuleTests {
    /// One rule by itself, as libseccomp says it.
    private struct RuleMachine {
        let number: UInt32
        let machine: FilterMachine
        /// What it answers where the condition holds.
        let meant: UInt32

        /// libseccomp compares an argument under a mask with a value, and nothing else: that some bit is set is said by
        /// the opposite.
        init(_ rule: SystemCallRule, _ architecture: Architecture) throws {
            number = try SeccompProgramTests.number(rule.call, architecture)
            let matches: [LibseccompFilter.Match]
            switch rule.condition {
            case .isOneOf(let values):
                meant = Action.allow
                matches = values.map { .init(argument: rule.argument, mask: .max, value: $0) }
            case .hasNoBit(let mask):
                meant = Action.allow
                matches = [.init(argument: rule.argument, mask: mask, value: 0)]
            case .hasAnyBit(let mask):
                meant = Action.refuse(EPERM)
                matches = [.init(argument: rule.argument, mask: mask, value: 0)]
            }
            let filter = try LibseccompFilter.answering(Action.refuse(EPERM), for: architecture)
            for match in matches { try filter.add(Action.allow, number, where: [match]) }
            machine = try filter.machine()
        }

        func isMeant(_ arguments: [UInt64], _ architecture: Architecture) throws -> Bool {
            try machine.run(number: number, arguments: arguments, architecture: architecture.auditToken) == meant
        }
    }

    /// Rules on calls that the list allows, forbids, does not have, and decides by their arguments; several on one.
    static let policy: SystemCallPolicy = {
        var policy = SystemCallPolicy()
        policy.allow = ["io_setup"]
        policy.allowWhen = [
            .init(call: "ptrace", argument: 0, condition: .isOneOf([0, 3, 16])),
            .init(call: "ptrace", argument: 2, condition: .hasAnyBit(0x8000_0001)),
            .init(call: "perf_event_open", argument: 4, condition: .hasNoBit(0xfffe)),
            .init(call: "personality", argument: 0, condition: .isOneOf([0x4_0000, 0x6_0000])),
            .init(call: "prctl", argument: 0, condition: .isOneOf([62])),
        ]
        policy.deny = ["splice"]
        policy.denyWhen = [
            .init(call: "ptrace", argument: 1, condition: .isOneOf([1])),
            .init(call: "mprotect", argument: 2, condition: .hasAnyBit(4)),
            .init(call: "kill", argument: 1, condition: .hasNoBit(0x1f)),
            .init(call: "ioctl", argument: 1, condition: .isOneOf([0x5401, 0x5413])),
            .init(call: "clone", argument: 0, condition: .hasNoBit(0x100)),
            .init(call: "socket", argument: 1, condition: .isOneOf([3])),
            .init(call: "prctl", argument: 1, condition: .isOneOf([0, 1, 2])),
            .init(call: "prctl", argument: 2, condition: .hasAnyBit(0x1_0000)),
        ]
        return policy
    }()

    static let arguments: [[UInt64]] = {
        var random = SeededRandom(seed: 0xa26)
        let few: [UInt64] = [0, 1, 3, 4, 16, 62, 0x1f, 0x100, 0x5412, 0x5413, 0x6_0000, 0x1_0000_0001, .max]
        var cases: [[UInt64]] = []
        for first in few { for second in few { for third in few { cases.append([first, second, third, 0, 0, 0]) } } }
        for first in SeccompProgramTests.interesting { cases.append([first, first, 0, 0, first, 0]) }
        for _ in 0..<400 { cases.append((0..<6).map { _ in random.next() >> (random.next() % 64) }) }
        return cases
    }()

    @Test(
        "Let through is what the list or a rule of allow lets through and no rule of deny refuses, as libseccomp has each",
        arguments: Architecture.allCases)
    func equalsLibseccomp(_ architecture: Architecture) throws {
        let ours = FilterMachine(SeccompProgram(Self.policy, for: architecture).instructions)
        let list = try LibseccompList(SeccompProgram(SystemCallPolicy(), for: architecture), architecture)
        let allowing = try Self.policy.allowWhen.map { try RuleMachine($0, architecture) }
        let denying = try Self.policy.denyWhen.map { try RuleMachine($0, architecture) }
        let ruled = Set((allowing + denying).map(\.number))
        var names = [try SeccompProgramTests.number("io_setup", architecture): true]
        names[try SeccompProgramTests.number("splice", architecture)] = false
        for number in UInt32(0)...600 where LibseccompFilter.knows(number, on: architecture) {
            for arguments in ruled.contains(number) ? Self.arguments : Array(Self.arguments.suffix(3)) {
                let isListed = try names[number] ?? (list.run(number, arguments) == Action.allow)
                let isAllowed = try allowing.contains {
                    try $0.number == number && $0.isMeant(arguments, architecture)
                }
                let isDenied = try denying.contains {
                    try $0.number == number && $0.isMeant(arguments, architecture)
                }
                let action = try ours.run(
                    number: number, arguments: arguments, architecture: architecture.auditToken)
                #expect(
                    (action == Action.allow) == ((isListed || isAllowed) && !isDenied),
                    "number \(number) with \(arguments)")
            }
        }
    }

    @Test("Every other number, refusals included, is as the list has it")
    func othersUnchanged() throws {
        let ours = FilterMachine(SeccompProgram(Self.policy, for: .x86_64).instructions)
        let list = FilterMachine(SeccompProgram(SystemCallPolicy(), for: .x86_64).instructions)
        let changed = Set(try Self.policy.changedCalls.map { try SeccompProgramTests.number($0) })
        for number in UInt32(0)...1000 where !changed.contains(number) {
            let arguments: [UInt64] = [1, 1, 1, 1, 1, 1]
            let token = Architecture.x86_64.auditToken
            #expect(
                try ours.run(number: number, arguments: arguments, architecture: token)
                    == list.run(number: number, arguments: arguments, architecture: token))
        }
    }

    @Test("The largest policy that passes stays below the kernel's 4,096 instructions, and is decided right")
    func largest() throws {
        var policy = SystemCallPolicy()
        // Every second call refused leaves no ranges to join.
        policy.deny = Set(
            SystemCallList.allowed.sorted().enumerated().filter { $0.offset % 2 == 0 }.map(\.element)
                .filter { SystemCallList.reasonNotToDeny($0) == nil && $0 != "kill" })
        policy.denyWhen = (0..<SystemCallRule.countMax).map { rule in
            let values = (0..<SystemCallRule.valuesMax / SystemCallRule.countMax).map { UInt32(rule * 100 + $0 * 2) }
            return .init(call: rule % 2 == 0 ? "kill" : "ioctl", argument: rule % 6, condition: .isOneOf(values))
        }
        let program = SeccompProgram(policy, for: .x86_64)
        #expect(program.instructions.count < 4096)
        let machine = FilterMachine(program.instructions)
        for (name, arguments) in ["kill", "ioctl"].flatMap({ name in Self.arguments.map { (name, $0) } }) {
            let expected = policy.decision(of: name).action(arguments)
            let action = try machine.run(
                number: SeccompProgramTests.number(name), arguments: arguments,
                architecture: Architecture.x86_64.auditToken)
            #expect(action == expected, "\(name) with \(arguments)")
        }
    }

    @Test("Where rules lie over rules, the program grows by each one's own length and not by their product")
    func sharedRest() {
        func length(_ count: Int) -> Int {
            var policy = SystemCallPolicy()
            policy.denyWhen = (0..<count).map { rule in
                let values = (0..<4).map { UInt32(rule * 100 + $0 * 2) }
                return .init(call: "socket", argument: rule % 3, condition: .isOneOf(values))
            }
            return SeccompProgram(policy, for: .x86_64).instructions.count
        }
        let step = length(2) - length(1)
        #expect(length(20) - length(19) <= step + 2)
        #expect(length(20) < length(1) + 20 * (step + 2))
    }
}

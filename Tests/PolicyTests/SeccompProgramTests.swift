import Glibc
import Testing

@testable import Policy
@testable import plane_policy_fuzzer

@Suite("The seccomp program")
struct SeccompProgramTests {
    static let interesting: [UInt64] = [
        0, 1, 2, 3, 6, 8, 9, 10, 16, 17, 38, 40, 58, 132, 262, 0x11, 0x80, 0x1000_0000, 0x1200_0011, 0x2000_0000,
        0x3d_0f00, 0x5401, 0x5411, 0x5412, 0x5413, 0x541c, 0x541d, 0x5423, 0x2_0000, 0x2_0008, 0x4_0000, 0x5356_4d41,
        0xffff_ffff, 0x1_0000_0000, 0x1_0000_0001, 0x1_0000_5412, 0xffff_ffff_0000_541c, .max,
    ]

    static func number(_ name: String, _ architecture: Architecture = .x86_64) throws -> UInt32 {
        try #require(SystemCallNumber.resolve(name, on: architecture))
    }

    @Test("Every number from 0 to 600 gets what the lists say, on both machines", arguments: Architecture.allCases)
    func numbersMatchLists(_ architecture: Architecture) throws {
        let program = SeccompProgram(SystemCallPolicy(), for: architecture)
        let machine = FilterMachine(program.instructions)
        var names: [UInt32: String] = [:]
        let listed = SystemCallList.allowed.union(SystemCallList.forbidden).union(SystemCallList.conditional.keys)
        for name in listed { SystemCallNumber.resolve(name, on: architecture).map { names[$0] = name } }
        for number in UInt32(0)...600 {
            let expected =
                switch names[number] {
                case .some(let name) where SystemCallList.allowed.contains(name): Action.allow
                case .some(let name) where SystemCallList.forbidden.contains(name): Action.refuse(EPERM)
                case .some(let name):
                    SystemCallList.conditional[name]?.action([0, 0, 0, 0, 0, 0]) ?? 0
                case nil: Action.refuse(ENOSYS)
                }
            let action = try machine.run(number: number, architecture: architecture.auditToken)
            #expect(action == expected, "number \(number), \(names[number] ?? "unlisted")")
        }
    }

    @Test("No name is on two lists, and every name is a system call of one of the machines")
    func listsAreSound() {
        let lists = [SystemCallList.allowed, SystemCallList.forbidden, Set(SystemCallList.conditional.keys)]
        #expect(lists.reduce(0) { $0 + $1.count } == lists.reduce(Set()) { $0.union($1) }.count)
        for name in lists.joined() { #expect(SystemCallNumber.isKnown(name), "\(name)") }
        #expect(!lists.joined().contains("clone3"))
    }

    @Test(
        "It lets through exactly what libseccomp's program lets through, arguments included",
        arguments: Architecture.allCases)
    func equalsLibseccomp(_ architecture: Architecture) throws {
        let program = SeccompProgram(SystemCallPolicy(), for: architecture)
        let ours = FilterMachine(program.instructions)
        let theirs = try LibseccompList(program, architecture)
        // Of another machine than its own, libseccomp compiles only the calls that it has a name for.
        var random = SeededRandom(seed: 0x5ecc)
        for number in UInt32(0)...600 where LibseccompFilter.knows(number, on: architecture) {
            let conditional = program.decisions[number].map { SeccompProgramTests.looksAtArguments($0) } ?? false
            for arguments in conditional ? Self.argumentCases(&random) : [[0, 0, 0, 0, 0, 0]] {
                let ourAction = try ours.run(
                    number: number, arguments: arguments, architecture: architecture.auditToken)
                let theirAction = try theirs.run(number, arguments)
                #expect(
                    (ourAction == Action.allow) == (theirAction == Action.allow), "number \(number) with \(arguments)")
                if !conditional { #expect(ourAction == theirAction, "number \(number)") }
            }
        }
        #expect(ours.instructions.count < theirs.machine.instructions.count)
    }

    @Test("ioctl is let through exactly where libseccomp's deny rules let it through")
    func ioctlEqualsLibseccomp() throws {
        let ours = FilterMachine(SeccompProgram(SystemCallPolicy(), for: .x86_64).instructions)
        let ioctl = try Self.number("ioctl")
        let filter = try LibseccompFilter.answering(Action.allow, for: .x86_64)
        for request in SystemCallList.forbiddenControls {
            try filter.add(
                Action.refuse(EPERM), ioctl, where: [.init(argument: 1, mask: .max, value: request)])
        }
        let theirs = try filter.machine()
        var random = SeededRandom(seed: 0x10c7)
        let requests = Self.interesting + (0..<5000).map { _ in random.next() } + (0..<0x10000).map { UInt64($0) }
        for request in requests {
            let arguments = [0, request, 0, 0, 0, 0]
            let architecture = Architecture.x86_64.auditToken
            #expect(
                try ours.run(number: ioctl, arguments: arguments, architecture: architecture)
                    == theirs.run(number: ioctl, arguments: arguments, architecture: architecture),
                "request \(request)")
        }
    }

    struct Case: CustomTestStringConvertible {
        let name: String, arguments: [UInt64], action: UInt32
        var testDescription: String { "\(name)(\(arguments))" }
    }

    @Test(
        "Arguments decide as SECURITY.md promises",
        arguments: [
            Case(name: "clone", arguments: [0x3d_0f00], action: Action.allow),  // pthread_create
            Case(name: "clone", arguments: [0x0120_0011], action: Action.allow),  // fork
            Case(name: "clone", arguments: [0x1000_0011], action: Action.refuse(EPERM)),  // NEWUSER
            Case(name: "clone", arguments: [0x91], action: Action.refuse(EPERM)),  // NEWTIME
            Case(name: "socket", arguments: [1, 1, 0], action: Action.allow),
            Case(name: "socket", arguments: [2, 1, 6], action: Action.allow),
            Case(name: "socket", arguments: [0xf_0000_0002, 1, 6], action: Action.allow),
            Case(name: "socket", arguments: [10, 1, 132], action: Action.refuse(EPROTONOSUPPORT)),
            Case(name: "socket", arguments: [16, 3, 0], action: Action.allow),
            Case(name: "socket", arguments: [16, 3, 9], action: Action.refuse(EPROTONOSUPPORT)),
            Case(name: "socket", arguments: [17, 3, 0], action: Action.refuse(EAFNOSUPPORT)),
            Case(name: "socket", arguments: [38, 5, 0], action: Action.refuse(EAFNOSUPPORT)),
            Case(name: "socket", arguments: [40, 1, 0], action: Action.refuse(EAFNOSUPPORT)),
            Case(name: "socketpair", arguments: [1, 1, 0], action: Action.allow),
            Case(name: "socketpair", arguments: [30, 1, 0], action: Action.refuse(EOPNOTSUPP)),
            Case(name: "ioctl", arguments: [0, 0x5401], action: Action.allow),
            Case(name: "ioctl", arguments: [0, 0x5412], action: Action.refuse(EPERM)),
            Case(name: "ioctl", arguments: [0, 0x1_0000_5412], action: Action.refuse(EPERM)),
            Case(name: "ioctl", arguments: [0, 0x541c], action: Action.refuse(EPERM)),
            Case(name: "personality", arguments: [0xffff_ffff], action: Action.allow),
            Case(name: "personality", arguments: [0x40000], action: Action.refuse(EPERM)),
            Case(name: "prctl", arguments: [15], action: Action.allow),
            Case(name: "prctl", arguments: [35], action: Action.refuse(EINVAL)),
            Case(name: "mount", arguments: [], action: Action.refuse(EPERM)),
            Case(name: "clone3", arguments: [], action: Action.refuse(ENOSYS)),
        ])
    func argumentsDecide(_ expected: Case) throws {
        let machine = FilterMachine(SeccompProgram(SystemCallPolicy(), for: .x86_64).instructions)
        let arguments = expected.arguments + [UInt64](repeating: 0, count: 6 - expected.arguments.count)
        let action = try machine.run(
            number: try Self.number(expected.name), arguments: arguments, architecture: Architecture.x86_64.auditToken)
        #expect(action == expected.action)
    }

    @Test("Other conventions are killed: 32-bit, x32, and each machine's calls on the other")
    func otherConventions() throws {
        let machine = FilterMachine(SeccompProgram(SystemCallPolicy(), for: .x86_64).instructions)
        for architecture: UInt32 in [0x4000_0003, Architecture.aarch64.auditToken, 0] {
            #expect(try machine.run(number: 1, architecture: architecture) == Action.kill)
        }
        let native = Architecture.x86_64.auditToken
        #expect(try machine.run(number: 0x4000_0001, architecture: native) == Action.kill)
        #expect(try machine.run(number: .max - 1, architecture: native) == Action.kill)
        #expect(try machine.run(number: 0x3fff_ffff, architecture: native) == Action.refuse(ENOSYS))
        #expect(try machine.run(number: .max, architecture: native) == Action.refuse(ENOSYS))
    }

    @Test("A policy's allow and deny change their names and nothing else")
    func changes() throws {
        var policy = SystemCallPolicy()
        policy.allow = ["ptrace", "io_setup"]
        policy.deny = ["socket", "clone3"]
        let changed = SeccompProgram(policy, for: .x86_64).decisions
        var expected = SeccompProgram(SystemCallPolicy(), for: .x86_64).decisions
        for name in policy.allow { expected[try Self.number(name)] = .allow }
        for name in policy.deny { expected[try Self.number(name)] = .refuse(EPERM) }
        #expect(changed == expected)
    }

    @Test("A tree over many far targets jumps right: jumps longer than a comparison can skip")
    func longJumps() throws {
        // No two neighbours alike: two instructions for each number.
        let decisions = Dictionary(
            uniqueKeysWithValues: (UInt32(0)..<1500).map { ($0, SystemCallDecision.refuse(Int32($0 % 4000) + 1)) })
        let machine = FilterMachine(
            FilterAssembler.program(DecisionRange.covering(decisions, otherwise: .allow), for: .x86_64))
        for number in UInt32(0)..<1600 {
            let expected = decisions[number]?.action([]) ?? Action.allow
            #expect(try machine.run(number: number, architecture: Architecture.x86_64.auditToken) == expected)
        }
    }

    static func looksAtArguments(_ decision: SystemCallDecision) -> Bool {
        switch decision {
        case .allow, .refuse, .killProcess: false
        case .byValue, .byBits: true
        }
    }

    static func argumentCases(_ random: inout SeededRandom) -> [[UInt64]] {
        var cases: [[UInt64]] = []
        for first in interesting {
            for third in interesting { cases.append([first, 0, third, 0, 0, 0]) }
        }
        for _ in 0..<500 { cases.append((0..<6).map { _ in random.next() >> (random.next() % 64) }) }
        return cases
    }
}

/// What was asked for on the command line.
struct SimulatorOptions {
    var seeds = 1_000
    var first: UInt64 = 1
    var jobs: Int?
    var single: UInt64?
    var mutant: Mutant?
    var favoured: Mutant?
    var isJSON = false

    static let usage = """
        usage: plane-simulator [--seeds N] [--first S] [--jobs J] [--mutant NAME | --favour NAME] [--json]
               plane-simulator --seed S [--mutant NAME | --favour NAME]

        Runs controller, drone, warden and clients through N schedules of faults under a virtual clock and checks the rules
        of leases after each step. --seed replays one schedule and prints it. --mutant builds one defect in and says at
        which seed it was caught; --favour draws the same schedules without the defect, which must be clean.

        exit status: 0 no rule was broken, or the mutant was caught; 1 a rule was broken, or the mutant was not caught;
        2 wrong usage.

        mutants:
          \(Mutant.allCases.map(\.rawValue).joined(separator: "\n  "))
        """

    /// Why the arguments are refused, as a sentence.
    struct Problem: Error, Equatable {
        let sentence: String
    }

    init(_ arguments: [String]) throws(Problem) {
        var rest = arguments[...]
        while let flag = rest.popFirst() {
            switch flag {
            case "--json": isJSON = true
            case "--seeds": seeds = try Self.number(flag, &rest)
            case "--first": first = try Self.number(flag, &rest)
            case "--jobs": jobs = try Self.number(flag, &rest)
            case "--seed": single = try Self.number(flag, &rest)
            case "--mutant":
                guard let name = rest.popFirst(), let mutant = Mutant(rawValue: name) else {
                    throw Problem(sentence: "--mutant needs one of the names that --help lists")
                }
                self.mutant = mutant
            case "--favour":
                guard let name = rest.popFirst(), let mutant = Mutant(rawValue: name) else {
                    throw Problem(sentence: "--favour needs one of the names that --help lists")
                }
                favoured = mutant
            default: throw Problem(sentence: "\"\(flag)\" is not an option; see --help")
            }
        }
        if seeds < 1 { throw Problem(sentence: "--seeds must be 1 or more") }
        if let jobs, !(1...SeedOfThread.jobsMax).contains(jobs) {
            throw Problem(sentence: "--jobs must be from 1 to \(SeedOfThread.jobsMax)")
        }
    }

    private static func number<Number: FixedWidthInteger>(
        _ flag: String, _ rest: inout ArraySlice<String>
    ) throws(Problem) -> Number {
        guard let text = rest.popFirst(), let number = Number(text) else {
            throw Problem(sentence: "\(flag) needs a whole number")
        }
        return number
    }
}

import Glibc
import Linux
import Model
import Policy

/// Measures how fast sandboxes start, what they cost, and whether anything of them is left.
struct BenchSpawnCommand: Subcommand {
    static let syntax = CommandSyntax(
        "bench spawn",
        purpose: """
            measure how fast sandboxes start beside bubblewrap, crun and plain clone3 with exec

            A real plane-warden runs on a folder of the benchmark's own; the contenders take turns, so that other work
            on the machine meets all alike. Each starts the same static program, whose first instructions note the
            time. bubblewrap and crun are passed over where they are not installed. Exit status 1 if anything of the
            sandboxes is left behind; goals that are missed only show in the table.
            """,
        flags: [quick, .json, count, pool])

    private static let quick = Flag("--quick", .bare, "end within a minute; the rarest figures are less certain then")
    private static let count = Flag(
        "--count", .value("N", default: "1000"), "how many idle sandboxes to hold at once")
    private static let pool = Flag(
        "--pool", .value("N", default: "8"), "parked sandboxes of the warden that is measured with a pool")

    private let isQuick: Bool
    private let form: OutputForm
    private let crowdCount: Int
    private let poolSize: Int

    init(_ arguments: Arguments) throws(UsageError) {
        isQuick = arguments.isGiven(Self.quick)
        form = OutputForm(arguments)
        crowdCount = Int(try arguments.integer(Self.count, in: 1...100_000) ?? 1000)
        poolSize = Int(try arguments.integer(Self.pool, in: 1...1000) ?? 8)
    }

    func run() throws -> Int32 {
        try CommandFailure.requireRoot(for: "it starts sandboxes", userID: geteuid())
        let signals = try SignalDescriptor([SIGINT, SIGTERM, SIGHUP])
        let check = { () throws in
            if let signal = signals.next() {
                throw CommandFailure("ended by signal \(signal); nothing is left running")
            }
        }
        let machine = BenchMachine.description
        switch form {
        case .json: StandardError.say(machine)
        case .text: StandardOutput.say(machine)
        }
        let run = BenchSpawnRun(isQuick: isQuick, poolSize: poolSize, crowdCount: crowdCount, check: check)
        let result = try run.run()
        switch form {
        case .json: StandardOutput.write(BenchRow.jsonText(result.rows))
        case .text: StandardOutput.write(BenchRow.table(result.rows))
        }
        if result.leaks.isEmpty { return 0 }
        StandardError.say("plane: left behind by sandboxes that have ended: \(result.leaks.joined(separator: ", "))")
        return 1
    }
}

/// What the figures were measured on.
enum BenchMachine {
    static var description: String {
        var name = utsname()
        uname(&name)
        let release = withUnsafeBytes(of: &name.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        let information = (try? File.readText("/proc/cpuinfo")) ?? ""
        let processor = information.split(separator: "\n").first { $0.hasPrefix("model name") }
            .map { line in line.drop { $0 != ":" }.dropFirst(2) }
        let cores = sysconf(Int32(_SC_NPROCESSORS_ONLN))
        return "\(processor ?? "unknown processor"), \(cores) cores, Linux \(release), plane \(planeVersion) \(build)"
    }

    private static var build: String {
        #if DEBUG
            "debug build: its figures are not those of a release build"
        #else
            "release build"
        #endif
    }
}

import Glibc
import Linux
import Model

/// Measures how many connects a controller answers, and what leases cost it.
struct BenchControllerCommand: Subcommand {
    static let syntax = CommandSyntax(
        "bench controller",
        purpose: """
            measure connects per second, and what leases cost, as keys grow

            A real controller with a database of its own runs beside this program, which plays its drones and its clients
            on loopback. Every figure is of durable answers: a connect counts when its answer has come, and it comes after
            the database has synced. Exit status 1 if an answer was wrong or missing; goals that are missed only show in
            the table.
            """,
        flags: [quick, .json, keys, drones, callers, folder, database])

    private static let quick = Flag("--quick", .bare, "end within a minute: at most 5,000 keys")
    private static let keys = Flag("--keys", .value("N", default: "100000"), "how many keys to hold in the end")
    private static let drones = Flag("--drones", .value("N", default: "100"), "how many drones to play")
    private static let callers = Flag(
        "--callers", .value("N", default: "64"), "how many connects are under way at once")
    private static let folder = Flag(
        "--folder", .value("PATH", default: "/var/tmp"), "where the database is made; its disk is measured, too")
    private static let database = Flag(
        "--db", .value("URL", default: nil), "an empty database, postgres://…, instead of SQLite in the folder")

    private let extent: BenchControllerRun.Extent
    private let form: OutputForm

    init(_ arguments: Arguments) throws(UsageError) {
        let isQuick = arguments.isGiven(Self.quick)
        let most = Int(try arguments.integer(Self.keys, in: 1000...1_000_000) ?? 100_000)
        extent = BenchControllerRun.Extent(
            levels: BenchControllerRun.Extent.levels(upTo: isQuick ? min(most, 5000) : most),
            drones: Int(try arguments.integer(Self.drones, in: 1...1000) ?? 100),
            callers: Int(try arguments.integer(Self.callers, in: 1...1024) ?? 64),
            existingSeconds: isQuick ? 3 : 10, idleSeconds: isQuick ? 6 : 30,
            folder: arguments.required(Self.folder), database: arguments.text(Self.database))
        form = OutputForm(arguments)
    }

    func run() throws -> Int32 {
        let machine = BenchMachine.description
        switch form {
        case .json: StandardError.say(machine)
        case .text: StandardOutput.say(machine)
        }
        let rows = try BenchControllerRun(extent).run()
        switch form {
        case .json: StandardOutput.write(BenchRow.jsonText(rows))
        case .text: StandardOutput.write(BenchRow.table(rows))
        }
        return 0
    }
}

import Glibc
import Linux

/// Controller, drone and warden, the code that ships, under a virtual clock and a network, a store and machines that fail.
@main
struct PlaneSimulator {
    static func main() async {
        let arguments = Array(CommandLine.arguments.dropFirst())
        if arguments.contains("--help") { return print(SimulatorOptions.usage) }
        let options: SimulatorOptions
        do throws(SimulatorOptions.Problem) { options = try SimulatorOptions(arguments) } catch {
            complain(error.sentence)
            exit(2)
        }
        SeedOfThread.install()
        if let seed = options.single { exit(replay(seed, options)) }
        exit(await campaign(options))
    }

    /// Prints one schedule.
    private static func replay(_ seed: UInt64, _ options: SimulatorOptions) -> Int32 {
        SeedOfThread.note(seed, 0)
        let outcome = Schedule(
            seed: seed, mutant: options.mutant, favoured: options.favoured, onLine: { print($0) }
        ).run()
        print("seed \(seed): \(outcome.counts.steps) steps, digest \(String(outcome.digest, radix: 16))")
        guard let violation = outcome.violation else { return 0 }
        print("VIOLATION of \"\(violation.rule.rawValue)\": \(violation.sentence)")
        return 1
    }

    private static func campaign(_ options: SimulatorOptions) async -> Int32 {
        let jobs = options.jobs ?? Int(max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))))
        let start = BootInstant.now
        let progress = ProgressLine(total: options.seeds, start: start)
        let campaign = Campaign(
            first: options.first, seeds: options.seeds, jobs: jobs, mutant: options.mutant, favoured: options.favoured)
        let result = await campaign.run(stopAtFirst: true) { progress.update($0) }
        let report = CampaignReport(result, options, elapsed: BootInstant.now - start, jobs: jobs)
        print(options.isJSON ? report.json : report.text)
        let isCaught = !result.violations.isEmpty
        return isCaught == (options.mutant != nil) ? 0 : 1
    }

    private static func complain(_ sentence: String) {
        let line = Array("plane-simulator: \(sentence)\n".utf8)
        _ = line.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
    }
}

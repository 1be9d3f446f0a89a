import Glibc
import Linux

/// Starts contenders one after the other, round after round, so that whatever else the machine does meets all of them
/// alike.
struct BenchStartPhase {
    /// How much is measured.
    struct Extent {
        let rounds: Int
        /// Starts of each contender in a round.
        let startsPerRound: Int
        /// Contenders that take tens of milliseconds are started in every so many-th turn only.
        let slowEvery: Int
        /// No round begins after this.
        let timeLimit: Duration
    }

    /// What one contender's starts came to.
    struct Result {
        let name: String
        private(set) var rounds: [[BenchSample]] = []

        init(name: String) { self.name = name }

        mutating func beginRound() { rounds.append([]) }
        mutating func add(_ sample: BenchSample) { rounds[rounds.count - 1].append(sample) }

        /// Of one time of every sample.
        func figure(_ time: KeyPath<BenchSample, Double>) -> (value: Double?, spread: Percentiles?) {
            let times = rounds.map { round in round.map { $0[keyPath: time] } }
            return (Percentiles.medianOfRounds(times), Percentiles(times.flatMap { $0 }))
        }
    }

    /// Quiet between two starts: the kernel takes namespaces down behind a process's end, and whoever starts next would
    /// pay for it. So long at least a sandbox is used.
    private static let gapMilliseconds: Int32 = 3
    private static let warmUps = 3

    /// - Parameters:
    ///   - contenders: those that take part in every turn.
    ///   - slow: those that take part in some.
    ///   - check: called between starts; throws to end it all.
    static func run(
        _ contenders: [any BenchContender], slow: [any BenchContender], _ extent: Extent,
        gapMilliseconds: Int32 = gapMilliseconds, check: () throws -> Void
    ) throws -> [String: Result] {
        let all = contenders + slow
        for contender in all {
            for _ in 0..<warmUps { _ = try contender.start() }
        }
        var results = Dictionary(uniqueKeysWithValues: all.map { ($0.name, Result(name: $0.name)) })
        let deadline = BootInstant.now + extent.timeLimit
        for round in 0..<extent.rounds where BootInstant.now < deadline {
            for contender in all { results[contender.name]?.beginRound() }
            for turn in 0..<extent.startsPerRound {
                let present = turn % extent.slowEvery == 0 ? all : contenders
                // Another one comes first each time: nobody always follows the same one's remains.
                for index in present.indices {
                    try check()
                    poll(nil, 0, gapMilliseconds)
                    let contender = present[(index + turn + round) % present.count]
                    results[contender.name]?.add(try contender.start())
                }
            }
        }
        return results
    }
}

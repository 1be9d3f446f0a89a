import Synchronization

/// Many schedules on several threads: progress, sums, and the first violation of each thread.
struct Campaign {
    let first: UInt64
    let seeds: Int
    let jobs: Int
    let mutant: Mutant?
    /// The mutant for which schedules are drawn, where its defect is not built in.
    var favoured: Mutant?

    /// What came of it.
    struct Result {
        var counts = Counts()
        var violations: [Schedule.Outcome] = []
        var digest: UInt64 = 0
    }

    private final class Shared: Sendable {
        let next: Mutex<UInt64>
        let done = Mutex<Int>(0)
        let stopped = Mutex<Bool>(false)
        init(_ first: UInt64) { next = Mutex(first) }
    }

    /// - Parameters:
    ///   - stopAtFirst: whether the first violation ends it.
    ///   - onProgress: called now and then with how many are done.
    func run(stopAtFirst: Bool, onProgress: @escaping @Sendable (Int) -> Void) async -> Result {
        let shared = Shared(first)
        let end = first + UInt64(seeds)
        return await withTaskGroup(of: Result.self) { group in
            for job in 0..<max(1, jobs) {
                group.addTask { work(job, shared, until: end, stopAtFirst, onProgress) }
            }
            var total = Result()
            for await part in group {
                total.counts.add(part.counts)
                total.violations += part.violations
                total.digest ^= part.digest
            }
            total.violations.sort { $0.seed < $1.seed }
            return total
        }
    }

    private func work(
        _ job: Int, _ shared: Shared, until end: UInt64, _ stopAtFirst: Bool, _ onProgress: @Sendable (Int) -> Void
    ) -> Result {
        var result = Result()
        while !shared.stopped.withLock({ $0 }) {
            let seed = shared.next.withLock { next in
                defer { next += 1 }
                return next
            }
            guard seed < end else { break }
            SeedOfThread.note(seed, job)
            let outcome = Schedule(seed: seed, mutant: mutant, favoured: favoured).run()
            result.counts.add(outcome.counts)
            result.digest ^= outcome.digest &+ seed &* 0x9E37_79B9_7F4A_7C15
            if outcome.violation != nil {
                result.violations.append(outcome)
                if stopAtFirst { shared.stopped.withLock { $0 = true } }
            }
            let done = shared.done.withLock { count in
                count += 1
                return count
            }
            if done % 64 == 0 { onProgress(done) }
        }
        return result
    }
}

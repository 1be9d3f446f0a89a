import Model
import SimulatedStore
import Store
import Synchronization
import Testing

/// The simulator's store does what the one that ships does, step by step: what the simulator proves, it proves of both.
@Suite struct EqualStoresTests {
    @Test(
        "Random jobs do the same in memory and in SQLite, failed and rolled back ones too",
        arguments: 1...8 as ClosedRange<UInt64>)
    func sameSteps(seed: UInt64) throws {
        let folder = TemporaryFolder(in: "/dev/shm")
        let time = Time()
        let database = MemoryDatabase(clock: { time.now })
        func openSQLite() throws -> SQLiteStore {
            try SQLiteStore(path: folder.file("plane.db"), clock: { time.now })
        }
        var sqlite: SQLiteStore? = try openSQLite()
        var steps = RandomSteps(seed: seed)
        for round in 0..<300 {
            // Wall clocks are set back, too.
            time.now += Int64(steps.below(20)) - 5
            let jobs = Self.jobs(&steps)
            let rollsBack = steps.below(8) == 0
            let memory = try run(jobs, in: MemoryStore(database), rollsBack: rollsBack)
            #expect(try run(jobs, in: try #require(sqlite), rollsBack: rollsBack) == memory, "round \(round)")
            if steps.below(50) == 0 {
                // The file's lock is let go of before it is opened again.
                sqlite = nil
                sqlite = try openSQLite()
            }
        }
    }

    struct Job {
        var steps: [RandomSteps.Step]
        /// Whether it fails after its last step, so that all of them are undone.
        var fails: Bool
    }

    /// A few random jobs.
    static func jobs(_ steps: inout RandomSteps) -> [Job] {
        (0...steps.below(3)).map { _ in
            Job(steps: (0...steps.below(4)).map { _ in steps.step() }, fails: steps.below(6) == 0)
        }
    }

    /// What a job came to.
    enum Outcome: Equatable {
        case done([AnyHashable])
        case failed(StoreError.Kind)
    }

    /// Runs jobs in one transaction. - Returns: what came of each, and all that the store holds afterwards.
    func run(_ jobs: [Job], in store: any Store, rollsBack: Bool) throws -> [Outcome] {
        try store.begin()
        var outcomes = jobs.map { job in
            do throws(StoreError) {
                return Outcome.done(
                    try store.isolated { tx throws(StoreError) in
                        var results: [AnyHashable] = []
                        for step in job.steps { results.append(try step(tx)) }
                        if job.fails { throw StoreError(.stopped, message: "the test's own") }
                        return results
                    })
            } catch {
                return .failed(error.kind)
            }
        }
        if rollsBack { store.rollBack() } else { try store.commit() }
        outcomes.append(.done([try store.transaction { tx throws(StoreError) in try RandomSteps.everything(tx) }]))
        return outcomes
    }
}

/// A clock that a test sets.
final class Time: Sendable {
    private let value = Mutex<Int64>(1_000)
    var now: Int64 {
        get { value.withLock { $0 } }
        set { value.withLock { $0 = newValue } }
    }
}

import Glibc
import Model
import Store
import Synchronization
import Testing

/// Group commit: many callers, one fsync, and no promise before it.
@Suite struct StoreThreadTests {
    private let folder = TemporaryFolder()

    private func start(clock: @escaping @Sendable () -> Int64 = { 0 }) throws -> StoreThread {
        let path = folder.file("plane.db")
        let thread = try StoreThread(
            open: { () throws(StoreError) in try SQLiteStore(path: path, clock: clock) },
            deliver: { for completion in $0 { completion() } })
        return thread
    }

    /// Runs one job and waits for its completion.
    private func run<Value: Sendable>(
        _ thread: StoreThread, _ job: @escaping @Sendable (any StoreTransaction) throws(StoreError) -> Value
    ) async throws -> Value {
        try await withCheckedContinuation { continuation in
            thread.perform(job) { continuation.resume(returning: $0) }
        }.get()
    }

    /// Says hello for the drone of the specs. - Returns: its session.
    private func addDrone(_ thread: StoreThread) async throws -> SessionNumber {
        let row = try await run(thread) { tx throws(StoreError) in
            try tx.greet(greeting(), by: controllerName("co-1"), leaseMilliseconds: 60_000)
        }
        return try #require(row.session)
    }

    @Test("Jobs that wait together share one commit, and a failing one harms no other")
    func jobsShareACommit() async throws {
        let thread = try start()
        defer { thread.stop() }
        let session = try await addDrone(thread)
        let before = thread.counts
        let gate = Gate()
        // While the first job holds the thread, a hundred others line up behind it.
        thread.perform({ _ throws(StoreError) in gate.wait() }, then: { _ in })
        let (outcomes, feed) = AsyncStream<Bool>.makeStream()
        for number in 0..<100 {
            // Every tenth wants the key of the one before.
            let key = number % 10 == 9 ? "k\(number - 1)" : "k\(number)"
            thread.perform(
                { tx throws(StoreError) in try tx.insert(spec("b\(number)", key: key), under: session) },
                then: { feed.yield((try? $0.get()) != nil) })
        }
        gate.open()
        var successes = 0
        for await success in outcomes.prefix(100) where success { successes += 1 }
        #expect(successes == 90)
        let after = thread.counts
        #expect(after.jobs - before.jobs == 101)
        // The first job's own, and one for all that waited; or one for all, if it had not begun.
        #expect(after.commits - before.commits <= 2)
        let rows = try await run(thread) { tx throws(StoreError) in try tx.backends(.all, after: nil, limit: 200) }
        #expect(rows.count == 90)
        #expect(Set(rows.map(\.fencingToken)).count == 90)
    }

    @Test("Nobody hears of a job before its commit")
    func completionFollowsCommit() async throws {
        let path = folder.file("plane.db")
        let log = Mutex<[String]>([])
        let note: @Sendable (String) -> Void = { line in log.withLock { $0.append(line) } }
        let thread = try StoreThread(
            open: { () throws(StoreError) in
                LoggingStore(try SQLiteStore(path: path, clock: { 0 }), note: note, commits: .pass)
            },
            deliver: { for completion in $0 { completion() } })
        let result: Result<Void, StoreError> = await withCheckedContinuation { continuation in
            thread.perform(
                { _ throws(StoreError) in note("job") },
                then: { result in
                    note("told")
                    continuation.resume(returning: result)
                })
        }
        try result.get()
        thread.stop()
        #expect(log.withLock { $0 } == ["begin", "job", "commit", "told"])
    }

    @Test("When the commit fails, every job of the batch is told so and none of them has happened")
    func failedCommitFailsAll() async throws {
        let path = folder.file("plane.db")
        let thread = try StoreThread(
            open: { () throws(StoreError) in
                LoggingStore(try SQLiteStore(path: path, clock: { 0 }), note: { _ in }, commits: .failSecond)
            },
            deliver: { for completion in $0 { completion() } })
        defer { thread.stop() }
        let session = try await addDrone(thread)
        let result: Result<BackendRow?, StoreError> = await withCheckedContinuation { continuation in
            thread.perform(
                { tx throws(StoreError) in try tx.insert(spec("b1", key: "k"), under: session) },
                then: { continuation.resume(returning: $0) })
        }
        #expect(throws: StoreError.self) { try result.get() }
        let rows = try await run(thread) { tx throws(StoreError) in try tx.backends(.all, after: nil, limit: 10) }
        #expect(rows.isEmpty)
    }

    @Test("A store that cannot be opened says why to the one who starts it")
    func openingFails() {
        #expect(throws: StoreError.self) {
            _ = try StoreThread(
                open: { () throws(StoreError) in try SQLiteStore(path: "/nonexistent/plane.db", clock: { 0 }) },
                deliver: { _ in })
        }
    }

    @Test("Stopping finishes what waits and refuses what comes later")
    func stopFinishes() async throws {
        let thread = try start()
        let session = try await addDrone(thread)
        let done = Atomic<Int>(0)
        for number in 0..<50 {
            thread.perform(
                { tx throws(StoreError) in try tx.insert(spec("b\(number)", key: "k\(number)"), under: session) },
                then: { if (try? $0.get()) != nil { done.add(1, ordering: .relaxed) } })
        }
        thread.stop()
        #expect(done.load(ordering: .relaxed) == 50)
        let late: Result<Void, StoreError> = await withCheckedContinuation { continuation in
            thread.perform({ _ throws(StoreError) in }, then: { continuation.resume(returning: $0) })
        }
        #expect(throws: StoreError(.stopped, message: "the store is closed")) { try late.get() }
    }
}

/// Holds a thread until it is opened.
final class Gate: @unchecked Sendable {
    private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    init() { sem_init(semaphore, 0, 0) }
    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }
    func wait() { while sem_wait(semaphore) != 0 {} }
    func open() { sem_post(semaphore) }
}

/// The real store, with its transactions noted, and a commit that fails when told to.
final class LoggingStore: Store {
    static var isShared: Bool { false }

    enum Commits {
        case pass
        case failSecond
    }

    private let store: SQLiteStore
    private let note: @Sendable (String) -> Void
    private let commits: Commits
    private var count = 0

    init(_ store: SQLiteStore, note: @escaping @Sendable (String) -> Void, commits: Commits) {
        self.store = store
        self.note = note
        self.commits = commits
    }

    func begin() throws(StoreError) {
        note("begin")
        try store.begin()
    }

    func commit() throws(StoreError) {
        note("commit")
        count += 1
        if commits == .failSecond && count == 2 {
            store.rollBack()
            throw StoreError(.full, message: "database or disk is full")
        }
        try store.commit()
    }

    func rollBack() { store.rollBack() }

    var isInTransaction: Bool { store.isInTransaction }

    func isolated<Value>(
        _ job: (any StoreTransaction) throws(StoreError) -> Value
    ) throws(StoreError) -> Value {
        try store.isolated(job)
    }
}

import Glibc
import Synchronization

/// A store on a thread of its own, which makes the writes of many callers durable together.
///
/// It takes all jobs that wait (at most `batchMax`), runs each in its own savepoint within one transaction, commits once,
/// and only then lets anyone know how its job went: **group commit**. A hundred connects share one fsync(2), and nobody
/// hears of anything that a crash could take back.
///
/// **Assumptions.** Jobs run in the order they were given, one at a time. They do not block and do not call back here.
///
/// **Promises.** A job that fails undoes itself alone. If the commit fails, or the store loses its transaction on the
/// way, every job of that batch is told so, and none of them has happened. Completions are delivered in the jobs' order.
public final class StoreThread: Sendable {
    /// Most jobs in one transaction: bounds how long the first of them waits for the last.
    public static let batchMax = 512
    /// Most jobs that may wait; more are refused at once with `.overloaded`.
    public static let waitingMax = 16_384

    /// What has been done so far.
    public struct Counts: Equatable, Sendable {
        /// Jobs run, failed ones included.
        public var jobs: Int = 0
        /// Transactions committed.
        public var commits: Int = 0
    }

    private let queue: StoreQueue
    private let thread = OwnedThread()
    private let counters = Mutex(Counts())
    private let deliver: @Sendable ([@Sendable () -> Void]) -> Void

    /// Starts the thread and opens the store on it. Returns when it is open.
    ///
    /// - Parameters:
    ///   - open: opens the store; called on the new thread.
    ///   - deliver: takes the completions of a batch to where callers want them run, usually an event loop's mailbox.
    ///     Called on the store's thread.
    public init(
        open: @escaping @Sendable () throws(StoreError) -> any Store,
        deliver: @escaping @Sendable ([@Sendable () -> Void]) -> Void
    ) throws(StoreError) {
        self.deliver = deliver
        queue = StoreQueue(waitingMax: Self.waitingMax)
        let opened = Rendezvous()
        try thread.start(named: "plane-store") { [self] in
            let store: any Store
            do throws(StoreError) {
                store = try open()
            } catch {
                opened.meet(.failure(error))
                return
            }
            opened.meet(.success(()))
            run(store)
        }
        do throws(StoreError) {
            try opened.wait()
        } catch {
            thread.join()
            throw error
        }
    }

    /// Queues a job. Any thread.
    ///
    /// - Parameters:
    ///   - job: what to read and write, together.
    ///   - then: how it went, delivered once it is durable (or has failed).
    public func perform<Value: Sendable>(
        _ job: @escaping @Sendable (any StoreTransaction) throws(StoreError) -> Value,
        then: @escaping @Sendable (Result<Value, StoreError>) -> Void
    ) {
        let pending = PendingJob(job: job, then: then)
        if let refusal = queue.push(pending) {
            deliver([{ then(.failure(refusal)) }])
        }
    }

    /// Jobs that wait for the batch that runs now to end.
    public var waitingCount: Int { queue.waitingCount }

    /// What has been done so far.
    public var counts: Counts { counters.withLock { $0 } }

    /// Refuses new jobs, finishes those that wait, closes the store and ends the thread. Not from the store's thread.
    public func stop() {
        queue.close()
        thread.join()
    }

    private func run(_ store: any Store) {
        while let batch = queue.take(atMost: Self.batchMax) {
            deliver(run(batch[...], in: store).flatMap(\.self))
        }
    }

    /// Runs a batch, in more than one transaction only if the store lost the first one on the way.
    private func run(_ batch: ArraySlice<any Job>, in store: any Store) -> [[@Sendable () -> Void]] {
        var rest = batch
        var completions: [[@Sendable () -> Void]] = []
        while !rest.isEmpty {
            let (done, failure) = transaction(rest, in: store)
            completions.append(rest[..<done].map { $0.completion(ofBatch: failure) })
            counters.withLock { [count = done - rest.startIndex] in
                $0.jobs += count
                $0.commits += failure == nil ? 1 : 0
            }
            rest = rest[done...]
        }
        return completions
    }

    /// - Returns: the end of what was settled, and why none of it happened, if so.
    private func transaction(_ jobs: ArraySlice<any Job>, in store: any Store) -> (Int, StoreError?) {
        do throws(StoreError) {
            try store.begin()
            for (index, job) in zip(jobs.indices, jobs) {
                job.attempt(in: store)
                if !store.isInTransaction {
                    let why = job.failure ?? StoreError(.other, message: "the store lost its transaction")
                    store.rollBack()
                    return (index + 1, why)
                }
            }
            try store.commit()
            return (jobs.endIndex, nil)
        } catch {
            return (jobs.endIndex, error)
        }
    }
}

/// A job whose result type is forgotten.
protocol Job: AnyObject, Sendable {
    /// Runs it in a savepoint and keeps how it went.
    func attempt(in store: any Store)
    /// Why it failed, once attempted.
    var failure: StoreError? { get }
    /// What to tell its caller, given why the whole batch failed, if it did.
    func completion(ofBatch failure: StoreError?) -> @Sendable () -> Void
}

/// Unchecked: after it was pushed only the store's thread touches `outcome`.
private final class PendingJob<Value: Sendable>: Job, @unchecked Sendable {
    private let job: @Sendable (any StoreTransaction) throws(StoreError) -> Value
    private let then: @Sendable (Result<Value, StoreError>) -> Void
    private var outcome: Result<Value, StoreError>?

    init(
        job: @escaping @Sendable (any StoreTransaction) throws(StoreError) -> Value,
        then: @escaping @Sendable (Result<Value, StoreError>) -> Void
    ) {
        self.job = job
        self.then = then
    }

    func attempt(in store: any Store) {
        do throws(StoreError) {
            outcome = .success(try store.isolated(job))
        } catch {
            outcome = .failure(error)
        }
    }

    var failure: StoreError? {
        if case .failure(let error) = outcome { error } else { nil }
    }

    func completion(ofBatch batchFailure: StoreError?) -> @Sendable () -> Void {
        let result: Result<Value, StoreError> =
            if let batchFailure {
                .failure(batchFailure)
            } else {
                outcome ?? .failure(StoreError(.other, message: "the job was not run"))
            }
        return { [then] in then(result) }
    }
}

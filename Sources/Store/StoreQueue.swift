import Glibc

/// The jobs that wait for the store's thread.
///
/// Unchecked: everything mutable is touched only with `mutex` held.
final class StoreQueue: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let wakeUp = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private let waitingMax: Int
    private var waiting: [any Job] = []
    private var state = State.open

    private enum State {
        case open
        case closed
    }

    init(waitingMax: Int) {
        self.waitingMax = waitingMax
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(wakeUp, nil)
    }

    deinit {
        pthread_cond_destroy(wakeUp)
        pthread_mutex_destroy(mutex)
        wakeUp.deallocate()
        mutex.deallocate()
    }

    /// - Returns: why the job was not taken; nil when it was.
    func push(_ job: any Job) -> StoreError? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        switch state {
        case .closed: return StoreError(.stopped, message: "the store is closed")
        case .open where waiting.count >= waitingMax:
            return StoreError(.overloaded, message: "\(waiting.count) jobs wait for the store already")
        case .open:
            waiting.append(job)
            if waiting.count == 1 { pthread_cond_signal(wakeUp) }
            return nil
        }
    }

    /// Jobs that wait.
    var waitingCount: Int {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return waiting.count
    }

    /// Waits for jobs and takes the oldest. - Returns: nil when the queue is closed and empty.
    func take(atMost count: Int) -> [any Job]? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while waiting.isEmpty && state == .open { pthread_cond_wait(wakeUp, mutex) }
        if waiting.isEmpty { return nil }
        let taken = Array(waiting.prefix(count))
        waiting.removeFirst(taken.count)
        return taken
    }

    /// Lets no more jobs in.
    func close() {
        pthread_mutex_lock(mutex)
        state = .closed
        pthread_cond_signal(wakeUp)
        pthread_mutex_unlock(mutex)
    }
}

/// Where the one who starts the thread waits until the store is open.
///
/// Unchecked: the semaphore orders the write of `outcome` before its read.
final class Rendezvous: @unchecked Sendable {
    private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)
    private var outcome: Result<Void, StoreError>?

    init() { sem_init(semaphore, 0, 0) }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    func meet(_ outcome: Result<Void, StoreError>) {
        self.outcome = outcome
        sem_post(semaphore)
    }

    func wait() throws(StoreError) {
        while sem_wait(semaphore) != 0 && errno == EINTR {}
        guard let outcome else { preconditionFailure("the semaphore was posted before the outcome was set") }
        try outcome.get()
    }
}

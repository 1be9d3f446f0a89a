import Glibc

/// Copies what the write-ahead log holds into the database, on a thread and a connection of its own, so that no connect
/// waits for it.
///
/// Left to itself, SQLite has the commit that makes the log long copy all of it: thousands of pages and two fsync(2)s, for
/// which everyone waits. A passive checkpoint on another connection runs beside the writer; sqlite.org/wal.html.
///
/// A log is begun anew only by a writer that finds all of it copied. While connects keep coming, something is always
/// appended during a copy, and the log would grow for ever. So when it is long, and has just been copied, the writer
/// copies the little that was appended meanwhile: `shouldFinish`.
///
/// Unchecked: everything mutable is touched only with `mutex` held.
final class SQLiteCheckpointer: @unchecked Sendable {
    /// When what is done, in pages of the log.
    struct Limits: Sendable {
        /// Pages more than at the last copy that begin one: 8 MiB, so that what many commits wrote is copied once.
        var copyPages = 2_000
        /// A log from which on it is to be begun anew: 64 MiB, so that this is rare.
        var longPages = 16_000
    }

    private let limits: Limits
    private let thread = OwnedThread()
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let wakeUp = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var state = State.idle
    /// The length of the log when a copy was last wanted.
    private var lastPages = 0
    private var isShort = false

    private enum State {
        case idle
        case wanted
        case stopping
    }

    /// Starts the thread. - Parameter path: of a database that is open, with its log.
    init(path: String, limits: Limits) throws(StoreError) {
        self.limits = limits
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(wakeUp, nil)
        let connection = try SQLiteConnection(existing: path)
        let handedOver = HandedOver(connection)
        try thread.start(named: "plane-checkpt") { [self] in run(handedOver.take()) }
    }

    deinit {
        pthread_cond_destroy(wakeUp)
        pthread_mutex_destroy(mutex)
        wakeUp.deallocate()
        mutex.deallocate()
    }

    /// Ends the thread; a copy that has begun is finished. Its owner calls it, once: the thread keeps this alive.
    func stop() {
        locked { state = .stopping }
        thread.join()
    }

    /// Says how long the log is. Called after each commit.
    func committed(logPages: Int) {
        locked {
            // It was begun anew.
            if logPages < lastPages { lastPages = 0 }
            if state == .idle && logPages - lastPages >= limits.copyPages {
                state = .wanted
                lastPages = logPages
            }
        }
    }

    /// Whether the writer should copy the rest of the log now, before it writes more. True once for each time.
    func shouldFinish() -> Bool {
        locked {
            defer { isShort = false }
            return isShort
        }
    }

    private func run(_ connection: SQLiteConnection) {
        while waitUntilWanted() {
            // What fails here, as on a full disk, loses nothing: the log keeps all, and is copied the next time.
            guard let progress = try? connection.checkpoint() else { continue }
            if progress.logPages >= limits.longPages { locked { isShort = true } }
        }
    }

    /// - Returns: false when the thread shall end.
    private func waitUntilWanted() -> Bool {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while state == .idle { pthread_cond_wait(wakeUp, mutex) }
        if state == .stopping { return false }
        state = .idle
        return true
    }

    private func locked<Value>(_ body: () -> Value) -> Value {
        pthread_mutex_lock(mutex)
        defer {
            pthread_cond_signal(wakeUp)
            pthread_mutex_unlock(mutex)
        }
        return body()
    }
}

/// Gives a connection to the thread that uses it from then on.
///
/// Unchecked: whoever made it does not touch the connection again.
private final class HandedOver: @unchecked Sendable {
    private var connection: SQLiteConnection?

    init(_ connection: SQLiteConnection) { self.connection = connection }

    func take() -> SQLiteConnection {
        guard let taken = connection else { preconditionFailure("the connection was taken already") }
        connection = nil
        return taken
    }
}

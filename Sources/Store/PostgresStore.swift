internal import Model

/// The store that several controllers share: one database of a PostgreSQL server.
///
/// **Assumptions.** The server keeps what it has committed: fsync is on (`durabilityDoubt` says if not), and whoever fails
/// over to a standby does so to one that has all commits (synchronous_standby_names). The connection leads to the server
/// itself and not to a pooler that shares sessions, as statements are prepared and settings made for one session.
///
/// **How transactions of several controllers stay apart.** Each takes one lock of the database first and holds it to its
/// end, so they run one after the other, as SQLite's do. One that is stopped in its midst loses its session within seconds
/// (`PostgresLimits`), and nothing of it has happened.
///
/// **When the server goes away.** A transaction that was open has not happened; one whose commit was under way may have,
/// and is reported as failed. The next one connects anew. No call waits without an end.
public final class PostgresStore: Store {
    public static let isShared = true

    private let url: PostgresURL
    private let writer: String
    private let limits: PostgresLimits
    private let clock: (@Sendable () -> Int64)?
    private let images = KnownImages()
    private var connection: PostgresConnection?
    private var current: PostgresTransaction?
    /// Since when no attempt to connect has succeeded; nil when the last one did.
    private var awaySince: Int64?
    /// Until when nobody is notified.
    private var quietUntil: Int64 = 0

    /// What of the server's configuration could lose a commit, as a sentence for the log; nil when nothing could.
    public let durabilityDoubt: String?

    /// Connects and brings the tables to this program's version.
    ///
    /// - Parameters:
    ///   - url: of the database; it must exist and be encoded in UTF8.
    ///   - writer: whose notices these are, so that its own listener passes over them: one word, the controller's name.
    public convenience init(url: PostgresURL, writer: String) throws(StoreError) {
        try self.init(url: url, writer: writer, limits: PostgresLimits())
    }

    /// The same with other limits, and with a clock in place of the server's, for tests that need to know the time.
    package init(
        url: PostgresURL, writer: String, limits: PostgresLimits, clock: (@Sendable () -> Int64)? = nil
    ) throws(StoreError) {
        precondition(!writer.isEmpty && !writer.contains(" "), "a writer of notices has a name of one word")
        self.url = url
        self.writer = writer
        self.limits = limits
        self.clock = clock
        let connection = try PostgresConnection.open(url, limits)
        try PostgresSchema.migrate(connection)
        durabilityDoubt = try connection.durabilityDoubt()
        self.connection = connection
    }

    // MARK: Transactions

    public func begin() throws(StoreError) {
        precondition(current == nil, "a transaction is open already")
        let began = MonotonicTime.now
        do throws(StoreError) {
            try beginOnce(try connected())
        } catch {
            // If the connection broke unnoticed since it was last used, a new one may do: nothing has been done yet.
            // Not after a long wait for a server that is stopped.
            guard connection?.breakage != nil, MonotonicTime.now - began < limits.patience else { throw error }
            try beginOnce(try connected())
        }
    }

    private func beginOnce(_ connection: PostgresConnection) throws(StoreError) {
        connection.queue("BEGIN")
        connection.queue(PostgresTransaction.lock)
        do throws(StoreError) {
            let now = try connection.run(PostgresTransaction.clock).integer(0, 0) ?? 0
            current = PostgresTransaction(connection, nowMilliseconds: clock?() ?? now, images: images)
        } catch {
            _ = try? connection.run("ROLLBACK")
            throw error
        }
    }

    public func commit() throws(StoreError) {
        guard let current, let connection else { preconditionFailure("no transaction is open") }
        self.current = nil
        do throws(StoreError) {
            try commit(current, on: connection)
        } catch {
            _ = try? connection.run("ROLLBACK")
            guard connection.breakage != nil else { throw error }
            throw StoreError(
                error.kind, message: "it is not known whether the changes were saved: \(error.message)",
                statement: error.statement)
        }
    }

    private func commit(_ transaction: PostgresTransaction, on connection: PostgresConnection) throws(StoreError) {
        if MonotonicTime.now >= quietUntil {
            for payload in transaction.notices.payloads(from: writer) {
                connection.queue("SELECT pg_notify('\(PostgresNotices.channel)', $1)", [.text(payload)])
            }
        }
        do throws(StoreError) {
            let command = try connection.run("COMMIT").command
            guard command == "COMMIT" else {
                throw StoreError(.other, message: "PostgreSQL answered the commit with \(command)")
            }
        } catch {
            // The queue of notices may be full, of which a listener that is stopped is the cause. They are only hints.
            if error.kind == .full { quietUntil = MonotonicTime.now + limits.quiet }
            throw error
        }
    }

    public func rollBack() {
        current = nil
        // It fails only when the connection is lost, and the transaction with it.
        _ = try? connection?.run("ROLLBACK")
    }

    public var isInTransaction: Bool { current != nil }

    public func isolated<Value>(
        _ job: (any StoreTransaction) throws(StoreError) -> Value
    ) throws(StoreError) -> Value {
        guard let current else { preconditionFailure("no transaction is open") }
        do throws(StoreError) {
            let value = try job(current)
            try current.keepJob()
            return value
        } catch {
            do throws(StoreError) {
                try current.undoJob()
            } catch {
                // What the job left behind must not be committed with the others.
                rollBack()
            }
            throw error
        }
    }

    // MARK: Connecting

    /// A connection that works, as far as is known.
    private func connected() throws(StoreError) -> PostgresConnection {
        if let connection, connection.breakage == nil { return connection }
        connection = nil
        let began = MonotonicTime.now
        // The first job after the server went away waits for it; as long as it is away, the others try once.
        let deadline = awaySince == nil ? began + limits.patience : began
        while true {
            do throws(StoreError) {
                let connection = try PostgresConnection.open(url, limits)
                try PostgresSchema.refuseNewer(connection)
                self.connection = connection
                awaySince = nil
                return connection
            } catch {
                guard error.kind == .busy, MonotonicTime.now < deadline else {
                    awaySince = awaySince ?? began
                    throw error
                }
                MonotonicTime.pause(limits.pause)
            }
        }
    }
}

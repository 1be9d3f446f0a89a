internal import Model

/// The steps of a transaction as SQL; by what they are about in the extensions.
///
/// Each step is one statement where it can be, as each costs a round trip. What is expected to fail (a key that is held, a
/// session that is over) is found out by the statement and not by an error of it: an error would end all of the job.
final class PostgresTransaction: StoreTransaction {
    /// Taken first by every transaction of every Plane on the database and held to its end, so that they run one after
    /// the other, as SQLite's do, and each sees all that the earlier ones wrote. The number is "plane" in ASCII.
    static let lock = "SELECT pg_advisory_xact_lock(482854661733)"
    /// Read once the lock is held, so that times never run backwards from one transaction to the next.
    static let clock = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"

    private let connection: PostgresConnection
    let nowMilliseconds: Int64
    /// What others may want to look at again once this is committed.
    var notices = PostgresNotices()
    /// Images that were read before, so that a thousand readings of a drone's row parse its text once.
    let images: KnownImages

    /// The job that runs.
    private var hasSavepoint = false
    private var failure: StoreError?

    init(_ connection: PostgresConnection, nowMilliseconds: Int64, images: KnownImages) {
        self.connection = connection
        self.nowMilliseconds = nowMilliseconds
        self.images = images
    }

    /// Runs a statement that changes nothing.
    func read(_ sql: String, _ parameters: PostgresParameters = []) throws(StoreError) -> PostgresResult {
        try run(sql, parameters)
    }

    /// Runs a statement that may change something. The first one of a job takes the job's savepoint with it.
    func write(_ sql: String, _ parameters: PostgresParameters) throws(StoreError) -> PostgresResult {
        if !hasSavepoint && failure == nil {
            connection.queue("SAVEPOINT job")
            hasSavepoint = true
        }
        return try run(sql, parameters)
    }

    private func run(_ sql: String, _ parameters: PostgresParameters) throws(StoreError) -> PostgresResult {
        // After an error the server refuses everything until the job is undone.
        if let failure { throw failure }
        do throws(StoreError) {
            return try connection.run(sql, parameters)
        } catch {
            failure = error
            throw error
        }
    }

    // MARK: Jobs

    /// Keeps what the job did. - Throws: a failure that the job did not pass on; it must be undone then.
    func keepJob() throws(StoreError) {
        if let failure { throw failure }
        // Goes with whatever is sent next: the next job's savepoint, or the commit.
        if hasSavepoint { connection.queue("RELEASE job") }
        hasSavepoint = false
    }

    /// Undoes what the job did. - Throws: when that cannot be done but by undoing the whole transaction.
    func undoJob() throws(StoreError) {
        if let breakage = connection.breakage { throw breakage }
        if hasSavepoint {
            connection.queue("ROLLBACK TO job")
            _ = try connection.run("RELEASE job")
        } else if let failure {
            throw failure
        }
        hasSavepoint = false
        failure = nil
    }

    /// What is thrown when the row of the sequences, or that of a drone's lease, is not there.
    static let missingRow = StoreError(.corrupt, message: "a row that is always there is missing from the database")
}

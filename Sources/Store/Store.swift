public import Model

/// One connection to what is durable.
///
/// **Assumptions.** One thread uses it. What `commit` returned from survives a kill of any process and a power cut, if
/// the disk keeps its promise about fsync(2). Every writer goes through a transaction, so that a job sees all that earlier
/// jobs wrote, of this connection and of any other.
///
/// **Promises.** A key is held by at most one backend that has not terminated. Fencing tokens come from one
/// persisted sequence, never from a clock, so they grow strictly for every key, for ever, across restarts and
/// restored clocks. A backend's state only moves forward. Its key is free from the very transaction that records its
/// termination.
public protocol Store: AnyObject {
    /// Begins a transaction that may write. Waits, for a bounded time, until no other connection writes.
    func begin() throws(StoreError)

    /// Makes all of the transaction durable, or none of it. Whatever happens, the transaction is over afterwards.
    func commit() throws(StoreError)

    /// Forgets all of the transaction.
    func rollBack()

    /// Whether a transaction is open. Some errors, a full disk among them, end it behind the caller's back; then all
    /// that it contained is gone.
    var isInTransaction: Bool { get }

    /// Runs one job within the open transaction so that its failure undoes this job alone.
    func isolated<Value>(
        _ job: (any StoreTransaction) throws(StoreError) -> Value
    ) throws(StoreError) -> Value
}

extension Store {
    /// Runs one job as a transaction of its own.
    public func transaction<Value>(
        _ job: (any StoreTransaction) throws(StoreError) -> Value
    ) throws(StoreError) -> Value {
        try begin()
        do throws(StoreError) {
            let value = try isolated(job)
            try commit()
            return value
        } catch {
            if isInTransaction { rollBack() }
            throw error
        }
    }
}

/// What may be read and written within a transaction. It must not be kept beyond the job that it was given to.
///
/// These are steps, not decisions: what to do about a held key is the controller's to decide, from what it reads here
/// in the same transaction that it then writes in.
public protocol StoreTransaction: AnyObject {
    /// The store's clock, milliseconds since 1970, the same for the whole transaction. All controllers of one store
    /// share it; it is for what people read and for the age of tokens, never for leases.
    var nowMilliseconds: Int64 { get }

    // MARK: Keys and backends

    /// The backend that holds a key; nil when it is free.
    func holder(namespace: String, name: String) throws(StoreError) -> BackendRow?

    /// One backend, also after it has terminated, until it is cleaned up.
    func backend(_ id: BackendID) throws(StoreError) -> BackendRow?

    /// Makes a scheduled backend that holds its key, with the next fencing token and the first line of its history.
    /// Fails with `.conflict` when the key is held or the id is used.
    func insert(_ spec: BackendSpec) throws(StoreError) -> BackendRow

    /// Records a state if it is further than the recorded one. Recording `terminated` frees the key.
    func record(_ state: BackendState, of id: BackendID) throws(StoreError) -> Recording

    /// Counts a connect that is answered with a backend. - Returns: the count with this one; 0 for an unknown backend.
    func countConnect(of id: BackendID) throws(StoreError) -> Int64

    /// Notes that a backend shall end. A soft request never weakens a hard one.
    func requestEnd(of id: BackendID, _ end: DesiredEnd) throws(StoreError) -> EndRequest

    /// All backends of a drone that have not terminated, by id.
    func liveBackends(on drone: DroneName) throws(StoreError) -> [BackendRow]

    /// Drones that have backends which have not terminated.
    func dronesWithLiveBackends() throws(StoreError) -> [DroneName]

    /// Backends by id, those after a given one, at most `limit`; nil begins.
    func backends(_ which: BackendSelection, after id: BackendID?, limit: Int) throws(StoreError) -> [BackendRow]

    /// A backend's history after a line, oldest first; 0 begins.
    func history(of id: BackendID, after number: Int64) throws(StoreError) -> [HistoryRow]

    // MARK: Tokens

    /// Adds a token.
    func insert(_ token: TokenRow) throws(StoreError)

    /// What a token leads to, expired and terminated included; nil when nobody knows it.
    func route(_ token: BearerToken) throws(StoreError) -> Route?

    // MARK: Drones

    /// Records a drone's hello; keeps its willingness and count of backends.
    func hello(_ drone: DroneRow) throws(StoreError)

    /// Notes that these drones are there now.
    func seen(_ drones: [DroneName]) throws(StoreError)

    /// All drones by name.
    func drones() throws(StoreError) -> [DroneRow]

    /// How many backends of a drone have not terminated; 0 for an unknown drone.
    func backendCount(of drone: DroneName) throws(StoreError) -> Int64

    /// Changes whether a drone takes backends. - Returns: whether it was otherwise before; nil for an unknown drone.
    func set(_ willingness: Willingness, of drone: DroneName, in cluster: ClusterName) throws(StoreError) -> Bool?

    // MARK: Cleaning up

    /// Deletes tokens whose time is over, at most `limit`. - Returns: how many.
    func deleteTokens(expiredBefore milliseconds: Int64, limit: Int) throws(StoreError) -> Int

    /// Deletes drones that have not been there since and have no backend, terminated ones included, at most `limit`.
    /// - Returns: how many.
    func deleteDrones(seenBefore milliseconds: Int64, limit: Int) throws(StoreError) -> Int

    /// Deletes backends that terminated earlier, with their history and tokens, at most `limit`. - Returns: how many.
    func deleteBackends(terminatedBefore milliseconds: Int64, limit: Int) throws(StoreError) -> Int
}

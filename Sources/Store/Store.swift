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
    /// Whether other controllers use it, too. If not, what this one knows of drones' sessions is all there is to know.
    static var isShared: Bool { get }

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
/// A job whose step failed must fail, too: what that step had begun is undone with the job.
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

    /// Makes a scheduled backend that holds its key, with the next fencing token and the first line of its history, and
    /// adds the order to start it. Fails with `.conflict` when the key is held or the id is used.
    /// - Returns: nil, and nothing is written, when the drone does not hold that session any more.
    func insert(_ spec: BackendSpec, under session: SessionNumber) throws(StoreError) -> BackendRow?

    /// Records a state if it is further than the recorded one. Recording `terminated` frees the key, and the drone of its
    /// promise.
    /// - Parameter fencingToken: of the backend that is meant; another one of the same id is unknown.
    func record(_ state: BackendState, of id: BackendID, _ fencingToken: FencingToken) throws(StoreError) -> Recording

    /// Counts a connect that is answered with a backend. - Returns: the count with this one; 0 for an unknown backend.
    func countConnect(of id: BackendID) throws(StoreError) -> Int64

    /// Notes that a backend shall end, and adds the order. A soft request never weakens a hard one; one that changes
    /// nothing adds no order.
    func requestEnd(of id: BackendID, _ end: DesiredEnd) throws(StoreError) -> EndRequest

    /// All backends of a drone that have not terminated, by id.
    func liveBackends(on drone: DroneName) throws(StoreError) -> [BackendRow]

    /// The backends of a drone that have not terminated and about which an order was added after a revision, in the
    /// order of their revisions.
    func orders(for drone: DroneName, after revision: Int64) throws(StoreError) -> [BackendRow]

    /// Held keys after a place, by namespace, then name, at most `limit`; nil begins. - Returns: their holders.
    func holders(after position: KeyPosition?, limit: Int) throws(StoreError) -> [BackendRow]

    /// Backends by id, those after a given one, at most `limit`; nil begins.
    func backends(_ which: BackendSelection, after id: BackendID?, limit: Int) throws(StoreError) -> [BackendRow]

    /// A backend's history after a line, oldest first; 0 begins.
    func history(of id: BackendID, after number: Int64) throws(StoreError) -> [HistoryRow]

    // MARK: Tokens

    /// Adds a token.
    func insert(_ token: TokenRow) throws(StoreError)

    /// What a token leads to, expired and terminated included; nil when nobody knows it or it was revoked.
    func route(_ token: BearerToken) throws(StoreError) -> Route?

    /// Revokes all tokens of a user for a backend, and adds the order, if there are any. - Returns: nil for an unknown backend.
    func revoke(_ user: String, of backend: BackendID) throws(StoreError) -> Revocation?

    /// Tokens for a drone's backends that were revoked after a revision and whose time is not over, oldest first.
    func revokedTokens(for drone: DroneName, after revision: Int64) throws(StoreError) -> [BearerToken]

    // MARK: Drones

    /// One drone.
    func drone(_ name: DroneName) throws(StoreError) -> DroneRow?

    /// Drones by name, those after a given one, at most `limit`; nil begins.
    func drones(after name: DroneName?, limit: Int) throws(StoreError) -> [DroneRow]

    /// Records a drone's hello: what it says of itself, that it is connected to this controller, and a renewal. Begins a
    /// session if it has none; an existing one goes on. Keeps its willingness.
    /// - Parameter leaseMilliseconds: the expiry that the controller grants. The longest of a session is kept: deadlines that
    ///   drones and wardens were once given are never taken back, by no controller with shorter times.
    func greet(
        _ greeting: DroneGreeting, by controller: ControllerName, leaseMilliseconds: Int64
    ) throws(StoreError) -> DroneRow

    /// Records a renewal. - Returns: false, and nothing is written, when the drone does not hold that session any more or
    /// is connected to another controller.
    func renew(
        _ drone: DroneName, _ session: SessionNumber, by controller: ControllerName
    ) throws(StoreError) -> Bool

    /// Ends a session if nobody renewed it since `renewals` was read. What becomes of its backends is the caller's to
    /// record in the same transaction. - Returns: whether it was ended.
    func endSession(
        of drone: DroneName, _ session: SessionNumber, renewals: Int64
    ) throws(StoreError) -> Bool

    /// Notes that a drone is not connected to this controller any more; nothing if it is connected to another one.
    func unlink(_ drone: DroneName, from controller: ControllerName) throws(StoreError)

    /// Notes that these drones are there now.
    func seen(_ drones: [DroneName]) throws(StoreError)

    /// Changes whether a drone takes backends. - Returns: what it was before; nil for an unknown drone.
    func set(
        _ willingness: Willingness, of drone: DroneName, in cluster: ClusterName
    ) throws(StoreError) -> Willingness?

    // MARK: Controllers

    /// Notes that a controller is there, for the first time or again.
    func beat(_ controller: ControllerName, version: String) throws(StoreError)

    /// All controllers by name.
    func controllers() throws(StoreError) -> [ControllerRow]

    /// Forgets a controller, which stops, and that drones are connected to it.
    func leave(_ controller: ControllerName) throws(StoreError)

    // MARK: Cleaning up

    /// Deletes tokens whose time is over, at most `limit`. - Returns: how many.
    func deleteTokens(expiredBefore milliseconds: Int64, limit: Int) throws(StoreError) -> Int

    /// Deletes drones that have not been there since and have no backend, terminated ones included, at most `limit`.
    /// - Returns: how many.
    func deleteDrones(seenBefore milliseconds: Int64, limit: Int) throws(StoreError) -> Int

    /// Deletes backends that terminated earlier, with their history and tokens, at most `limit`. - Returns: how many.
    func deleteBackends(terminatedBefore milliseconds: Int64, limit: Int) throws(StoreError) -> Int

    /// Forgets controllers that have not beaten since, and that drones are connected to them, at most `limit`. - Returns: how many.
    func deleteControllers(seenBefore milliseconds: Int64, limit: Int) throws(StoreError) -> Int
}

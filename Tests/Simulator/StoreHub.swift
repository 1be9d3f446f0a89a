import Model
import SimulatedStore
import Store

/// What is durable: it outlives every process. Each job is one transaction, after which the rules are looked at.
final class StoreHub {
    private let store: MemoryStore
    private let database: MemoryDatabase
    /// Whether nobody reaches it.
    var isDown = false
    /// How much slower than usual it is.
    var slowness: Int64 = 1
    /// Of a thousand jobs, how many are lost.
    var lostPerMille = 0
    /// … are done, and reported as failed.
    var uncertainPerMille = 0
    private unowned let site: Site
    private var world: World { site.world }

    init(_ site: Site) {
        self.site = site
        let world = site.world
        database = MemoryDatabase(clock: { [unowned site] in world.now / 1_000_000 + site.wallOffset })
        database.takesTokensFromClock = world.has(.tokenFromClock)
        store = MemoryStore(database)
    }

    /// Runs a job as a transaction of its own.
    /// - Parameter from: the controller whose job it is; the others are told what it changed.
    func run<Value>(
        _ job: (any StoreTransaction) throws(StoreError) -> Value, from controller: Int
    ) -> Result<Value, StoreError> {
        world.counts.jobs += 1
        let commits = database.commits
        let result: Result<Value, StoreError>
        do throws(StoreError) { result = .success(try store.transaction(job)) } catch { result = .failure(error) }
        if database.commits == commits { return result }
        var notices: [StoreNotice] = []
        read { transaction throws(StoreError) in notices = try site.checks.look(transaction) }
        if !notices.isEmpty { site.notice(notices, from: controller) }
        return result
    }

    /// Runs a job and forgets what it wrote.
    func rehearse<Value>(_ job: (any StoreTransaction) throws(StoreError) -> Value) -> Result<Value, StoreError> {
        do throws(StoreError) {
            try store.begin()
            defer { store.rollBack() }
            return .success(try store.isolated(job))
        } catch { return .failure(error) }
    }

    /// Looks at what is durable now.
    func read(_ look: (any StoreTransaction) throws(StoreError) -> Void) {
        do throws(StoreError) { try store.transaction(look) } catch {
            preconditionFailure("the store in memory cannot be read: \(error)")
        }
    }
}

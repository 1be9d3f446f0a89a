import Linux
import Model
import Store

/// Looks at the truth after all that happens and compares it with the rules.
final class Checks {
    private unowned let site: Site
    private var world: World { site.world }
    /// Backends that anybody has heard of and that have not terminated, by what was last seen of their rows.
    private var watched: [BackendID] = []
    private var seen: [BackendID: Seen] = [:]
    private var drones: [DroneSeen] = []
    private var lastStarted: [String: FencingToken] = [:]
    private var acknowledged: [Acknowledged] = []
    /// What somebody asked to be revoked: it may be gone, or not.
    private var revocations: Set<Revoked> = []

    private struct Seen {
        var status = BackendStatus.scheduled
        var connects: Int64 = 0
        var lastConnect: Int64
        var revision: Int64 = 0
        var isSwept = false
    }

    private struct DroneSeen {
        let name: DroneName
        var row: DroneRow?
    }

    /// A connect that was granted.
    struct Acknowledged {
        let backend: BackendID
        let fencingToken: FencingToken
        let token: BearerToken
        let user: String
    }

    private struct Revoked: Hashable {
        let user: String
        let backend: BackendID
    }

    init(_ site: Site) {
        self.site = site
        drones = site.droneNames.map { DroneSeen(name: $0, row: nil) }
    }

    // MARK: Kernel

    /// A command runs from now on, for the first time.
    func started(_ sandbox: Sandbox) {
        runs(sandbox)
        if let last = lastStarted[sandbox.key], last >= sandbox.fencingToken {
            world.violated(
                .tokensIncrease,
                "key \(sandbox.key): token \(sandbox.fencingToken) starts after token \(last)")
        }
        lastStarted[sandbox.key] = sandbox.fencingToken
    }

    /// A command goes on, or begins: nothing else may run for its key.
    func runs(_ sandbox: Sandbox) {
        watch(sandbox.backend)
        for machine in site.machines {
            for other in machine.sandboxes
            where other !== sandbox && other.key == sandbox.key && other.isRunning {
                world.violated(
                    .oneProcessPerKey,
                    "key \(sandbox.key): \(sandbox.backend) runs on \(sandbox.name) (token \(sandbox.fencingToken)) "
                        + "while \(other.backend) runs on \(other.name) (token \(other.fencingToken))")
            }
        }
        site.store.read { transaction throws(StoreError) in try look(at: sandbox, transaction) }
    }

    /// After each step.
    func step() {
        for machine in site.machines where machine.isOn && !machine.isAsleep {
            // A clock's reading may be a nanosecond or two beyond the moment that a timer was set for.
            let limit = machine.acknowledgedHard + .microseconds(1)
            for sandbox in machine.sandboxes where sandbox.isAlive && machine.clock.now > limit {
                world.violated(
                    .deadlineHolds,
                    "\(sandbox.backend) is alive on \(machine.name) though its drone's hard deadline was over "
                        + "\(machine.clock.now - machine.acknowledgedHard) ago")
            }
        }
    }

    private func look(at sandbox: Sandbox, _ transaction: any StoreTransaction) throws(StoreError) {
        guard let row = try transaction.backend(sandbox.backend) else {
            return world.violated(
                .processHasRow, "\(sandbox.backend) runs on \(sandbox.name) and the store does not know it")
        }
        if row.state.status == .terminated {
            world.violated(
                .processHasRow,
                "\(sandbox.backend) runs on \(sandbox.name) and the store has it terminated: "
                    + "\(row.state.endReason?.rawValue ?? "no reason"), \(row.state.message ?? "")")
        }
        if let holder = try transaction.holder(namespace: "", name: sandbox.key), holder.id != sandbox.backend {
            world.violated(
                .processHasRow, "\(sandbox.backend) runs on \(sandbox.name) and its key is held by \(holder.id)")
        }
    }

    // MARK: Store

    func watch(_ backend: BackendID) {
        guard seen[backend] == nil else { return }
        seen[backend] = Seen(lastConnect: world.now)
        watched.append(backend)
    }

    /// After each job. - Returns: what it changed, as a store that is shared tells its users.
    func look(_ transaction: any StoreTransaction) throws(StoreError) -> [StoreNotice] {
        var notices: [StoreNotice] = []
        for index in drones.indices {
            let row = try transaction.drone(drones[index].name)
            guard row != drones[index].row else { continue }
            if let old = drones[index].row, let session = old.session, row?.session != session {
                ended(session, of: drones[index].name, promises: old.backendCount)
            }
            if row?.controller != drones[index].row?.controller || row?.session != drones[index].row?.session {
                world.trace(
                    "store",
                    "\(drones[index].name): session \(row?.session?.description ?? "none"), "
                        + "\(row?.greeting.machine.text ?? "no machine") at \(row?.controller?.text.suffix(4) ?? "no controller")"
                )
            }
            drones[index].row = row
            notices.append(.drone(drones[index].name))
        }
        for key in site.keys {
            if let holder = try transaction.holder(namespace: "", name: key) { watch(holder.id) }
        }
        var live = 0
        for index in watched.indices {
            let id = watched[index]
            guard let row = try transaction.backend(id) else {
                world.violated(.acknowledgedIsKept, "\(id) was in the store and is not any more")
                continue
            }
            if look(at: row) { notices.append(.backend(id)) }
            if row.state.status != .terminated {
                watched[live] = id
                live += 1
            }
        }
        watched.removeLast(watched.count - live)
        for machine in site.machines {
            for sandbox in machine.sandboxes where sandbox.isRunning { try look(at: sandbox, transaction) }
        }
        return notices
    }

    private func look(at row: BackendRow) -> Bool {
        guard var old = seen[row.id] else { return false }
        let isChanged =
            old.status != row.state.status || old.connects != row.connects || old.revision != row.revision
        guard isChanged else { return false }
        if row.connects > old.connects { old.lastConnect = world.now }
        old.status = row.state.status
        old.connects = row.connects
        old.revision = row.revision
        if !old.isSwept, row.state.reason == .swept || row.desiredEnd?.reason == .swept {
            old.isSwept = true
            sweptAt(row, lastConnect: old.lastConnect)
        }
        seen[row.id] = old
        if row.state.status == .terminated {
            if row.state.endReason == nil { world.violated(.endsHaveReasons, "\(row.id) terminated without a reason") }
            world.trace(
                "store", "\(row.id) is terminated, \(row.state.endReason?.rawValue ?? "?"): \(row.state.message ?? "")")
        }
        return true
    }

    /// A backend ends because nobody used it: a connect was answered with it no later than its idle time ago.
    private func sweptAt(_ row: BackendRow, lastConnect: Int64) {
        guard let idle = row.spec.maxIdleSeconds, row.spec.lifetimeLimitSeconds == nil else { return }
        // Less what a clock may be fast.
        let passed = world.now - lastConnect
        if passed < Int64.seconds(idle) / 100 * 99 {
            world.violated(
                .promiseIsUsable,
                "\(row.id) is swept \(passed / 1_000_000) ms after a connect; it may be idle for \(idle) s")
        }
    }

    private func ended(_ session: SessionNumber, of drone: DroneName, promises: Int64) {
        world.counts.sessionsConcluded += 1
        world.trace("store", "session \(session) of \(drone) is over")
        // A session that promised nothing may end at any time: nothing can run under it.
        if promises == 0 { return }
        for machine in site.machines where machine.isOn && machine.drone == drone && machine.session == session.value {
            let left = machine.acknowledgedHard - machine.clock.now
            if left > .zero {
                world.violated(
                    .sessionEndsLate,
                    "session \(session) of \(drone) is ended while \(machine.name) has \(left) until its hard deadline")
            }
        }
    }

    // MARK: Connects

    func acknowledged(_ response: ConnectResponse, for user: String) {
        guard let backend = try? BackendID(response.backendID), let token = BearerToken(response.token) else {
            return world.violated(.acknowledgedIsKept, "a connect was answered with names that are none")
        }
        world.counts.connectsAcknowledged += 1
        let granted = Acknowledged(
            backend: backend, fencingToken: FencingToken(response.fencingToken), token: token, user: user)
        acknowledged.append(granted)
        watch(backend)
        world.after(.milliseconds(300)) { [self] in
            site.store.read { transaction throws(StoreError) in try find(granted, transaction) }
        }
    }

    func revocationBegins(of user: String, on backend: BackendID) {
        revocations.insert(Revoked(user: user, backend: backend))
    }

    private func find(_ granted: Acknowledged, _ transaction: any StoreTransaction) throws(StoreError) {
        guard let row = try transaction.backend(granted.backend), row.fencingToken == granted.fencingToken else {
            return world.violated(
                .acknowledgedIsKept,
                "\(granted.backend) with fencing token \(granted.fencingToken) was answered and is not in the store")
        }
        if revocations.contains(Revoked(user: granted.user, backend: granted.backend)) { return }
        if try transaction.route(granted.token)?.backend.id != row.id {
            world.violated(.acknowledgedIsKept, "a token of \(granted.backend) was answered and is not in the store")
        }
    }

    /// At the end: everything that was ever answered.
    func findAll() {
        site.store.read { transaction throws(StoreError) in
            for granted in acknowledged { try find(granted, transaction) }
        }
    }

    /// The last connects that were granted.
    func latest(_ count: Int) -> [Acknowledged] { Array(acknowledged.suffix(count)) }

    /// In the calm: what the store says is revoked leads nowhere on any drone. - Returns: a token that does.
    func revokedRoute() -> String? {
        guard !revocations.isEmpty else { return nil }
        var found: String?
        site.store.read { transaction throws(StoreError) in
            for granted in acknowledged
            where revocations.contains(Revoked(user: granted.user, backend: granted.backend)) {
                guard try transaction.route(granted.token) == nil else { continue }
                for machine in site.machines where machine.droneHost?.proxy.leads(granted.token.text) == true {
                    found = "a revoked token of \(granted.backend) still leads there on \(machine.drone)"
                }
            }
        }
        return found
    }

    // MARK: Proxy

    /// A drone's proxy passes something on to a backend.
    func relayed(_ backend: String, on machine: Machine) {
        if machine.clock.now >= machine.acknowledgedHard {
            world.violated(.nothingRelayedLate, "\(backend): something is relayed after the lease is over")
        }
        site.store.read { transaction throws(StoreError) in
            guard let id = try? BackendID(backend), let row = try transaction.backend(id),
                row.state.status != .terminated
            else {
                return world.violated(
                    .nothingRelayedLate, "\(backend): something is relayed though the store has it terminated")
            }
        }
    }
}

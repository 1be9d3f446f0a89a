import HTTP
import Linux
import Model
import Store

/// The controller's parts and the requests that need no part of their own. Everything happens on one loop's thread.
///
/// **Promises.** A connect is answered only after what it says is durable and its drone has been sent the order and the
/// token. States are published only after they are durable. A drone is given up only when `SessionTable` says so.
final class Controller {
    let configuration: ControllerConfiguration
    let loop: EventLoop
    let store: LoopStore
    /// `co-` and 14 random characters, new with each start.
    let name: String
    var sessions: SessionTable
    var traffic = TrafficTable()
    private(set) lazy var links = DroneLinks(self)
    private(set) lazy var connects = ConnectDesk(self)
    private(set) lazy var streams = StatusStreams(self)

    init(_ configuration: ControllerConfiguration, loop: EventLoop, store: LoopStore, known: [DroneName]) {
        self.configuration = configuration
        self.loop = loop
        self.store = store
        name = "co-" + RandomName.fresh()
        sessions = SessionTable(lease: configuration.lease, known: known, now: .now)
    }

    /// Starts what happens by itself.
    func start() {
        watchSessions()
        cleanUp()
    }

    // MARK: Sessions

    private func watchSessions() {
        // Late by at most a second, which costs nothing but that second: what is decided is decided by the time.
        let interval = min(Duration.seconds(1), .milliseconds(configuration.lease.expiryMilliseconds / 10))
        loop.schedule(after: interval) { [weak self] in
            self?.expireSessions()
            self?.watchSessions()
        }
    }

    /// Gives up the drones whose time is over.
    func expireSessions() {
        for expired in sessions.expire(now: .now) {
            Log.write(.error, "drone-lost", ["drone": expired.name.text])
            if let link = expired.link { links.close(link, "the session's lease is over") }
            conclude(expired.name)
        }
    }

    /// A drone holds no lease any more: what it ran is lost, and the keys are free.
    func conclude(_ drone: DroneName) {
        store.perform({ store throws(StoreError) -> [HelloJob.Line] in
            var lines: [HelloJob.Line] = []
            for row in try store.liveBackends(on: drone) {
                let state = BackendState(
                    .terminated, reason: .lost, message: "Its drone \(drone) did not renew its lease in time.")
                if case .recorded(let line) = try store.record(state, of: row.id) {
                    lines.append(HelloJob.Line(backend: row.id, row: line))
                }
            }
            return lines
        }) { [weak self] result in
            switch result {
            case .success(let lines): for line in lines { self?.published(line.row, of: line.backend) }
            case .failure(let error):
                Log.write(.error, "loss-not-recorded", ["drone": drone.text, "reason": error.description])
                // The keys stay held until it is: try again.
                self?.loop.schedule(after: .seconds(1)) { [weak self] in
                    if self?.sessions.holdsLease(drone) == false { self?.conclude(drone) }
                }
            }
        }
    }

    /// A state is durable: those who wait for it hear of it.
    func published(_ line: HistoryRow, of backend: BackendID) {
        streams.publish(line, of: backend)
        if line.state.status == .terminated {
            Log.write(
                .info, "terminated",
                [
                    "backend": backend.text, "reason": line.state.endReason?.rawValue ?? "none",
                    "message": line.state.message ?? "",
                ])
            connects.ended(backend)
            traffic.ended(backend)
        }
    }

    // MARK: Cleaning

    private func cleanUp() {
        loop.schedule(after: ControllerConfiguration.cleaningInterval) { [weak self] in self?.clean() }
    }

    /// Deletes what is over, one bounded batch per job, until a batch is not full.
    private func clean() {
        let limit = ControllerConfiguration.cleaningBatch
        let linked = sessions.linked.map(\.name)
        store.perform({ store throws(StoreError) -> Bool in
            let now = store.nowMilliseconds
            let keptSince = now - ControllerConfiguration.endedKeptMilliseconds
            try store.seen(linked)
            let tokens = try store.deleteTokens(expiredBefore: now, limit: limit)
            let backends = try store.deleteBackends(terminatedBefore: keptSince, limit: limit)
            let drones = try store.deleteDrones(seenBefore: keptSince, limit: limit)
            return [tokens, backends, drones].contains(limit)
        }) { [weak self] result in
            switch result {
            case .success(true): self?.clean()
            case .success(false): self?.cleanUp()
            case .failure(let error):
                Log.write(.error, "cleaning-failed", ["reason": error.description])
                self?.cleanUp()
            }
        }
    }
}

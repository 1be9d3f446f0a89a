import HTTP
import Linux
package import Model
package import Store

/// The controller's parts, and all that can be asked of it. Everything happens on one thread, that of its clock.
///
/// **Promises.** A connect is answered only after what it says is durable, and after its drone has been sent the order and
/// the token if it is linked here. States are published only after they are durable. A drone is given up only when
/// `SessionTable` says so and the store agrees.
///
/// **How it is used.** `start()`, then `connect`, `terminate`, `drain`, `undrain` and `revoke` as they are asked for. Whoever
/// makes the drones' connections calls `linkOpened`, then `linkReceived` for each message in order, then `linkClosed` once,
/// also after the controller itself closed it. `noticed` passes on what a shared store says. A controller that is dropped
/// without `stop()` has crashed: no callback reaches it any more.
package final class Controller {
    package let configuration: ControllerConfiguration
    /// `co-` and 14 random characters, new with each start.
    package let name: ControllerName
    /// Deliberate defects, for the simulator's test. Set before `start()`.
    package var defects: ProtocolDefects = [] {
        didSet { sessions.defects = defects }
    }

    package let store: any ControllerStore
    let clock: any LoopClock
    let random: (Int) -> [UInt8]
    let log: (Log.Level, String, KeyValuePairs<String, String>) -> Void
    let sharing: SessionTable.Sharing
    package internal(set) var sessions: SessionTable
    var traffic = TrafficTable()
    private(set) lazy var links = DroneLinks(self)
    private(set) lazy var orders = DroneOrders(self)
    private(set) lazy var connects = ConnectDesk(self)
    private(set) lazy var streams = StatusStreams(self)
    private(set) lazy var watch = StoreWatch(self)
    private(set) lazy var drains = DrainDeadlines(self)
    private lazy var upkeep = Upkeep(self)
    private var stage = Stage.running

    private enum Stage { case running, stopped }

    /// - Parameters:
    ///   - configuration: what it is told; addresses and files are others' business.
    ///   - ports: all that it touches.
    ///   - name: nil draws one.
    package init(_ configuration: ControllerConfiguration, ports: ControllerPorts, name: ControllerName? = nil) {
        self.configuration = configuration
        clock = ports.clock
        store = ports.store
        random = ports.random
        log = ports.log
        let name = name ?? ControllerName(random: ports.random(14))
        self.name = name
        sharing = ports.store.isShared ? .shared : .exclusive
        sessions = SessionTable(lease: configuration.lease, name: name, sharing: sharing)
    }

    /// Starts what happens by itself. Requests are taken from now on: their jobs come after the reading of the rows.
    package func start() {
        watch.start()
        watchSessions()
        upkeep.start()
        streams.start()
    }

    /// Stops what happens by itself, and says in the store that this controller is gone.
    /// - Parameter whenDone: called when that was tried.
    package func stop(whenDone: @escaping () -> Void = {}) {
        stage = .stopped
        let name = name
        store.perform({ store throws(StoreError) in try store.leave(name) }) { [weak self] result in
            if case .failure(let error) = result {
                self?.log(.warn, "not-left", ["reason": error.description])
            }
            whenDone()
        }
    }

    // MARK: Drones' links

    /// A drone's connection is open.
    /// - Parameters:
    ///   - cluster: of the address that it came to.
    ///   - owner: the drone whose secret it showed; nil where none is asked for.
    package func linkOpened(_ cluster: ClusterName, _ socket: any DroneSocket, owner: DroneName? = nil) -> LinkID {
        links.opened(cluster, socket, owner: owner)
    }

    /// A message came. One of a link that is closed is ignored.
    package func linkReceived(_ link: LinkID, _ message: DroneMessage) { links.received(link, message) }

    /// Something came that is no message of the link.
    package func linkBroken(_ link: LinkID) { links.close(link, "a frame is not a message of the drone link") }

    /// The connection is gone, whoever ended it.
    package func linkClosed(_ link: LinkID, reason: String) { links.closed(link, reason) }

    /// Another user of a shared store changed something.
    package func noticed(_ notices: [StoreNotice]) { watch.noticed(notices) }

    // MARK: Requests

    /// Answers a connect, in time.
    package func connect(_ request: ConnectRequest, _ caller: any ConnectCaller) { connects.connect(request, caller) }

    /// Asks for the end of a backend. Asked for, not done: the drone is told, now or when it returns, and reports when it
    /// is so.
    package func terminate(
        _ id: BackendID, _ kind: TerminationKind, then: @escaping (Result<EndRequest, StoreError>) -> Void
    ) {
        store.perform({ store throws(StoreError) in
            try store.requestEnd(of: id, DesiredEnd(kind: kind, reason: .external))
        }) { [weak self] result in
            switch result {
            case .failure: self?.orders.doubt()
            case .success(.requested(let row)):
                self?.log(.info, "termination-requested", ["backend": id.text, "kind": kind.rawValue])
                self?.orders.ends(row)
            case .success(.alreadyTerminated), .success(.unknownBackend): break
            }
            then(result)
        }
    }

    /// Revokes a user's tokens for a backend: they lead nowhere any more, and their open connections are cut.
    /// - Parameter then: gets nil for an unknown backend.
    package func revoke(
        _ user: String, of backend: BackendID, then: @escaping (Result<Revocation?, StoreError>) -> Void
    ) {
        store.perform({ store throws(StoreError) in try store.revoke(user, of: backend) }) { [weak self] result in
            switch result {
            case .failure: self?.orders.doubt()
            case .success(nil): break
            case .success(let revocation?):
                self?.log(
                    .info, "revoked", ["backend": backend.text, "tokens": "\(revocation.tokens.count)"])
                self?.orders.revoked(revocation)
            }
            then(result)
        }
    }

    // MARK: Sessions

    private func watchSessions() {
        // Late by at most a second, which costs nothing but that second: what is decided is decided by the time.
        let interval = min(Duration.seconds(1), .milliseconds(configuration.lease.expiryMilliseconds / 10))
        after(interval) { [weak self] in
            self?.expireSessions()
            self?.watchSessions()
        }
    }

    /// Gives up the drones whose time is over: what they ran is lost, and the keys are free.
    func expireSessions() {
        for over in sessions.expire(now: clock.now) { conclude(over) }
    }

    private func conclude(_ over: SessionTable.Over) {
        let job = ConcludeJob(over: over, defects: defects)
        store.perform({ store throws(StoreError) in try job.run(store) }) { [weak self] result in
            guard let self else { return }
            switch result {
            case .success(let lines?):
                log(
                    .error, "drone-lost",
                    ["drone": over.drone.text, "session": over.session.description, "backends": "\(lines.count)"])
                if let link = sessions.ended(over) { links.close(link, "the session's lease is over") }
                for line in lines { published(line) }
            case .success(nil):
                sessions.isNotAsSeen(over, now: clock.now)
                watch.refresh {}
            case .failure(let error):
                // The keys stay held until it is recorded: it is tried again.
                log(.error, "loss-not-recorded", ["drone": over.drone.text, "reason": error.description])
                sessions.endFailed(over)
            }
        }
    }

    /// A state is durable: those who wait for it hear of it.
    func published(_ line: HistoryLine) {
        streams.publish(line.row, of: line.backend)
        connects.reached(line.row.state, line.backend)
        guard line.row.state.status == .terminated else { return }
        traffic.ended(line.backend)
        log(
            .info, "terminated",
            [
                "backend": line.backend.text, "reason": line.row.state.endReason?.rawValue ?? "none",
                "message": line.row.state.message ?? "",
            ])
    }

    // MARK: Time

    /// Calls the work later, unless the controller has stopped by then.
    @discardableResult
    func after(_ time: Duration, _ work: @escaping () -> Void) -> TimerToken {
        clock.schedule(after: time) { [weak self] in
            if let self, stage == .running { work() }
        }
    }

    /// Calls the work in a second: what failed is tried again.
    func later(_ work: @escaping () -> Void) { after(.seconds(1), work) }
}

import HTTP
import Linux
import Model
import Proxy
import WardenProtocol

/// A drone: what its warden, its controller and its proxy tell it, brought together. All on one loop's thread.
///
/// It decides little itself: a backend's life is `BackendLifecycle`'s, the lease `SessionLease`'s, tokens `RouteBook`'s.
/// It keeps nothing on disk: what runs it reads back from the warden, what is wanted from the controller.
final class Drone {
    /// Where the drone is in its own life.
    enum Stage {
        /// The warden has not answered yet; by then it must have.
        case starting(until: BootInstant)
        case running
        /// Backends are being ended; then this is called.
        case stopping(whenDone: () -> Void)
        case stopped
    }

    /// Whether the controller has answered the hello of the present connection.
    enum Welcome {
        case awaited
        case received
    }

    let configuration: DroneConfiguration
    let loop: EventLoop
    let proxy: ProxyPort
    let log: DroneLog
    var stage: Stage
    var lease = SessionLease()
    var leaseTimer: TimerToken?
    var routes = RouteBook()
    var backends: [BackendID: HostedBackend] = [:]
    /// Backends that were here and are over: an order that comes twice must not start them again.
    var forgotten = RecentIDs(capacity: 4096)
    var offers: [ImageName: ImageOffer] = [:]
    var welcome = Welcome.awaited
    var lastTrouble = ""
    private(set) var warden: WardenClient!
    private(set) var link: ControllerLink!
    private let session = CurrentProcess.randomBytes(8).map { String($0, radix: 16) }.joined()
    private let onRefusal: (DroneRefusal) -> Void
    private var sampler: TimerToken?

    /// How long a warden that is being started may take.
    static let wardenStartLimit = Duration.seconds(10)
    /// How often an unsaved state is told again.
    static let reportAgainAfter = Duration.seconds(3)

    /// Nothing happens before `start`.
    /// - Parameter onRefusal: called at most once, when the drone cannot start after all.
    init(
        _ configuration: DroneConfiguration, loop: EventLoop, proxy: ProxyPort, log: DroneLog,
        onRefusal: @escaping (DroneRefusal) -> Void
    ) {
        self.configuration = configuration
        self.loop = loop
        self.proxy = proxy
        self.log = log
        self.onRefusal = onRefusal
        stage = .starting(until: .now + Self.wardenStartLimit)
        warden = WardenClient(loop: loop, path: configuration.wardenSocketPath) { [unowned self] in take($0) }
        link = ControllerLink(
            loop: loop, controller: configuration.controllerURL, cluster: configuration.cluster,
            pool: configuration.pool
        ) { [unowned self] in take($0) }
    }

    /// Connects to the warden, then to the controller.
    func start() {
        warden.start()
        sample()
    }

    /// Ends it. - Parameter whenDone: called once, after the backends have ended where that is asked for.
    func stop(_ policy: DroneConfiguration.StopPolicy, whenDone: @escaping () -> Void) {
        switch policy {
        case .keepBackends:
            close()
            loop.post(whenDone)
        case .stopBackends:
            stage = .stopping(whenDone: whenDone)
            for backend in Array(backends.values) {
                terminate(backend, .hard, .external, message: "Its drone was stopped.")
            }
            loop.schedule(after: .seconds(10)) { [weak self] in self?.finishStopping() }
            stopIfAllEnded()
        }
    }

    /// Ends all connections and timers.
    func close() {
        stage = .stopped
        link.stop()
        warden.stop()
        for backend in backends.values { release(backend) }
        for timer in [sampler, leaseTimer] { if let timer { loop.cancel(timer) } }
    }

    func refuse(_ refusal: DroneRefusal) {
        close()
        onRefusal(refusal)
    }

    /// What the controller is told first.
    var hello: DroneHello {
        DroneHello(
            name: configuration.name.text, version: configuration.version, cluster: configuration.cluster.text,
            pool: configuration.pool, session: session,
            images: offers.values.map { OfferedImage(name: $0.image.text, ceilings: $0.ceilings) }
                .sorted { $0.name < $1.name },
            backends: backends.values.map(\.report).sorted { $0.backend < $1.backend })
    }

    /// Says the same trouble once, however often it is met.
    func logTrouble(_ text: String) {
        guard text != lastTrouble else { return }
        lastTrouble = text
        log.write(text)
    }

    // MARK: Stopping

    func stopIfAllEnded() {
        guard case .stopping = stage, backends.values.allSatisfy({ $0.lifecycle.status == .terminated }) else { return }
        // What ended should be known there before the connection goes; without one nobody waits for it.
        if welcome == .received, backends.values.contains(where: { $0.lifecycle.unsavedState != nil }) { return }
        finishStopping()
    }

    private func finishStopping() {
        guard case .stopping(let whenDone) = stage else { return }
        close()
        loop.post(whenDone)
    }

    // MARK: Every second

    private func sample() {
        let now = BootInstant.now
        for backend in Array(backends.values) {
            backend.idle.sample(active: backend.activity.active, started: backend.activity.started, now: now)
            sweepIfIdle(backend, now: now)
            if welcome == .received, now - backend.reportedAt >= Self.reportAgainAfter {
                tellUnsaved(backend, now: now)
            }
            askOwedSockets(backend)
        }
        tellTraffic()
        sampler = loop.schedule(after: .seconds(1)) { [weak self] in self?.sample() }
    }

    /// Asks the controller, which alone knows whether it is just now answering a connect with this backend.
    private func sweepIfIdle(_ backend: HostedBackend, now: BootInstant) {
        // Without a controller nobody is sent here, and before long the lease ends the backend.
        guard welcome == .received, backend.lifecycle.status == .ready, let limit = backend.maxIdle,
            backend.idle.isIdle(for: limit, now: now)
        else { return }
        if let asked = backend.sweepAskedAt, now - asked < Self.reportAgainAfter { return }
        backend.sweepAskedAt = now
        link.send(.sweep(backend: backend.id.text, connects: backend.connects))
    }

    /// Tells what the proxy did for each backend, where that has changed.
    private func tellTraffic() {
        guard welcome == .received else { return }
        let changed = backends.values.compactMap { backend -> BackendTraffic? in
            let traffic = BackendTraffic(backend.activity, of: backend.id)
            guard traffic != backend.toldTraffic else { return nil }
            backend.toldTraffic = traffic
            return traffic
        }
        if !changed.isEmpty { link.send(.traffic(changed)) }
    }

    func tellUnsaved(_ backend: HostedBackend, now: BootInstant) {
        guard let state = backend.lifecycle.unsavedState else { return }
        backend.reportedAt = now
        link.send(.state(backend: backend.id.text, state: state))
    }
}

extension BackendTraffic {
    /// What the proxy's counters say now.
    init(_ activity: BackendActivity, of backend: BackendID) {
        self.init(
            backend: backend.text, connections: Int64(activity.active), requests: Int64(clamping: activity.started),
            bytesSpliced: Int64(clamping: activity.bytesSpliced), bytesCopied: Int64(clamping: activity.bytesCopied))
    }
}

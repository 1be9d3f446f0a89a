import HTTP
import Linux
package import Model
import Proxy
import WardenProtocol

/// A drone: what its warden, its controller and its proxy tell it, brought together. All on one thread.
///
/// It decides little itself: a backend's life is `BackendLifecycle`'s, the lease `SessionLease`'s, tokens `RouteBook`'s.
/// It keeps nothing on disk: what runs it reads back from the warden, what is wanted from the controller. It touches nothing
/// but its ports, and what it does in which order depends on nothing but what they tell.
package final class Drone {
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
    let clock: any LoopClock
    let proxy: ProxyPort
    let ports: DronePorts
    /// Deliberate defects, for the simulator alone.
    package var defects: ProtocolDefects = [] {
        didSet { lease.defects = defects }
    }
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
    /// The session that the last welcome named; nil before the first.
    var session: SessionNumber?
    /// Whose sandboxes the warden speaks for; nil before it has answered.
    var machine: MachineIdentity?
    private(set) var warden: (any WardenPort)!
    private(set) var link: (any LinkPort)!
    /// Random, new with each start.
    private let process: String
    private let onRefusal: (DroneRefusal) -> Void
    private var sampler: TimerToken?

    /// How long a warden that is being started may take.
    static let wardenStartLimit = Duration.seconds(10)
    /// How often an unsaved state is told again.
    static let reportAgainAfter = Duration.seconds(3)

    /// Nothing happens before `start`.
    /// - Parameter onRefusal: called at most once, when the drone cannot start after all.
    package init(
        _ configuration: DroneConfiguration, ports: DronePorts, onRefusal: @escaping (DroneRefusal) -> Void
    ) {
        self.configuration = configuration
        self.ports = ports
        clock = ports.clock
        proxy = ports.proxy
        self.onRefusal = onRefusal
        process = ports.random(8).map { String($0, radix: 16) }.joined()
        stage = .starting(until: clock.now + Self.wardenStartLimit)
        warden = ports.warden { [unowned self] in take($0) }
        link = ports.link { [unowned self] in take($0) }
    }

    /// Every backend, in an order that only depends on their ids.
    var hosted: [HostedBackend] { backends.values.sorted { $0.id.text < $1.id.text } }

    /// Whether the present connection's controller has answered the hello.
    package var isWelcomed: Bool { welcome == .received }

    func log(_ line: String) { ports.log(line) }

    /// Connects to the warden, then to the controller.
    package func start() {
        warden.start()
        sample()
    }

    /// Ends it. - Parameter whenDone: called once, after the backends have ended where that is asked for.
    package func stop(_ policy: DroneConfiguration.StopPolicy, whenDone: @escaping () -> Void) {
        switch policy {
        case .keepBackends:
            close()
            clock.post(whenDone)
        case .stopBackends:
            stage = .stopping(whenDone: whenDone)
            for backend in hosted {
                terminate(backend, .hard, .external, message: "Its drone was stopped.")
            }
            clock.schedule(after: .seconds(10)) { [weak self] in self?.finishStopping() }
            stopIfAllEnded()
        }
    }

    /// Ends all connections and timers.
    package func close() {
        stage = .stopped
        link.stop()
        warden.stop()
        for backend in hosted { release(backend) }
        for timer in [sampler, leaseTimer] { if let timer { clock.cancel(timer) } }
    }

    func refuse(_ refusal: DroneRefusal) {
        close()
        onRefusal(refusal)
    }

    /// What the controller is told first.
    var hello: DroneHello {
        DroneHello(
            name: configuration.name.text, version: configuration.version, cluster: configuration.cluster.text,
            pool: configuration.pool, process: process, machine: machine?.text ?? "", capacity: configuration.capacity,
            images: offers.values.map { OfferedImage(name: $0.image.text, ceilings: $0.ceilings) }
                .sorted { $0.name < $1.name },
            backends: hosted.map(\.report))
    }

    /// Says the same trouble once, however often it is met.
    func logTrouble(_ text: String) {
        guard text != lastTrouble else { return }
        lastTrouble = text
        log(text)
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
        clock.post(whenDone)
    }

    // MARK: Every second

    private func sample() {
        let now = clock.now
        for backend in hosted {
            backend.idle.sample(active: backend.activity.active, started: backend.activity.started, now: now)
            sweepIfIdle(backend, now: now)
            if welcome == .received, now - backend.reportedAt >= Self.reportAgainAfter {
                tellUnsaved(backend, now: now)
            }
            askOwedSockets(backend)
        }
        tellTraffic()
        sampler = clock.schedule(after: .seconds(1)) { [weak self] in self?.sample() }
    }

    /// Asks the controller, which alone knows whether it is just now answering a connect with this backend.
    private func sweepIfIdle(_ backend: HostedBackend, now: BootInstant) {
        // Without a controller nobody is sent here, and before long the lease ends the backend.
        guard welcome == .received, backend.lifecycle.status == .ready, let limit = backend.maxIdle,
            backend.idle.isIdle(for: limit, now: now)
        else { return }
        if let asked = backend.sweepAskedAt, now - asked < Self.reportAgainAfter { return }
        backend.sweepAskedAt = now
        if defects.contains(.sweepUnasked) { return terminate(backend, .soft, .swept, message: "Nobody used it.") }
        link.send(.sweep(backend: backend.id.text, connects: backend.connects))
    }

    /// Tells what the proxy did for each backend, where that has changed.
    private func tellTraffic() {
        guard welcome == .received else { return }
        let changed = hosted.compactMap { backend -> BackendTraffic? in
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
        link.send(.state(backend: backend.id.text, fencingToken: backend.fencingToken.value, state: state))
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

import HTTP
import Linux
import Model
import SimulatedStore
import Store

@testable import Controller

/// Controllers under a virtual clock, on one database in memory; the test is their drones and their callers.
final class VirtualSite {
    let clock = VirtualClock()
    let sharing: SessionTable.Sharing
    let lease: LeaseTimes
    private let database: MemoryDatabase
    private var random = SeededGenerator(seed: 11)

    init(_ sharing: SessionTable.Sharing, lease: LeaseTimes = .standard) {
        self.sharing = sharing
        self.lease = lease
        database = MemoryDatabase(clock: { [clock] in clock.milliseconds })
    }

    /// Starts a controller.
    func controller(_ defects: ProtocolDefects = []) -> VirtualController {
        let controller = VirtualController(self, VirtualStore(database, clock, sharing: sharing), defects)
        clock.settle()
        return controller
    }

    func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) } }
}

/// One of them.
final class VirtualController {
    let site: VirtualSite
    let store: VirtualStore
    let core: Controller

    init(_ site: VirtualSite, _ store: VirtualStore, _ defects: ProtocolDefects) {
        self.site = site
        self.store = store
        var configuration = ControllerConfiguration(
            address: .loopback(0), controllerURL: "http://controller.test", database: .sqlite(path: "none"),
            version: "1")
        configuration.defaultCluster = Values.cluster()
        configuration.lease = site.lease
        core = Controller(
            configuration,
            ports: ControllerPorts(
                clock: site.clock, store: store, random: { [unowned site] in site.bytes($0) }, log: { _, _, _ in }))
        core.defects = defects
        core.start()
    }

    /// Connects a drone and lets it say hello.
    func drone(
        _ name: String = "dr-1", machine: String = "m1", capacity: ResourceAmount = .unbounded,
        backends: [BackendReport] = []
    ) -> VirtualDrone {
        let drone = VirtualDrone(self, name)
        drone.say(
            .hello(
                DroneHello(
                    name: name, version: "1", cluster: Values.cluster().text, pool: "", process: "p", machine: machine,
                    capacity: capacity, images: [OfferedImage(name: "python-repl", ceilings: Values.ceilings)],
                    backends: backends)))
        site.clock.settle()
        return drone
    }

    /// Connects to a key, ready to start a backend for it.
    @discardableResult
    func connect(_ key: String = "k", wait: ConnectRequest.Wait = .none, user: String? = nil) -> VirtualCaller {
        connect(ConnectRequest(key: Values.key(key), spawn: Values.spawn(), user: user, wait: wait))
    }

    @discardableResult
    func connect(_ request: ConnectRequest) -> VirtualCaller {
        let caller = VirtualCaller()
        core.connect(request, caller)
        site.clock.settle()
        return caller
    }

    func terminate(_ backend: BackendID, _ kind: TerminationKind = .soft) {
        core.terminate(backend, kind) { _ in }
        site.clock.settle()
    }

    /// A backend's row.
    func row(_ backend: BackendID) throws -> BackendRow? {
        try store.now { store throws(StoreError) in try store.backend(backend) }
    }
}

/// A drone as its controller sees it.
final class VirtualDrone: DroneSocket {
    private let controller: VirtualController
    private var link: LinkID?
    let name: DroneName
    private(set) var messages: [ControllerMessage] = []
    private(set) var closeReason: String?
    private var sequence: Int64 = 0

    init(_ controller: VirtualController, _ name: String) {
        self.controller = controller
        self.name = Values.drone(name)
        link = controller.core.linkOpened(Values.cluster(), self)
    }

    func send(_ message: ControllerMessage) { messages.append(message) }

    func close(_ reason: String) {
        closeReason = reason
        controller.site.clock.post { [weak self] in self?.vanish() }
    }

    func say(_ message: DroneMessage) {
        if let link { controller.core.linkReceived(link, message) }
        controller.site.clock.settle()
    }

    /// The connection is lost.
    func vanish() {
        if let link { controller.core.linkClosed(link, reason: "lost") }
        link = nil
        controller.site.clock.settle()
    }

    /// Says that a backend has come to a state.
    func report(_ backend: BackendRow, _ state: BackendState) {
        say(.state(backend: backend.id.text, fencingToken: backend.fencingToken.value, state: state))
    }

    /// Asks for another lease. - Returns: whether it was granted at once.
    @discardableResult
    func renew() -> Bool {
        sequence += 1
        say(.renew(sequence: sequence))
        return messages.contains(.renewed(sequence: sequence))
    }

    /// Renews as often as it should for some time.
    func live(for time: Duration) {
        let end = controller.site.clock.now + time
        while controller.site.clock.now < end {
            controller.site.clock.advance(by: .seconds(5))
            renew()
        }
    }

    // What it was told.

    var session: Int64? { welcomes.last?.session }
    var kept: [String]? { welcomes.last?.kept }
    var orders: [SpawnOrder] { picked { if case .spawn(let order) = $0 { order } else { nil } } }
    var ends: [String] { picked { if case .terminate(let backend, _, _) = $0 { backend } else { nil } } }
    var revoked: [String] { picked { if case .revoke(let tokens) = $0 { tokens } else { nil } }.flatMap(\.self) }
    var routes: [String] { picked { if case .route(let grant) = $0 { grant.token } else { nil } } }

    private var welcomes: [(session: Int64, kept: [String])] {
        picked { if case .welcome(_, let session, _, let kept) = $0 { (session, kept) } else { nil } }
    }

    private func picked<Value>(_ pick: (ControllerMessage) -> Value?) -> [Value] { messages.compactMap(pick) }
}

/// Whoever connects.
final class VirtualCaller: ConnectCaller {
    var isGone = false
    private(set) var response: ConnectResponse?
    private(set) var failure: Failure?

    func answer(_ response: ConnectResponse) { self.response = response }
    func refuse(_ failure: Failure) { self.failure = failure }

    /// Whether it has its answer.
    var isAnswered: Bool { response != nil || failure != nil }
    /// The backend that it got.
    var backend: BackendID? { response.flatMap { try? BackendID($0.backendID) } }
}

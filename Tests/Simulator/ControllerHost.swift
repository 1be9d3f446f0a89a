import Controller
import HTTP
import Linux
import Model
import Store

/// One controller: the process that runs now, if any, and those after it.
final class ControllerHost {
    let index: Int
    private(set) var process: SimulatedProcess?
    private(set) var controller: Controller?
    var isStoreUnreachable = false
    private unowned let site: Site
    private let clock: MachineClock
    private var world: World { site.world }

    init(_ site: Site, index: Int) {
        self.site = site
        self.index = index
        clock = MachineClock(site.world, driftPPM: Machine.drawDrift(site.world))
    }

    var name: String { "controller \(index)" }

    func start() {
        guard process == nil else { return }
        world.trace(name, "starts")
        let process = SimulatedProcess(world, name, clock)
        let world = world
        let ports = ControllerPorts(
            clock: process, store: StoreDoor(site, self, process), random: { world.random.bytes($0) },
            log: { [name] level, event, fields in
                world.trace(name, "\(event) \(fields.map { "\($0.key)=\($0.value)" }.joined(separator: " "))")
            })
        let made = Controller(site.controllerConfiguration, ports: ports)
        made.defects = world.defects
        self.process = process
        controller = made
        process.deliver { made.start() }
    }

    func crash() {
        guard let process else { return }
        world.trace(name, "is killed")
        process.die()
        site.network.processDied(process)
        self.process = nil
        controller = nil
    }

    /// Told to stop: it says so in the store, and then only waits for its end.
    func leave() {
        guard let process, let controller else { return }
        world.trace(name, "is told to stop")
        process.deliver { controller.stop() }
    }

    /// A drone's connection has come.
    func opened(_ connection: LinkConnection) {
        guard let controller else { return }
        let link = controller.linkOpened(site.cluster, SimulatedSocket(connection))
        connection.listenAtController {
            controller.linkReceived(link, $0)
        } onClosed: {
            controller.linkClosed(link, reason: $0)
        }
    }

    // MARK: Requests

    func noticed(_ notices: [StoreNotice]) {
        guard let controller else { return }
        process?.deliver { controller.noticed(notices) }
    }

    /// Sends a request to the process that runs now, if there is one.
    private func request(_ work: @escaping (Controller) -> Void) {
        guard let process, let controller else { return }
        world.after(site.network.delay()) { process.deliver { work(controller) } }
    }

    func connect(_ request: ConnectRequest, _ call: ConnectCall) {
        guard let process, let controller else { return call.fail() }
        world.after(site.network.delay()) {
            process.deliver {
                call.hasArrived(at: process)
                controller.connect(request, call)
            }
        }
    }

    func terminate(_ backend: BackendID, _ kind: TerminationKind) {
        request({ $0.terminate(backend, kind) { _ in } })
    }

    func revoke(_ user: String, _ backend: BackendID) {
        let world = world
        request({ controller in
            controller.revoke(user, of: backend) { result in
                if case .success(let revocation?) = result { world.counts.tokensRevoked += revocation.tokens.count }
            }
        })
    }

    func drain(_ drone: DroneName, _ drain: Controller.Drain) {
        let cluster = site.cluster
        request({ $0.drain(drone, in: cluster, drain) { _ in } })
    }

    func undrain(_ drone: DroneName) {
        let cluster = site.cluster
        request({ $0.undrain(drone, in: cluster) { _ in } })
    }

    func tearDown() {
        process?.die()
        process = nil
        controller = nil
    }
}

/// A drone's connection as its controller sends on it.
private final class SimulatedSocket: DroneSocket {
    private let connection: LinkConnection

    init(_ connection: LinkConnection) { self.connection = connection }

    func send(_ message: ControllerMessage) { connection.sendToDrone(message) }

    func close(_ reason: String) { connection.closeByController(reason) }
}

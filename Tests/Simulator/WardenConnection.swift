import Drone
import HTTP
import Linux
import Model
import WardenProtocol

/// One connection of the Unix socket between a drone and its warden: in order, quick, and gone with either end.
final class WardenConnection {
    private let world: World
    private let drone: SimulatedProcess
    private let warden: WardenHost
    private(set) var isOpen = true
    private var lastToWarden: Int64 = 0
    private var lastToDrone: Int64 = 0
    /// What the drone's end is told; nil tells that it is closed.
    var onEvent: ((WardenEvent?) -> Void)?

    init(_ world: World, drone: SimulatedProcess, warden: WardenHost) {
        self.world = world
        self.drone = drone
        self.warden = warden
    }

    private func delay() -> Int64 { world.random.draw(50_000...600_000) }

    /// Connects; the warden answers with what it is and has.
    func connect() {
        lastToWarden = world.now + delay()
        world.at(lastToWarden) { [self] in warden.process.deliver { [self] in if isOpen { warden.accept(self) } } }
    }

    func sendToWarden(_ request: WardenRequest) {
        guard isOpen else { return }
        lastToWarden = max(lastToWarden, world.now + delay())
        world.at(lastToWarden) { [self] in
            warden.process.deliver { [self] in if isOpen { warden.take(request, from: self) } }
        }
    }

    func sendToDrone(_ event: WardenEvent) {
        guard isOpen else { return }
        lastToDrone = max(lastToDrone, world.now + delay())
        world.at(lastToDrone) { [self] in drone.deliver { [self] in onEvent?(event) } }
    }

    /// Either end is gone or lets go.
    func close() {
        guard isOpen else { return }
        isOpen = false
        lastToDrone = max(lastToDrone, world.now + delay())
        world.at(lastToDrone) { [self] in drone.deliver { [self] in onEvent?(nil) } }
    }
}

/// The drone's end of it, made again whenever it is lost.
final class SimulatedWardenPort: WardenPort {
    private let machine: Machine
    private let process: SimulatedProcess
    private let onEvent: (WardenEvent) -> Void
    private var connection: WardenConnection?
    private(set) var isReady = false
    private var isStopped = false
    private var timer: TimerToken?
    /// The backend that a socket was asked for last.
    var socketsAskedFor: BackendID?

    init(_ machine: Machine, _ process: SimulatedProcess, _ onEvent: @escaping (WardenEvent) -> Void) {
        self.machine = machine
        self.process = process
        self.onEvent = onEvent
    }

    func start() { process.post { [weak self] in self?.connect() } }

    func stop() {
        isStopped = true
        disconnect()
    }

    func send(_ request: WardenRequest) {
        guard isReady else { return }
        if case .sockets(let backend, _) = request { socketsAskedFor = backend }
        connection?.sendToWarden(request)
    }

    private func disconnect() {
        isReady = false
        connection?.onEvent = nil
        connection?.close()
        connection = nil
        if let timer { process.cancel(timer) }
        timer = nil
    }

    private func connect() {
        guard !isStopped else { return }
        guard let warden = machine.warden else { return fail("cannot reach the warden") }
        let made = WardenConnection(machine.site.world, drone: process, warden: warden)
        connection = made
        made.onEvent = { [weak self] in self?.take($0) }
        made.connect()
        timer = process.schedule(after: .seconds(10)) { [weak self] in self?.fail("the warden did not answer in time") }
    }

    private func take(_ event: WardenEvent?) {
        guard let event else { return fail("the warden closed the connection") }
        if case .connected = event {
            isReady = true
            if let timer { process.cancel(timer) }
            timer = nil
        }
        onEvent(event)
    }

    private func fail(_ cause: String) {
        disconnect()
        timer = process.schedule(after: .milliseconds(200 + Int64(machine.site.world.random.below(800)))) {
            [weak self] in
            self?.connect()
        }
        onEvent(.disconnected(cause: cause))
    }
}

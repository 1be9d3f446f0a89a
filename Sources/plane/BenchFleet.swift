import FoundationEssentials
import HTTP
import Linux
import Model

/// The drones that a benchmark plays: they hold their sessions, and start nothing.
final class BenchFleet {
    private let loop: EventLoop
    private let client: HTTPClient
    private let port: UInt16
    private var drones: [BenchDrone] = []
    /// Renewals sent since it was set to 0.
    var renewals = 0
    /// Backends that were ordered and are not yet saved as ready.
    fileprivate var unsaved = 0
    private var awaited: (() -> Bool)?
    fileprivate var failure: String?

    init(loop: EventLoop, port: UInt16) {
        self.loop = loop
        client = HTTPClient(loop: loop)
        self.port = port
    }

    var count: Int { drones.count }

    /// Connects so many, and waits until each is welcome.
    func connect(_ count: Int) throws {
        let url = try HTTPURL("http://127.0.0.1:\(port)/ctrl/c/\(BenchControllerProcess.cluster)/drone-socket")
        for number in 0..<count {
            let drone = BenchDrone(number: number, loop: loop, fleet: self)
            drones.append(drone)
            client.webSocket(url, deadline: .seconds(20)) { [self] result in
                switch result {
                case .success(let socket): drone.opened(socket)
                case .failure(let error): failed("a drone cannot connect: \(error)")
                }
            }
        }
        try wait("drones were not all welcomed") { [self] in drones.allSatisfy(\.isWelcome) }
    }

    /// Waits until every backend is saved as ready.
    func settle() throws { try wait("not every state was saved") { [self] in unsaved == 0 } }

    private func wait(_ problem: String, until isOver: @escaping () -> Bool) throws {
        let limit = loop.schedule(after: .seconds(60)) { [self] in failed(problem + " within a minute") }
        awaited = isOver
        if !isOver() { try loop.run() }
        awaited = nil
        loop.cancel(limit)
        if let failure { throw CommandFailure(failure) }
    }

    fileprivate func noteChange() {
        if awaited?() == true { loop.stop() }
    }

    fileprivate func failed(_ sentence: String) {
        failure = sentence
        loop.stop()
    }
}

/// One of them.
private final class BenchDrone {
    private let name: String
    private let loop: EventLoop
    private unowned let fleet: BenchFleet
    private var socket: WebSocketConnection?
    private var sequence: Int64 = 0
    private(set) var isWelcome = false

    init(number: Int, loop: EventLoop, fleet: BenchFleet) {
        name = "dr-bench-\(number)"
        self.loop = loop
        self.fleet = fleet
    }

    func opened(_ socket: WebSocketConnection) {
        self.socket = socket
        socket.onClose = { [self] end in fleet.failed("\(name) was disconnected: \(end)") }
        socket.onText = { [self] text in received(text) }
        let ceilings = ResourceCeilings(
            memoryBytes: 1 << 28, cpuQuotaMicroseconds: 100_000, cpuPeriodMicroseconds: 100_000, diskBytes: 1 << 30)
        send(
            .hello(
                DroneHello(
                    name: name, version: "bench", cluster: BenchControllerProcess.cluster, pool: "", process: name,
                    machine: name, images: [OfferedImage(name: "bench", ceilings: ceilings)], backends: [])))
    }

    private func send(_ message: DroneMessage) {
        do {
            socket?.send(String(decoding: try JSONEncoder().encode(message), as: UTF8.self))
        } catch {
            preconditionFailure("a message of our own cannot be encoded: \(error)")
        }
    }

    private func received(_ text: String) {
        // Most of what comes; a drone hands it to its proxy, and here there is none.
        if text.hasPrefix("{\"route\"") { return }
        let message: ControllerMessage
        do { message = try JSONDecoder().decode(ControllerMessage.self, from: Data(text.utf8)) } catch {
            return fleet.failed("the controller said what is no message: \(text.prefix(100))")
        }
        switch message {
        case .welcome(_, _, let lease, _):
            isWelcome = true
            renew(every: .milliseconds(lease.renewMilliseconds))
            fleet.noteChange()
        case .spawn(let order): report(order)
        case .stateSaved(_, .ready):
            fleet.unsaved -= 1
            if fleet.unsaved == 0 { fleet.noteChange() }
        default: break
        }
    }

    private func report(_ order: SpawnOrder) {
        fleet.unsaved += 1
        for status in [BackendStatus.loading, .starting, .waiting, .ready] {
            send(.state(backend: order.backend, fencingToken: order.fencingToken, state: BackendState(status)))
        }
    }

    private func renew(every interval: Duration) {
        loop.schedule(after: interval) { [weak self] in
            guard let self else { return }
            sequence += 1
            fleet.renewals += 1
            send(.renew(sequence: sequence))
            renew(every: interval)
        }
    }
}

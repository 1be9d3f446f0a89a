import Drone
import HTTP
import Linux
import Model

/// The drone's end of its link: it dials one controller after the other until one answers, and again when it is lost. What
/// it sees pass tells the checks until when the drone may let backends live.
final class SimulatedLink: LinkPort {
    private enum Phase {
        case idle
        case dialling(Int)
        case open(LinkConnection)
        case waiting
        case stopped
    }

    private let machine: Machine
    private let process: SimulatedProcess
    private let onEvent: (LinkEvent) -> Void
    private var phase = Phase.idle
    private var retryMilliseconds: Int64 = 200
    private var target: Int
    private var dials = 0
    private var helloSentAt = BootInstant(nanoseconds: 0)
    private var renewalsSentAt: [Int64: BootInstant] = [:]
    /// Whether the present connection's controller has answered the hello.
    private var isWelcomed = false
    private var world: World { machine.site.world }

    init(_ machine: Machine, _ process: SimulatedProcess, _ onEvent: @escaping (LinkEvent) -> Void) {
        self.machine = machine
        self.process = process
        self.onEvent = onEvent
        target = machine.site.world.random.below(machine.site.controllers.count)
    }

    func start() { process.post { [weak self] in self?.dial() } }

    func stop() {
        if case .open(let connection) = phase { connection.closeByDrone("the drone stops") }
        phase = .stopped
    }

    func redial(because cause: String) {
        guard case .open(let connection) = phase else { return }
        connection.closeByDrone(cause)
        lost(cause)
    }

    func confirmed(_ lease: LeaseTimes) { retryMilliseconds = 200 }

    func send(_ message: DroneMessage) {
        guard case .open(let connection) = phase else { return }
        switch message {
        case .hello: helloSentAt = process.now
        case .renew(let sequence): renewalsSentAt[sequence] = process.now
        case .state, .sweep, .routeRequest, .traffic: break
        }
        world.trace(machine.drone.text, "says \(message.line)")
        connection.sendToController(message)
    }

    // MARK: Dialling

    private func dial() {
        if case .stopped = phase { return }
        dials += 1
        let dial = dials
        phase = .dialling(dial)
        let host = machine.site.controllers[target]
        process.schedule(after: .seconds(5)) { [weak self] in self?.failed(dial, "the controller did not answer") }
        guard let server = host.process, !machine.site.network.isBlocked(machine.index, target) else {
            // Refused at once, or nobody answers.
            if host.process == nil {
                world.after(machine.site.network.delay()) { [weak self, process] in
                    process.deliver { [weak self] in self?.failed(dial, "connection refused") }
                }
            }
            return
        }
        world.after(machine.site.network.delay()) { [weak self] in
            server.deliver { [weak self] in self?.accepted(dial, by: host, server) }
        }
    }

    /// At the controller: the upgrade has come.
    private func accepted(_ dial: Int, by host: ControllerHost, _ server: SimulatedProcess) {
        guard process.isAlive, case .dialling(dial) = phase, host.process === server else { return }
        let connection = LinkConnection(
            machine.site.network, world, machine: machine.index, drone: process, controller: host.index, server: server,
            silenceLimit: machine.site.silenceLimit)
        machine.site.network.add(connection)
        connection.reconsider()
        host.opened(connection)
        world.after(machine.site.network.delay()) { [weak self, process] in
            process.deliver { [weak self] in self?.opened(dial, connection) }
        }
    }

    private func opened(_ dial: Int, _ connection: LinkConnection) {
        guard case .dialling(dial) = phase else { return connection.closeByDrone("too late") }
        phase = .open(connection)
        isWelcomed = false
        renewalsSentAt.removeAll(keepingCapacity: true)
        connection.onLost = { [weak self] in
            switch $0 {
            case .spawn, .terminate: self?.repeatLater($0)
            case .welcome, .renewed, .inUse, .route, .routeAnswer, .revoke, .stateSaved: break
            }
        }
        connection.listenAtDrone { [weak self] in
            self?.received($0)
        } onClosed: { [weak self] in
            self?.lost($0)
        }
        onEvent(.opened)
    }

    private func failed(_ dial: Int, _ cause: String) {
        guard case .dialling(dial) = phase else { return }
        lost(cause)
    }

    private func lost(_ cause: String) {
        if case .stopped = phase { return }
        phase = .waiting
        target = (target + 1) % machine.site.controllers.count
        world.trace(machine.drone.text, "has no controller: \(cause)")
        let wait = retryMilliseconds - Int64(world.random.below(Int(retryMilliseconds / 2)))
        retryMilliseconds = min(retryMilliseconds * 2, 5_000)
        process.schedule(after: .milliseconds(wait)) { [weak self] in self?.dial() }
        onEvent(.closed(cause: cause))
    }

    // MARK: What comes

    private func received(_ message: ControllerMessage) {
        world.trace(machine.drone.text, "hears \(message.line)")
        switch message {
        case .welcome(_, let session, let lease, _):
            machine.session = session
            isWelcomed = true
            acknowledged(sentAt: helloSentAt, lease)
        case .renewed(let sequence):
            if let sent = renewalsSentAt.removeValue(forKey: sequence) {
                acknowledged(sentAt: sent, machine.site.parameters.lease)
            }
        case .spawn, .terminate: repeatLater(message)
        case .inUse, .route, .routeAnswer, .revoke, .stateSaved: break
        }
        onEvent(.received(message))
        if case .revoke(let tokens) = message { machine.droneHost?.proxy.wasTold(ofRevoked: tokens) }
    }

    /// Controllers tell an order again when in doubt, whether it arrived or not; here also much later, on another connection
    /// and in another session. Only to the same process: a new one is ordered nothing that has ended.
    private func repeatLater(_ order: ControllerMessage) {
        guard machine.site.parameters.faults.contains(.orderRepeated), !machine.site.isCalm, world.random.happens(400)
        else { return }
        world.counts.faults[Fault.orderRepeated.index] += 1
        world.after(world.random.draw(.milliseconds(1)...(.seconds(12)))) { [weak self, process] in
            process.deliver { [weak self] in
                guard let self, isWelcomed, case .open = phase else { return }
                world.trace(machine.drone.text, "hears again \(order.line)")
                onEvent(.received(order))
            }
        }
    }

    private func acknowledged(sentAt sent: BootInstant, _ lease: LeaseTimes) {
        machine.acknowledgedHard = max(machine.acknowledgedHard, sent + .milliseconds(lease.hardMilliseconds))
    }
}

import Model

/// One TCP connection between a drone and a controller: in order each way, as slow as it likes, broken at any time. What
/// was on its way when it broke may have arrived or not. When it only falls silent, each end notices by its pings.
final class LinkConnection {
    /// What travels.
    private enum Item {
        case toController(DroneMessage)
        case toDrone(ControllerMessage)
        case close(String)
    }

    /// One end.
    private final class End {
        let process: SimulatedProcess
        var isOpen = true
        /// What is on its way here.
        var incoming: [Item] = []
        /// How many of these have come to where the way is blocked.
        var held = 0
        var lastArrival: Int64 = 0
        /// Counts the silences, so that one that ended is not taken for the next.
        var silence = 0
        var isSilent = false
        var onClosed: ((String) -> Void)?

        init(_ process: SimulatedProcess) { self.process = process }
    }

    private let world: World
    private unowned let network: Network
    private let machine: Int
    private let controller: Int
    private let silenceLimit: Int64
    private let drone: End
    private let server: End
    private var onDroneMessage: ((ControllerMessage) -> Void)?
    private var onControllerMessage: ((DroneMessage) -> Void)?
    /// Told of what was sent to the drone and never arrives.
    var onLost: ((ControllerMessage) -> Void)?

    /// - Parameter silenceLimit: after how long without a sign of the other end one gives it up, nanoseconds.
    init(
        _ network: Network, _ world: World, machine: Int, drone: SimulatedProcess, controller: Int,
        server: SimulatedProcess, silenceLimit: Int64
    ) {
        self.world = world
        self.network = network
        self.machine = machine
        self.controller = controller
        self.silenceLimit = silenceLimit
        self.drone = End(drone)
        self.server = End(server)
    }

    var isOver: Bool { !drone.isOpen && !server.isOpen }

    func isOn(_ machine: Int, _ controller: Int) -> Bool { self.machine == machine && self.controller == controller }

    func listenAtDrone(_ onMessage: @escaping (ControllerMessage) -> Void, onClosed: @escaping (String) -> Void) {
        onDroneMessage = onMessage
        drone.onClosed = onClosed
    }

    func listenAtController(_ onMessage: @escaping (DroneMessage) -> Void, onClosed: @escaping (String) -> Void) {
        onControllerMessage = onMessage
        server.onClosed = onClosed
    }

    // MARK: Sending

    func sendToController(_ message: DroneMessage) { if drone.isOpen { put(.toController(message), server) } }

    func sendToDrone(_ message: ControllerMessage) {
        guard server.isOpen else { return }
        if case .revoke = message, world.has(.revocationsLost) { return }
        put(.toDrone(message), drone)
    }

    /// The drone ends it, and hears nothing of it any more.
    func closeByDrone(_ reason: String) {
        guard drone.isOpen else { return }
        shut(drone)
        put(.close(reason), server)
    }

    /// The controller ends it, and is told so later.
    func closeByController(_ reason: String) {
        guard server.isOpen else { return }
        let closed = server.onClosed
        shut(server)
        put(.close(reason), drone)
        server.process.post { closed?(reason) }
    }

    private func put(_ item: Item, _ end: End) {
        guard end.isOpen else { return lose(item) }
        end.incoming.append(item)
        end.lastArrival = max(end.lastArrival, world.now + network.delay())
        world.at(end.lastArrival) { [self] in arrive(end) }
    }

    private func arrive(_ end: End) {
        guard end.isOpen, !end.incoming.isEmpty else { return }
        if network.isBlocked(machine, controller) {
            end.held += 1
            return
        }
        let item = end.incoming.removeFirst()
        end.process.deliver { [self] in take(item, end) }
    }

    private func take(_ item: Item, _ end: End) {
        guard end.isOpen else { return }
        switch item {
        case .toController(let message): onControllerMessage?(message)
        case .toDrone(let message): onDroneMessage?(message)
        case .close(let reason): noticeEnd(end, reason)
        }
    }

    private func noticeEnd(_ end: End, _ reason: String) {
        let closed = end.onClosed
        shut(end)
        closed?(reason)
    }

    private func lose(_ item: Item) {
        if case .toDrone(let message) = item { onLost?(message) }
    }

    private func shut(_ end: End) {
        end.isOpen = false
        for item in end.incoming { lose(item) }
        end.incoming.removeAll()
        end.onClosed = nil
        if end === drone { onDroneMessage = nil } else { onControllerMessage = nil }
    }

    func tearDown() {
        onLost = nil
        shut(drone)
        shut(server)
    }

    // MARK: Faults

    /// The way is free again: what was held goes on.
    func flow() {
        guard !network.isBlocked(machine, controller) else { return }
        for end in [drone, server] {
            let count = end.held
            end.held = 0
            for _ in 0..<count {
                end.lastArrival = max(end.lastArrival, world.now + network.delay())
                world.at(end.lastArrival) { [self] in arrive(end) }
            }
        }
    }

    /// Reset: of what is on its way a part arrives, then both ends hear of it.
    func breakOff() {
        for end in [drone, server] where end.isOpen {
            let kept = world.random.below(end.incoming.count + 1)
            for item in end.incoming[kept...] { lose(item) }
            end.incoming.removeLast(end.incoming.count - kept)
            put(.close("connection reset"), end)
        }
    }

    /// A dead process's system closes its end. The other one hears of it, if the way is free, else by silence.
    func processDied(_ process: SimulatedProcess) {
        for (end, other) in [(drone, server), (server, drone)] where end.process === process && end.isOpen {
            shut(end)
            put(.close("connection reset"), other)
        }
    }

    /// Sees whether an end has reason to miss the other: the way is blocked, or the other's process stands still.
    func reconsider() {
        let isBlocked = network.isBlocked(machine, controller)
        for (end, other) in [(drone, server), (server, drone)] where end.isOpen {
            let isSilent = isBlocked || !other.process.isRunning
            guard isSilent != end.isSilent else { continue }
            end.isSilent = isSilent
            end.silence += 1
            guard isSilent else { continue }
            let number = end.silence
            world.after(silenceLimit + world.random.draw(0...(silenceLimit / 3))) { [self] in
                guard end.isOpen, end.silence == number else { return }
                end.process.deliver { [self] in
                    guard end.isOpen, end.silence == number else { return }
                    noticeEnd(end, "silent for too long")
                    put(.close("gone"), other)
                }
            }
        }
    }
}

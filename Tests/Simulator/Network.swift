import Model

/// Which parts reach each other, and how fast.
final class Network {
    private unowned let world: World
    private var blocked: Set<Path> = []
    private(set) var connections: [LinkConnection] = []
    /// How much slower than usual everything is.
    var slowness: Int64 = 1

    private struct Path: Hashable {
        let machine: Int
        let controller: Int
    }

    init(_ world: World) { self.world = world }

    func isBlocked(_ machine: Int, _ controller: Int) -> Bool {
        !blocked.isEmpty && blocked.contains(Path(machine: machine, controller: controller))
    }

    /// One message's way, nanoseconds: mostly quick, sometimes not.
    func delay() -> Int64 {
        let base = world.random.draw(.milliseconds(1)...(.milliseconds(8)))
        guard world.random.happens(40) else { return base * slowness }
        return (base + world.random.draw(0...(.milliseconds(400)))) * slowness
    }

    func block(_ machine: Int, _ controller: Int) {
        guard blocked.insert(Path(machine: machine, controller: controller)).inserted else { return }
        for connection in connections where connection.isOn(machine, controller) { connection.reconsider() }
    }

    func unblock(_ machine: Int, _ controller: Int) {
        guard blocked.remove(Path(machine: machine, controller: controller)) != nil else { return }
        for connection in connections where connection.isOn(machine, controller) {
            connection.reconsider()
            connection.flow()
        }
    }

    func unblockAll() {
        blocked.removeAll()
        for connection in connections {
            connection.reconsider()
            connection.flow()
        }
    }

    /// Processes were stopped, resumed or killed: both ends of each connection may notice.
    func reconsider() { for connection in connections { connection.reconsider() } }

    func add(_ connection: LinkConnection) {
        connections.removeAll { $0.isOver }
        connections.append(connection)
    }

    /// Ends of connections know their processes, which know them.
    func tearDown() {
        for connection in connections { connection.tearDown() }
        connections.removeAll()
    }

    /// The system of a dead process says so to its peers.
    func processDied(_ process: SimulatedProcess) {
        for connection in connections { connection.processDied(process) }
    }
}

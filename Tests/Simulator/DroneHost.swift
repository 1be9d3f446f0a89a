import Drone
import HTTP
import Linux
import Model
import Proxy

/// A drone's process: the drone that ships, over simulated ports.
final class DroneHost {
    let process: SimulatedProcess
    let proxy: SimulatedProxy
    /// Whether only its main loop stands still and its proxy's threads go on.
    var isWedged = false
    private let machine: Machine
    private var drone: Drone?
    private weak var wardenPort: SimulatedWardenPort?

    init(_ machine: Machine) {
        self.machine = machine
        let world = machine.site.world
        process = SimulatedProcess(world, machine.drone.text, machine.clock)
        proxy = SimulatedProxy(machine, process)
        let made = Drone(machine.site.droneConfiguration(machine.drone), ports: ports()) { [weak self] refusal in
            world.trace(machine.drone.text, "refuses to run: \(refusal)")
            // Whoever supervises it starts it again.
            world.after(.seconds(1)) { [weak self] in self?.restart() }
        }
        made.defects = world.defects
        drone = made
        proxy.onEvent = { [weak self] in self?.drone?.take($0) }
        proxy.runs = { [weak self] in self.map { $0.process.isRunning || $0.isWedged } ?? false }
        process.deliver { made.start() }
    }

    private func ports() -> DronePorts {
        let (machine, process) = (machine, process)
        let world = machine.site.world
        return DronePorts(
            clock: process,
            warden: { [unowned self] in
                let port = SimulatedWardenPort(machine, process, $0)
                wardenPort = port
                return port
            },
            link: { SimulatedLink(machine, process, $0) }, proxy: proxy.port,
            readiness: { [unowned self] _, ask, onOutcome in
                SimulatedReadiness(
                    machine, process, { [weak self] in self?.wardenPort }, askSocket: ask, onOutcome: onOutcome)
            },
            output: { _, _ in nil }, random: { world.random.bytes($0) }, log: { world.trace(machine.drone.text, $0) })
    }

    private func restart() {
        guard process.isAlive, machine.droneHost === self else { return }
        machine.killDrone()
        machine.startDrone()
    }

    func die() {
        process.die()
        machine.site.network.processDied(process)
        proxy.onEvent = nil
        drone = nil
    }
}

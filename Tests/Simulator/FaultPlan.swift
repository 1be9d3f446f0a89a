import Model

/// Brings faults about, at random moments, and ends them.
final class FaultPlan {
    private unowned let site: Site
    private var world: World { site.world }
    /// What is still to be undone, and what undoes it.
    private var repairs: [Int: () -> Void] = [:]
    private var lastRepair = 0

    init(_ site: Site) { self.site = site }

    func start() {
        guard !site.parameters.faults.isEmpty else { return }
        scheduleNext()
    }

    private func scheduleNext() {
        let mean = site.parameters.faultInterval
        world.after(world.random.draw(0...(2 * mean))) { [self] in
            guard world.now < site.parameters.chaosEnd, !site.isCalm else { return }
            bring(world.random.pick(site.parameters.faults))
            // Troubles come in pairs.
            if world.random.happens(200) { bring(world.random.pick(site.parameters.faults)) }
            scheduleNext()
        }
    }

    /// Undoes all.
    func end() {
        for number in repairs.keys.sorted() { repairs[number]?() }
        repairs.removeAll()
        site.network.unblockAll()
        site.network.slowness = 1
        site.store.isDown = false
        site.store.slowness = 1
        site.store.lostPerMille = 0
        site.store.uncertainPerMille = 0
    }

    func tearDown() { repairs.removeAll() }

    private func undo(after nanoseconds: Int64, _ work: @escaping () -> Void) {
        lastRepair += 1
        let number = lastRepair
        repairs[number] = work
        world.after(nanoseconds) { [self] in repairs.removeValue(forKey: number)?() }
    }

    /// How long something lasts: often shorter than a lease, often just about one, sometimes much longer.
    private func drawLength() -> Int64 {
        let lease = Int64.milliseconds(site.parameters.lease.expiryMilliseconds)
        return switch world.random.below(10) {
        case ..<4: world.random.draw(.milliseconds(5)...(lease / 2))
        case ..<8: world.random.draw((lease / 2)...(lease * 3 / 2))
        default: world.random.draw(lease...(lease * 4))
        }
    }

    private func bring(_ fault: Fault) {
        world.counts.faults[fault.index] += 1
        let machine = world.random.pick(site.machines)
        let controller = world.random.pick(site.controllers)
        switch fault {
        case .controllerCrash:
            controller.crash()
            undo(after: drawLength()) { controller.start() }
        case .controllerLeaves:
            controller.leave()
            undo(after: world.random.draw(.milliseconds(1)...(.milliseconds(1_500)))) {
                controller.crash()
                controller.start()
            }
        case .controllerStop: stop(controller.process, "controller \(controller.index)")
        case .droneCrash:
            machine.killDrone()
            undo(after: drawLength()) { machine.startDrone() }
        case .droneStop: stop(machine.droneHost?.process, machine.drone.text)
        case .wardenCrash:
            machine.killWarden()
            undo(after: drawLength() / 4) { machine.startWarden() }
        case .wardenStop: stop(machine.warden?.process, "warden \(machine.index)")
        case .droneWedged:
            let host = machine.droneHost
            host?.isWedged = true
            stop(host?.process, machine.drone.text) { host?.isWedged = false }
        case .droneAndWardenStop:
            stop(machine.droneHost?.process, machine.drone.text)
            stop(machine.warden?.process, "warden \(machine.index)")
        case .machineReboot:
            machine.powerOff("loses power")
            undo(after: drawLength()) { machine.powerOn() }
        case .machineSleep:
            machine.sleep()
            undo(after: drawLength()) { machine.wake() }
        case .machineLost: replace(machine)
        case .impostor: impostor(machine.drone)
        case .linkBreak:
            for connection in site.network.connections { if world.random.happens(600) { connection.breakOff() } }
        case .partition: cut(machine)
        case .controllerIsolated:
            world.trace("network", "cuts controller \(controller.index) off")
            for other in site.machines { site.network.block(other.index, controller.index) }
            undo(after: drawLength()) { [self] in
                for other in site.machines { site.network.unblock(other.index, controller.index) }
            }
        case .storeUnreachable:
            world.trace("store", "cannot be reached by controller \(controller.index)")
            controller.isStoreUnreachable = true
            undo(after: drawLength()) { controller.isStoreUnreachable = false }
        case .storeDown:
            world.trace("store", "is down")
            site.store.isDown = true
            undo(after: drawLength()) { [self] in site.store.isDown = false }
        case .storeSlow:
            site.store.slowness = world.random.draw(5...100)
            world.trace("store", "is \(site.store.slowness) times as slow")
            undo(after: drawLength()) { [self] in site.store.slowness = 1 }
        case .jobLost:
            site.store.lostPerMille = 200
            undo(after: drawLength()) { [self] in site.store.lostPerMille = 0 }
        case .jobUncertain:
            site.store.uncertainPerMille = 200
            undo(after: drawLength()) { [self] in site.store.uncertainPerMille = 0 }
        case .wallClockJump:
            let jump = world.random.draw(-600_000...600_000)
            world.trace("store", "its wall clock jumps by \(jump) ms")
            site.wallOffset += jump
        case .backendExit: exitOne(machine)
        case .slowNetwork:
            site.network.slowness = world.random.happens(300) ? world.random.draw(100...400) : world.random.draw(3...40)
            world.trace("network", "is \(site.network.slowness) times as slow")
            undo(after: drawLength()) { [self] in site.network.slowness = 1 }
        // Brought about where orders arrive.
        case .orderRepeated: break
        }
    }

    private func stop(_ process: SimulatedProcess?, _ name: String, then: @escaping () -> Void = {}) {
        guard let process, process.isAlive else { return }
        world.trace(name, "is stopped")
        process.stop()
        site.network.reconsider()
        undo(after: drawLength()) { [self] in
            world.trace(name, "goes on")
            then()
            process.resume()
            site.network.reconsider()
        }
    }

    private func cut(_ machine: Machine) {
        world.trace("network", "cuts \(machine.name) off")
        for controller in site.controllers where world.random.happens(800) {
            site.network.block(machine.index, controller.index)
        }
        undo(after: drawLength()) { [self] in
            for controller in site.controllers { site.network.unblock(machine.index, controller.index) }
        }
    }

    private func exitOne(_ machine: Machine) {
        guard let sandbox = machine.sandboxes.first(where: { $0.phase == .running }) else { return }
        sandbox.end(.exited(code: 7))
    }

    /// It never comes back; before long another one has its drone's name.
    private func replace(_ machine: Machine) {
        guard machine.isOn, site.machines.count < 6 else { return }
        machine.powerOff("is lost for good")
        undo(after: drawLength()) { [site] in
            let successor = site.addMachine(machine.drone)
            successor.startWarden()
            successor.startDrone()
        }
    }

    /// Somebody starts a second drone of a name that is in use, and takes it away again.
    private func impostor(_ drone: DroneName) {
        guard site.machines.count < 6 else { return }
        let machine = site.addMachine(drone)
        world.trace(machine.name, "starts as a second \(drone)")
        machine.startWarden()
        machine.startDrone()
        undo(after: drawLength()) { machine.powerOff("is taken away") }
    }
}

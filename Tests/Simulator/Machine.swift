import Linux
import Model

/// One machine: its clock, what its kernel runs, its warden and its drone.
final class Machine {
    unowned let site: Site
    let index: Int
    /// The name under which its drone speaks.
    let drone: DroneName
    private(set) var clock: MachineClock
    private(set) var isOn = true
    private(set) var isAsleep = false
    private(set) var boots = 1
    /// Sandboxes of this boot, ended ones too, in the order of their starts.
    private(set) var sandboxes: [Sandbox] = []
    private(set) var warden: WardenHost?
    private(set) var droneHost: DroneHost?
    /// Until when the drone may let backends live, by what was acknowledged to it; as computed from the messages alone.
    var acknowledgedHard = BootInstant(nanoseconds: 0)
    /// The session that the drone was welcomed under last.
    var session: Int64?

    private var world: World { site.world }

    init(_ site: Site, index: Int, drone: DroneName) {
        self.site = site
        self.index = index
        self.drone = drone
        clock = MachineClock(site.world, driftPPM: Self.drawDrift(site.world))
    }

    /// Any two machines' rates differ by `LeaseTimes.driftAllowance` at most.
    static func drawDrift(_ world: World) -> Int64 {
        let most = Int64(LeaseTimes.driftAllowance * 1_000_000 / 2)
        let bound = world.has(.noDriftMargin) ? most * 12 : most
        // The ends of the range are where the margin is needed.
        return world.random.happens(500) ? world.random.pick([-bound, bound]) : world.random.draw(-bound...bound)
    }

    var name: String { "machine \(index)" }

    /// Whose sandboxes the warden speaks for.
    var identity: MachineIdentity {
        do throws(InvalidValue) { return try MachineIdentity("boot\(boots)-state\(index)") } catch {
            preconditionFailure("not an identity: \(error)")
        }
    }

    // MARK: Processes

    func startWarden() {
        guard isOn, warden == nil else { return }
        world.trace(name, "the warden starts")
        warden = WardenHost(self)
    }

    func startDrone() {
        guard isOn, droneHost == nil else { return }
        world.trace(name, "the drone starts")
        droneHost = DroneHost(self)
    }

    /// The kernel kills every sandbox with it: their parent-death signal.
    func killWarden() {
        guard let dying = warden else { return }
        world.trace(name, "the warden is killed")
        warden = nil
        dying.die()
        if !world.has(.sandboxOutlivesWarden) {
            for sandbox in sandboxes where sandbox.isAlive { sandbox.end(.killed) }
        }
        sandboxes.removeAll { !$0.isAlive }
    }

    func killDrone() {
        guard let dying = droneHost else { return }
        world.trace(name, "the drone is killed")
        droneHost = nil
        dying.die()
    }

    // MARK: Power

    func powerOff(_ cause: String) {
        guard isOn else { return }
        world.trace(name, cause)
        isOn = false
        isAsleep = false
        killDrone()
        killWarden()
        for sandbox in sandboxes where sandbox.isAlive { sandbox.end(.killed) }
        sandboxes.removeAll()
        acknowledgedHard = BootInstant(nanoseconds: 0)
        session = nil
    }

    func powerOn() {
        guard !isOn else { return }
        boots += 1
        clock = MachineClock(world, driftPPM: clock.driftPPM)
        isOn = true
        startWarden()
        startDrone()
    }

    private var asleepSince: Int64 = 0

    /// Nothing on it runs; its clock goes on.
    func sleep() {
        guard isOn, !isAsleep else { return }
        world.trace(name, "falls asleep")
        isAsleep = true
        asleepSince = world.now
        warden?.process.stop()
        droneHost?.process.stop()
        site.network.reconsider()
    }

    func wake() {
        guard isOn, isAsleep else { return }
        world.trace(name, "wakes")
        isAsleep = false
        if world.has(.clockStopsAsleep) { clock.lost += world.now - asleepSince }
        // Timers of the kernel come before any process runs again.
        for sandbox in sandboxes { sandbox.look() }
        for sandbox in sandboxes where sandbox.isRunning { site.checks.runs(sandbox) }
        warden?.process.resume()
        droneHost?.process.resume()
        site.network.reconsider()
    }

    // MARK: Kernel

    func launch(_ sandbox: Sandbox) { sandboxes.append(sandbox) }

    func forget(_ sandbox: Sandbox) { sandboxes.removeAll { $0 === sandbox } }
}

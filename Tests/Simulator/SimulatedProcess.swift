import HTTP
import Linux

/// A process with one loop: it runs, stands still, or is dead. What comes while it stands still waits; what comes after its
/// death is gone, and its timers with it.
final class SimulatedProcess: LoopClock {
    enum Phase {
        case running
        case stopped
        case dead
    }

    let name: String
    private(set) var phase = Phase.running
    /// How many reasons it stands still for: it was stopped, and its machine sleeps.
    private var stops = 0
    private let world: World
    private let clock: MachineClock
    private var timers: [TimerToken: () -> Void] = [:]
    private var lastTimer: UInt64 = 0
    private var backlog: [() -> Void] = []
    private var posted: [() -> Void] = []

    init(_ world: World, _ name: String, _ clock: MachineClock) {
        self.world = world
        self.name = name
        self.clock = clock
    }

    var isAlive: Bool { phase != .dead }
    var isRunning: Bool { phase == .running }

    // MARK: LoopClock

    var now: BootInstant { clock.now }

    @discardableResult
    func schedule(after delay: Duration, _ handler: @escaping () -> Void) -> TimerToken {
        lastTimer += 1
        let token = TimerToken(number: lastTimer)
        guard phase != .dead else { return token }
        timers[token] = handler
        arm(token, at: now + max(delay, .zero))
        return token
    }

    func cancel(_ timer: TimerToken) { timers[timer] = nil }

    func post(_ work: @escaping () -> Void) { posted.append(work) }

    private func arm(_ token: TimerToken, at deadline: BootInstant) {
        world.at(clock.trueTime(of: deadline)) { [weak self] in
            guard let self, timers[token] != nil else { return }
            // A clock that does not count sleep shows less than was planned.
            if now < deadline { return arm(token, at: deadline) }
            deliver { [weak self] in self?.timers.removeValue(forKey: token)?() }
        }
    }

    // MARK: Events from outside

    /// Runs what has come for it, now or when it goes on.
    func deliver(_ work: @escaping () -> Void) {
        switch phase {
        case .running: run(work)
        case .stopped: backlog.append(work)
        case .dead: break
        }
    }

    private func run(_ work: () -> Void) {
        work()
        while phase == .running, !posted.isEmpty {
            let due = posted
            posted.removeAll()
            for item in due where phase == .running { item() }
        }
    }

    // MARK: Fate

    func stop() {
        guard phase != .dead else { return }
        stops += 1
        phase = .stopped
    }

    func resume() {
        guard phase == .stopped else { return }
        stops -= 1
        guard stops == 0 else { return }
        phase = .running
        let waiting = backlog
        backlog.removeAll()
        for work in waiting {
            if phase == .running { run(work) } else { deliver(work) }
        }
    }

    func die() {
        phase = .dead
        timers.removeAll()
        backlog.removeAll()
        posted.removeAll()
    }
}

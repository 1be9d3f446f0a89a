import Linux
import Model

/// A sandbox as the kernel has it: this is the truth about what runs.
final class Sandbox {
    enum Phase: Equatable {
        /// Init is there, the command is not.
        case starting
        case running
        case ended(End)
    }

    enum End: Equatable {
        case exited(code: Int32)
        /// Killed by the warden or with it, by a signal.
        case killed
        /// Init's own timer.
        case deadline
    }

    /// How its command behaves.
    struct Behaviour {
        /// From the command's start until its port answers; nil never.
        var readyAfter: Int64?
        var ignoresTermination: Bool
        /// From the command's start until it exits by itself; nil never.
        var exitsAfter: Int64?
    }

    let backend: BackendID
    let key: String
    let fencingToken: FencingToken
    let machine: Machine
    private(set) var phase = Phase.starting
    private(set) var isReady = false
    private let behaviour: Behaviour
    /// When init ends it all by itself.
    private var guardDeadline: BootInstant
    /// The warden's descriptors: the start is settled, the sandbox has ended.
    var onSettled: (() -> Void)?
    /// … and whether its start had not been decided then.
    var onEnded: ((_ end: End, _ wasStarting: Bool) -> Void)?
    private var world: World { machine.site.world }

    init(
        _ machine: Machine, backend: BackendID, key: String, fencingToken: FencingToken, deadline: BootInstant,
        _ behaviour: Behaviour
    ) {
        self.machine = machine
        self.backend = backend
        self.key = key
        self.fencingToken = fencingToken
        self.behaviour = behaviour
        guardDeadline = deadline
        armGuard()
        whenAwake(after: startDelay()) { [self] in run() }
    }

    /// What a process does by itself it does not do while its machine sleeps.
    private func whenAwake(after delay: Int64, _ work: @escaping () -> Void) {
        world.after(delay) { [self] in
            guard isAlive else { return }
            if machine.isAsleep { whenAwake(after: .milliseconds(100), work) } else { work() }
        }
    }

    /// Whether anything of it exists.
    var isAlive: Bool {
        if case .ended = phase { return false }
        return true
    }

    /// Whether its command does anything just now.
    var isRunning: Bool { phase == .running && !machine.isAsleep }

    var name: String { "\(machine.name)" }

    private func startDelay() -> Int64 {
        world.random.happens(50)
            ? world.random.draw(.milliseconds(100)...(.seconds(3)))
            : world.random.draw(.milliseconds(1)...(.milliseconds(20)))
    }

    private func run() {
        guard phase == .starting else { return }
        phase = .running
        world.counts.backendsStarted += 1
        world.trace(name, "\(backend) runs: key \(key), fencing token \(fencingToken)")
        machine.site.checks.started(self)
        onSettled?()
        if let readyAfter = behaviour.readyAfter {
            whenAwake(after: readyAfter) { [self] in isReady = phase == .running }
        }
        if let exitsAfter = behaviour.exitsAfter {
            whenAwake(after: exitsAfter) { [self] in
                guard phase == .running else { return }
                world.counts.faults[Fault.backendExit.index] += 1
                end(.exited(code: 3))
            }
        }
    }

    // MARK: Deadline in init

    /// The warden moves it.
    func arm(_ deadline: BootInstant) {
        guard deadline != guardDeadline else { return }
        guardDeadline = deadline
        armGuard()
    }

    private func armGuard() {
        guard !world.has(.noInitGuard) else { return }
        let armed = guardDeadline
        guard armed.nanoseconds < UInt64(Int64.max / 4) else { return }
        world.at(machine.clock.trueTime(of: armed)) { [self] in
            if guardDeadline == armed { look() }
        }
    }

    /// Ends it if its time is over.
    func look() {
        guard isAlive, !machine.isAsleep, !world.has(.noInitGuard) else { return }
        if machine.clock.now >= guardDeadline { return end(.deadline) }
        // Its clock stood still for a while.
        if machine.clock.lost > 0 { armGuard() }
    }

    // MARK: End

    /// SIGTERM to the command.
    func terminateSoftly() {
        guard phase == .running, !behaviour.ignoresTermination else { return }
        whenAwake(after: world.random.draw(.milliseconds(1)...(.milliseconds(900)))) { [self] in end(.exited(code: 0)) }
    }

    func end(_ end: End) {
        guard isAlive else { return }
        world.trace(name, "\(backend) ends: \(end)")
        let wasStarting = phase == .starting
        phase = .ended(end)
        isReady = false
        onEnded?(end, wasStarting)
    }
}

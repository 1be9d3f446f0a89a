import Model
import Store

/// One schedule from its seed to its verdict: faults for a while, then calm, in which all must come right again.
final class Schedule {
    private let world: World
    private let site: Site
    private let faults: FaultPlan

    /// What became of a schedule.
    struct Outcome {
        let seed: UInt64
        let violation: World.Violation?
        let digest: UInt64
        let counts: Counts

        /// The violation, if any, and how to see it again.
        var description: String {
            guard let violation else { return "seed \(seed): no rule was broken" }
            return "seed \(seed), rule \"\(violation.rule.rawValue)\": \(violation.sentence) "
                + "Replay: swift run -c release plane-simulator --seed \(seed)"
        }
    }

    /// How long connects may take to lead to ready backends after the last fault.
    static let progressLimit = Int64.seconds(90)
    /// How long a revocation may take to reach a drone.
    static let revocationLimit = Int64.seconds(10)
    /// How long all may take to end after it was asked to.
    static let endLimit = Int64.seconds(40)

    /// - Parameters:
    ///   - mutant: the defect that is built in.
    ///   - favoured: the mutant for which the schedule is drawn, also where its defect is not built in.
    ///   - onLine: takes the lines of the printed schedule.
    init(
        seed: UInt64, mutant: Mutant? = nil, favoured: Mutant? = nil, onLine: ((String) -> Void)? = nil
    ) {
        world = World(seed: seed, mutant: mutant, favoured: favoured, onLine: onLine)
        site = Site(world)
        faults = FaultPlan(site)
    }

    func run() -> Outcome {
        site.start()
        faults.start()
        let checks = site.checks
        world.run(until: site.parameters.chaosEnd) { checks.step() }
        if !world.isOver { calm() }
        if !world.isOver { connectAll() }
        if !world.isOver { revokeAll() }
        if !world.isOver { endAll() }
        if !world.isOver { checks.findAll() }
        world.counts.schedules = 1
        world.counts.steps = world.steps
        let outcome = Outcome(
            seed: world.seed, violation: world.violation, digest: world.digest, counts: world.counts)
        faults.tearDown()
        site.tearDown()
        world.tearDown()
        return outcome
    }

    /// Lets time pass until it is so. - Returns: whether it was within the limit.
    private func wait(_ limit: Int64, until condition: () -> Bool) -> Bool {
        let checks = site.checks
        let end = world.now + limit
        while !world.isOver {
            if condition() { return true }
            if world.now >= end { return false }
            world.run(until: world.now + .milliseconds(250)) { checks.step() }
        }
        return true
    }

    private func calm() {
        world.trace("world", "faults have stopped")
        site.isCalm = true
        faults.end()
        site.settle()
    }

    /// Each key gets a backend that is ready, and its token leads there.
    private func connectAll() {
        var open = site.keys.count
        for key in site.keys {
            FinalConnect(site, key).start { open -= 1 }
        }
        if !wait(Self.progressLimit, until: { open == 0 }) {
            world.violated(
                .progressResumes,
                "\(open) of \(site.keys.count) keys have no usable backend "
                    + "\(Self.progressLimit / 1_000_000_000) s after the last fault")
        }
    }

    /// What was ever revoked leads nowhere, and what is revoked now soon leads nowhere.
    private func revokeAll() {
        for granted in site.checks.latest(2 * site.keys.count) {
            site.checks.revocationBegins(of: granted.user, on: granted.backend)
            world.random.pick(site.controllers).revoke(granted.user, granted.backend)
        }
        _ = wait(.seconds(1), until: { false })
        if !wait(Self.revocationLimit, until: { site.checks.revokedRoute() == nil }) {
            world.violated(.revokedStaysRevoked, site.checks.revokedRoute() ?? "nothing")
        }
    }

    /// All that lives is asked to end, once: also what a connect that was under way still starts.
    private func endAll() {
        world.trace("world", "all is asked to end")
        askAllToEnd()
        if !wait(Self.endLimit, until: { site.leftovers() == nil }) {
            world.violated(.everythingEnds, site.leftovers() ?? "nothing")
        }
    }

    private func askAllToEnd() {
        site.store.read { transaction throws(StoreError) in
            for row in try transaction.backends(.live, after: nil, limit: 1_000) where row.desiredEnd == nil {
                world.random.pick(site.controllers).terminate(row.id, .soft)
            }
        }
        world.after(.seconds(1)) { [self] in askAllToEnd() }
    }
}

/// A connect after the last fault: it is tried until its backend is ready and its token leads there.
private final class FinalConnect {
    private let site: Site
    private let key: String
    private var world: World { site.world }

    init(_ site: Site, _ key: String) {
        self.site = site
        self.key = key
    }

    func start(_ done: @escaping () -> Void) {
        world.random.pick(site.clients).connect(key, .ready) { [self] response in
            guard let response else {
                world.after(.seconds(1)) { [self] in start(done) }
                return
            }
            use(response, until: world.now + .seconds(3), done)
        }
    }

    private func use(_ response: ConnectResponse, until end: Int64, _ done: @escaping () -> Void) {
        for machine in site.machines where machine.droneHost?.proxy.request(response.token) == .relayed {
            return done()
        }
        if world.now < end {
            world.after(.milliseconds(100)) { [self] in use(response, until: end, done) }
        } else {
            world.trace("client", "\(response.backendID) was granted as ready and cannot be used: connects again")
            start(done)
        }
    }
}

import Drone
import HTTP
import Linux
import Model
import Warden
import WardenProtocol

/// A warden's process around the ledger that ships: what the ledger decides is done to the simulated kernel.
final class WardenHost {
    let process: SimulatedProcess
    private let machine: Machine
    private var ledger = WardenLedger()
    /// What the kernel has of each backend that the ledger knows.
    private var sandboxes: [BackendID: Sandbox] = [:]
    private var connection: WardenConnection?
    private var timer: TimerToken?
    private var timerDeadline: BootInstant?
    private var lastHeard: Int64 = 0
    private var world: World { machine.site.world }

    init(_ machine: Machine) {
        self.machine = machine
        process = SimulatedProcess(machine.site.world, "warden \(machine.index)", machine.clock)
        ledger.defects = machine.site.world.defects
    }

    /// How many backends it keeps something of.
    var recordCount: Int { sandboxes.count }

    func die() {
        process.die()
        connection?.close()
        connection = nil
    }

    // MARK: The drone

    /// A drone connects; the one before must not act any more. Hello and list are taken for one request.
    func accept(_ connection: WardenConnection) {
        self.connection?.close()
        self.connection = connection
        let welcome = WardenWelcome(
            version: WardenRequest.version, machine: machine.identity, missingControllers: [],
            images: [machine.site.offer])
        let listed = ledger.requested(.list, now: process.now).compactMap { action -> ListedSandbox? in
            guard case .reply(.listing(let listing)) = action else { return nil }
            return ListedSandbox(sandbox: listing, output: nil)
        }
        connection.sendToDrone(.connected(welcome, listed))
    }

    func take(_ request: WardenRequest, from connection: WardenConnection) {
        guard self.connection === connection else { return }
        perform(ledger.requested(request, now: process.now))
    }

    // MARK: What the ledger decides

    private func perform(_ actions: [WardenLedger.Action]) {
        for action in actions { perform(action) }
        arm()
    }

    private func perform(_ action: WardenLedger.Action) {
        switch action {
        case .launch(let request): launch(request)
        case .moveGuard(let backend, let deadline): sandboxes[backend]?.arm(deadline)
        case .askToEnd(let backend): sandboxes[backend]?.terminateSoftly()
        case .kill(let backend): sandboxes[backend]?.end(.killed)
        case .measure: preconditionFailure("no sandbox here has a budget")
        case .makeSockets(let backend, _): connection?.sendToDrone(.sockets(backend, [], message: nil))
        case .reply(let reply): send(reply)
        case .discard(let backend): if let sandbox = sandboxes.removeValue(forKey: backend) { machine.forget(sandbox) }
        case .log(let backend, let line): world.trace(process.name, "\(backend): \(line)")
        }
    }

    private func send(_ reply: WardenReply) {
        switch reply {
        case .spawned(let backend): connection?.sendToDrone(.spawned(backend, output: nil))
        case .refused(let backend, let message): connection?.sendToDrone(.refused(backend, message: message))
        case .exited(let backend, let exit): connection?.sendToDrone(.exited(backend, exit))
        case .sockets(let backend, let message): connection?.sendToDrone(.sockets(backend, [], message: message))
        case .welcome, .listing, .listed: preconditionFailure("a list was not asked for")
        }
    }

    private func arm() {
        guard ledger.nextWake != timerDeadline else { return }
        if let timer { process.cancel(timer) }
        timer = nil
        timerDeadline = ledger.nextWake
        guard let deadline = timerDeadline, deadline.nanoseconds < UInt64(Int64.max / 4) else { return }
        timer = process.schedule(after: deadline - process.now) { [weak self] in
            guard let self else { return }
            timerDeadline = nil
            perform(ledger.tick(now: process.now))
        }
    }

    // MARK: The kernel

    private func launch(_ request: SpawnRequest) {
        let backend = request.backend
        if world.random.happens(10) {
            return perform(ledger.startFailed(backend, "the kernel has no more memory"))
        }
        let sandbox = machine.site.makeSandbox(on: machine, request)
        sandboxes[backend] = sandbox
        machine.launch(sandbox)
        ledger.launched(backend, budget: nil, now: process.now)
        sandbox.onSettled = { [weak self] in
            self?.hear { host in host.perform(host.ledger.started(backend)) }
        }
        sandbox.onEnded = { [weak self] end, wasStarting in
            self?.hear { host in host.ended(backend, end, wasStarting: wasStarting) }
        }
    }

    /// A descriptor of a sandbox becomes readable. That it has ended is looked for only when its start is settled.
    private func hear(_ work: @escaping (WardenHost) -> Void) {
        lastHeard = max(lastHeard, world.now + world.random.draw(50_000...400_000))
        world.at(lastHeard) { [weak self] in
            self?.process.deliver { [weak self] in if let self { work(self) } }
        }
    }

    private func ended(_ backend: BackendID, _ end: Sandbox.End, wasStarting: Bool) {
        if wasStarting { return perform(ledger.startFailed(backend, "it ended while it was being started")) }
        let manner: SandboxEnd.Manner =
            switch end {
            case .exited(let code): .command(.exited(code: code))
            case .killed: .killed
            case .deadline: .deadline
            }
        perform(ledger.processEnded(backend, SandboxEnd(manner)))
        // What the kernel still holds is let go of a little later.
        world.after(world.random.draw(100_000...(.milliseconds(5)))) { [weak self] in
            self?.process.deliver { [weak self] in
                guard let self else { return }
                perform(ledger.cleared(backend))
            }
        }
    }
}

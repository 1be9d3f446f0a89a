import HTTP
import Linux
import Model
import Proxy
import WardenProtocol

/// What the warden says.
extension Drone {
    func take(_ event: WardenEvent) {
        switch event {
        case .connected(let welcome, let listed): connected(welcome, listed)
        case .offers(let images):
            offer(images)
            log("images that can be started: \(imageNames)")
            link.redial(because: "The drone's images have changed.")
        case .spawned(let id, let output):
            guard let backend = backends[id] else { return }
            read(output, of: backend)
            perform(backend.lifecycle.spawned(), on: backend)
        case .refused(let id, let message):
            guard let backend = backends[id] else { return }
            perform(backend.lifecycle.refused(message), on: backend)
        case .exited(let id, let exit):
            guard let backend = backends[id] else { return }
            ended(backend, exit)
        case .sockets(let id, let sockets, let message): received(sockets, message, for: id)
        case .disconnected(let cause): disconnected(cause)
        }
    }

    private var imageNames: String {
        offers.isEmpty ? "none" : offers.keys.map(\.text).sorted().joined(separator: ", ")
    }

    private func offer(_ images: [ImageOffer]) {
        offers = Dictionary(images.map { ($0.image, $0) }) { first, _ in first }
    }

    private func connected(_ welcome: WardenWelcome, _ listed: [ListedSandbox]) {
        if !welcome.missingControllers.isEmpty {
            let names = welcome.missingControllers.joined(separator: ", ")
            switch configuration.controllers {
            case .required:
                return refuse(
                    DroneRefusal(
                        "cannot start: the warden's machine does not offer \(names) as cgroup v2 controllers, so their "
                            + "limits would not hold. Boot with systemd.unified_cgroup_hierarchy=1, or pass "
                            + "--allow-missing-controllers to run without these limits."))
            case .optional: log("NOT ENFORCED: \(names): limits of these are not kept on this machine")
            }
        }
        machine = welcome.machine
        offer(welcome.images)
        reconcile(listed)
        guard case .starting = stage else { return }
        stage = .running
        log("connected to the warden; images that can be started: \(imageNames)")
        link.start()
    }

    /// Makes what the drone has what the warden has.
    private func reconcile(_ listed: [ListedSandbox]) {
        var present: Set<BackendID> = []
        for item in listed {
            present.insert(item.sandbox.backend)
            let backend = backends[item.sandbox.backend] ?? adopt(item.sandbox)
            if backend.output == nil, backend.lifecycle.status != .terminated { read(item.output, of: backend) }
            if let exit = item.sandbox.exit {
                ended(backend, exit)
            } else {
                perform(backend.lifecycle.listed(), on: backend)
            }
        }
        for backend in hosted {
            if !present.contains(backend.id) { perform(backend.lifecycle.notListed(), on: backend) }
            begin(backend)
            askOwedSockets(backend)
        }
        if let deadline = lease.spawnDeadline(now: clock.now) { extendBackends(until: deadline) }
    }

    private func adopt(_ sandbox: SandboxListing) -> HostedBackend {
        let offer = offers[sandbox.image]
        // The note of another version of the program cannot be read: then what its image says now has to do.
        let note =
            BackendNote(sandbox.note)
            ?? BackendNote(
                keyName: "", terms: offer.map { BackendLifecycle.Terms($0, lifetimeEnd: nil) } ?? .unknown,
                startupDeadline: clock.now, maxIdleSeconds: nil)
        let backend = HostedBackend(
            sandbox, note, timeoutSeconds: offer?.readiness.timeoutSeconds ?? 0, now: clock.now)
        backends[backend.id] = backend
        log("\(backend.id): found running, key \(backend.keyName), fencing token \(backend.fencingToken)")
        if sandbox.exit == nil {
            backend.admit(until: sandbox.hardDeadline)
            perform(backend.lifecycle.resumed(), on: backend)
        }
        return backend
    }

    private func read(_ output: OwnedDescriptor?, of backend: HostedBackend) {
        if let output { backend.output = ports.output(output, backend.id.text) }
    }

    private func ended(_ backend: HostedBackend, _ exit: SandboxExit) {
        let lastOutput = backend.output?.finish() ?? ""
        backend.output = nil
        perform(backend.lifecycle.exited(exit, lastOutput: lastOutput), on: backend)
    }

    private func received(_ sockets: [OwnedDescriptor], _ message: String?, for id: BackendID) {
        guard let backend = backends[id], let creditor = backend.debts.answered(count: sockets.count) else { return }
        if let message { logTrouble("\(id): no sockets: \(message)") }
        switch creditor {
        case .probe: if let socket = sockets.first { backend.readiness?.give(socket) }
        case .proxy(let thread):
            let numbers = sockets.compactMap { $0.release() }
            if !numbers.isEmpty { proxy.giveSockets(numbers, id.text, thread) }
        }
    }

    private func disconnected(_ cause: String) {
        for backend in hosted { backend.debts.disconnected() }
        if case .starting(let limit) = stage, clock.now >= limit {
            return refuse(
                DroneRefusal(
                    "\(cause). Start plane-warden first; its socket belongs to the user given with --drone-user."))
        }
        logTrouble("\(cause); trying again")
    }
}

extension BackendLifecycle.Terms {
    /// What an image asks for.
    init(_ offer: ImageOffer, lifetimeEnd: BootInstant?) {
        self.init(
            port: offer.port, readiness: offer.readiness, grace: .seconds(Int64(offer.gracePeriodSeconds)),
            lifetimeEnd: lifetimeEnd)
    }

    /// What is assumed of a backend whose image is not here: the defaults of a policy.
    static let unknown = BackendLifecycle.Terms(
        port: 8080, readiness: SandboxPlan.Readiness(port: 8080, timeoutSeconds: 0), grace: .seconds(10),
        lifetimeEnd: nil)
}

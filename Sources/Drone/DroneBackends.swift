import HTTP
import Linux
import Model
import Proxy
import WardenProtocol

/// Doing what a backend's lifecycle decides.
extension Drone {
    /// Does it, in order, and sets the timer for what comes by itself.
    func perform(_ actions: [BackendLifecycle.Action], on backend: HostedBackend) {
        for action in actions { perform(action, on: backend) }
        guard backends[backend.id] === backend else { return }
        rearm(backend)
        stopIfAllEnded()
    }

    /// Ends a backend for a reason of the drone's.
    func terminate(
        _ backend: HostedBackend, _ kind: TerminationKind, _ reason: TerminationReason, message: String
    ) {
        perform(backend.lifecycle.terminate(kind, reason, message: message, now: clock.now), on: backend)
    }

    /// Starts what waits for a warden or a lease.
    func begin(_ backend: HostedBackend) {
        guard warden.isReady, backend.lifecycle.status == .loading else { return }
        guard lease.spawnDeadline(now: clock.now) != nil else {
            return terminate(
                backend, .hard, .keyExpired, message: "The drone held no lease of its controller any more.")
        }
        perform(backend.lifecycle.begin(now: clock.now), on: backend)
    }

    /// Closes what the drone holds open for it.
    func release(_ backend: HostedBackend) {
        backend.readiness?.stop()
        backend.readiness = nil
        backend.output = nil
        if let timer = backend.timer { clock.cancel(timer) }
        backend.timer = nil
    }

    /// Asks the warden for the sockets that somebody waits for.
    func askOwedSockets(_ backend: HostedBackend) {
        guard warden.isReady, backend.debts.isOwing else { return }
        switch backend.lifecycle.status {
        case .waiting, .ready, .terminating:
            for request in backend.debts.takeOwed() {
                warden.send(.sockets(backend.id, count: UInt8(request.count)))
            }
        case .scheduled, .loading, .starting, .hardTerminating, .terminated: break
        }
    }

    /// Cuts every connection of it, and lets none in any more.
    func cut(_ backend: HostedBackend, _ reason: String) {
        proxy.send(.setGate(backend: backend.id.text, .gone(reason: reason)))
        perform(routes.closed(backend: backend.id.text))
    }

    private func perform(_ action: BackendLifecycle.Action, on backend: HostedBackend) {
        switch action {
        case .report(let state): report(state, of: backend)
        case .holdRequests:
            if let deadline = lease.spawnDeadline(now: clock.now) { backend.admit(until: deadline) }
            proxy.send(.addBackend(id: backend.id.text, backend.activity))
        case .admitRequests:
            backend.idle = IdleTracker(now: clock.now, started: backend.activity.started)
            proxy.send(.setGate(backend: backend.id.text, .ready(port: backend.lifecycle.terms.port)))
        case .refuseRequests: perform(routes.closed(backend: backend.id.text))
        case .cutConnections(let reason): cut(backend, reason)
        case .askSpawn: askSpawn(backend)
        case .askTerminate(let kind): warden.send(.terminate(backend.id, kind))
        case .startProbing: startProbing(backend)
        case .stopProbing:
            backend.readiness?.stop()
            backend.readiness = nil
        case .forget: forget(backend)
        }
    }

    private func report(_ state: BackendState, of backend: HostedBackend) {
        let reason = state.message.map { ": \($0)" } ?? ""
        log("\(backend.id): \(state.status.rawValue)\(reason)")
        backend.reportedAt = clock.now
        if welcome == .received {
            link.send(.state(backend: backend.id.text, fencingToken: backend.fencingToken.value, state: state))
        }
    }

    private func askSpawn(_ backend: HostedBackend) {
        guard let order = backend.order, let deadline = lease.spawnDeadline(now: clock.now) else {
            preconditionFailure("a backend is begun under a lease, and once")
        }
        backend.order = nil
        backend.admit(until: deadline)
        let terms = backend.lifecycle.terms
        let note = BackendNote(
            keyName: order.keyName, terms: terms, startupDeadline: clock.now + terms.startupTimeout,
            maxIdleSeconds: order.maxIdleSeconds)
        warden.send(
            .spawn(
                SpawnRequest(
                    backend: backend.id, image: backend.image,
                    environment: HostedBackend.environment(order, port: terms.port), limits: order.limits,
                    hardDeadline: deadline, fencingToken: backend.fencingToken, note: note.encoded())))
    }

    private func startProbing(_ backend: HostedBackend) {
        let askSocket = { [weak self, weak backend] in
            guard let self, let backend else { return }
            backend.debts.ask(.probe, count: 1)
            askOwedSockets(backend)
        }
        let watch = ports.readiness(backend.lifecycle.terms.readiness, askSocket) { [weak self, weak backend] outcome in
            guard let self, let backend else { return }
            switch outcome {
            case .answered: perform(backend.lifecycle.answered(), on: backend)
            case .failed(let problem): backend.lifecycle.probeFailed(problem)
            }
        }
        backend.readiness = watch
        watch.start()
    }

    private func forget(_ backend: HostedBackend) {
        warden.send(.forget(backend.id))
        proxy.send(.removeBackend(id: backend.id.text))
        release(backend)
        backends[backend.id] = nil
        routes.forgotten(backend: backend.id.text)
        if !defects.contains(.orderRepeatsStart) { forgotten.insert(backend.id, backend.fencingToken) }
        stopIfAllEnded()
    }

    private func rearm(_ backend: HostedBackend) {
        if let timer = backend.timer { clock.cancel(timer) }
        backend.timer = backend.lifecycle.nextWake.map { moment in
            clock.schedule(after: moment - clock.now) { [weak self, weak backend] in
                guard let self, let backend else { return }
                perform(backend.lifecycle.tick(now: clock.now), on: backend)
            }
        }
    }
}

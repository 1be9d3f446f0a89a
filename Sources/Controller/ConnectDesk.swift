import HTTP
import Linux
import Model
import Store

/// Answers connects: runs each as a job, lets those wait that must, and tells the drone before it tells the caller.
final class ConnectDesk {
    /// A connect that is not answered yet.
    private final class Visitor {
        let number: UInt64
        let request: ConnectRequest
        let caller: any ConnectCaller
        let arrived: BootInstant
        /// Jobs that were run for it, but those after a wait.
        var attempts = 0

        init(_ number: UInt64, _ request: ConnectRequest, _ caller: any ConnectCaller, _ now: BootInstant) {
            self.number = number
            self.request = request
            self.caller = caller
            arrived = now
        }
    }

    /// What one waits for, and when it has waited long enough.
    private enum Reason {
        /// To be tried again.
        case retry(ConnectWait)
        /// Granted; the answer is held back until the backend is ready.
        case ready(ConnectOutcome.Connected)

        var backend: BackendID {
            switch self {
            case .retry(.end(let backend)), .retry(.drone(_, let backend)): backend
            case .ready(let connected): connected.backend.id
            }
        }
    }

    /// Attempts that may follow each other without a wait.
    private static let attemptsMax = 8

    private unowned let controller: Controller
    private var waiting: [UInt64: (visitor: Visitor, reason: Reason, timer: TimerToken)] = [:]
    private var lastNumber: UInt64 = 0

    init(_ controller: Controller) { self.controller = controller }

    /// Answers a request, in time.
    func connect(_ request: ConnectRequest, _ caller: any ConnectCaller) {
        lastNumber += 1
        attempt(Visitor(lastNumber, request, caller, controller.clock.now))
    }

    // MARK: What others tell

    /// A state of a backend is durable: what waited for it goes on.
    func reached(_ state: BackendState, _ backend: BackendID) {
        if waiting.isEmpty { return }
        for number in numbers(where: { $0.backend == backend }) {
            switch waiting[number]?.reason {
            case .retry: if state.status == .terminated { retry(number) }
            case .ready(let connected): settleReady(number, connected, state)
            case nil: break
            }
        }
    }

    /// A drone takes orders again: what waited for that goes on.
    func returned(_ drone: DroneName) {
        for number in numbers(where: { if case .retry(.drone(drone, _)) = $0 { true } else { false } }) {
            retry(number)
        }
    }

    /// Anything may have changed: what waits for a drone or for an end is tried again.
    func retryAll() {
        for number in numbers(where: { if case .retry = $0 { true } else { false } }) { retry(number) }
    }

    /// Backends that somebody waits for.
    var awaited: [BackendID] { waiting.values.map(\.reason.backend) }

    /// In the order of arrival.
    private func numbers(where isMeant: (Reason) -> Bool) -> [UInt64] {
        waiting.filter { isMeant($0.value.reason) }.keys.sorted()
    }

    // MARK: Attempts

    private func retry(_ number: UInt64) {
        guard let visitor = take(number) else { return }
        visitor.attempts = 0
        attempt(visitor)
    }

    private func take(_ number: UInt64) -> Visitor? {
        guard let entry = waiting.removeValue(forKey: number) else { return nil }
        controller.clock.cancel(entry.timer)
        return entry.visitor
    }

    private func attempt(_ visitor: Visitor) {
        // Whoever has gone away while waiting needs no backend.
        if visitor.caller.isGone {
            return visitor.caller.refuse(
                Failure(.other, status: 503, "The client went away before its turn came."))
        }
        visitor.attempts += 1
        let job = ConnectJob(
            request: visitor.request, secrets: ConnectSecrets(controller.random),
            drones: controller.sessions.view(now: controller.clock.now),
            defaultCluster: controller.configuration.defaultCluster, bestOf: controller.configuration.bestOf,
            defects: controller.defects)
        controller.store.perform({ store throws(StoreError) in try job.run(store) }) { [weak self] result in
            guard let self else { return }
            switch result {
            case .failure(let error):
                // It may have happened all the same: then its order is on the rows.
                controller.orders.doubt()
                controller.log(.error, "connect-failed", ["reason": error.description])
                visitor.caller.refuse(Failure(error))
            case .success(.refused(let refusal)): refuse(visitor, refusal)
            case .success(.viewOld(let refusal)): renew(visitor, refusal)
            case .success(.wait(let wait)): park(visitor, wait)
            case .success(.connected(let connected)): settle(visitor, connected)
            }
        }
    }

    private func refuse(_ visitor: Visitor, _ refusal: ConnectRefusal) { visitor.caller.refuse(Failure(refusal)) }

    /// What was known of drones was not true any more: it is read again, and the connect decided anew.
    private func renew(_ visitor: Visitor, _ refusal: ConnectRefusal) {
        guard visitor.attempts < Self.attemptsMax else { return refuse(visitor, refusal) }
        controller.watch.refresh { [weak self] in self?.attempt(visitor) }
    }

    private func park(_ visitor: Visitor, _ wait: ConnectWait) {
        // The drone may have been welcomed while the job waited for the store: nobody would wake this one any more.
        if case .drone(let drone, _) = wait, visitor.attempts < Self.attemptsMax,
            case .linked = controller.sessions.health(of: drone, now: controller.clock.now)
        {
            return attempt(visitor)
        }
        let limit =
            switch wait {
            case .end: ControllerConfiguration.endWait
            case .drone: ControllerConfiguration.droneWait
            }
        let waited = controller.clock.now - visitor.arrived
        guard waited < limit else { return refuse(visitor, wait.refusal) }
        hold(visitor, .retry(wait), for: limit - waited) { [weak self] in self?.attempt(visitor) }
    }

    private func hold(
        _ visitor: Visitor, _ reason: Reason, for time: Duration, then: @escaping () -> Void
    ) {
        let number = visitor.number
        let timer = controller.clock.schedule(after: time) { [weak self] in
            if self?.take(number) != nil { then() }
        }
        waiting[number] = (visitor, reason, timer)
    }

    // MARK: Granted

    /// All of it is durable. The drone hears of the backend and the token before the caller can use them, if it is linked
    /// here; if not, the controller that has its link brings it the order, and it asks for the token.
    private func settle(_ visitor: Visitor, _ connected: ConnectOutcome.Connected) {
        let backend = connected.backend
        let isHeld = controller.sessions.holds(backend.spec.drone, backend.session)
        guard isHeld || controller.defects.contains(.placementUnchecked) else {
            // Its drone was given up while the job waited: what was promised is lost, and the end comes before the next
            // attempt's job; or this controller has not yet heard of the session.
            return renew(visitor, .droneSilent(backend.spec.drone, backend.id))
        }
        if case .spawned = connected.origin {
            controller.orders.placed(backend)
            logSpawned(backend)
        }
        controller.links.send(.route(connected.grant), to: backend.spec.drone)
        switch (visitor.request.wait, backend.state.status) {
        case (.none, _), (.ready, .ready): visitor.caller.answer(response(connected))
        case (.ready, _): awaitReady(visitor, connected)
        }
    }

    private func logSpawned(_ backend: BackendRow) {
        let spec = backend.spec
        controller.log(
            .info, "spawned",
            [
                "backend": spec.id.text, "key": spec.key.name, "namespace": spec.key.namespace,
                "drone": spec.drone.text, "image": spec.executable.image.text,
                "fencing_token": backend.fencingToken.description,
            ])
    }

    private func awaitReady(_ visitor: Visitor, _ connected: ConnectOutcome.Connected) {
        let waited = controller.clock.now - visitor.arrived
        let time = max(.zero, ControllerConfiguration.readyWait - waited)
        hold(visitor, .ready(connected), for: time) { [weak self] in
            self?.refuse(visitor, .notReadyYet(connected.backend.id))
        }
    }

    private func settleReady(_ number: UInt64, _ connected: ConnectOutcome.Connected, _ state: BackendState) {
        guard state.status >= .ready, let visitor = take(number) else { return }
        guard state.status == .ready else {
            return refuse(visitor, .endedBeforeReady(connected.backend.id, state))
        }
        var connected = connected
        connected.backend.state = state
        visitor.caller.answer(response(connected))
    }

    private func response(_ connected: ConnectOutcome.Connected) -> ConnectResponse {
        let spec = connected.backend.spec
        let grant = connected.grant
        guard let token = BearerToken(grant.token) else { preconditionFailure("a grant holds a token") }
        let host = spec.subdomain.map { "\($0).\(spec.cluster)" } ?? spec.cluster.text
        let drone: DroneName? =
            switch connected.origin {
            case .spawned: spec.drone
            case .reused: nil
            }
        return ConnectResponse(
            backendID: spec.id, spawned: drone != nil, status: connected.backend.state.status, token: token,
            url: "\(spec.cluster.scheme)://\(host)/\(grant.token)/", subdomain: spec.subdomain,
            secretToken: token.kind == .fixed ? nil : grant.secretToken,
            statusURL: "\(controller.configuration.controllerURL)/pub/b/\(spec.id)/status", drone: drone,
            fencingToken: connected.backend.fencingToken)
    }
}

import HTTP
import Linux
import Model
import Store

/// Answers connects: runs each as a job, lets those wait that must, and tells the drone before it tells the caller.
final class ConnectDesk {
    /// A connect that is not answered yet.
    private final class Visitor {
        let request: ConnectRequest
        let caller: Caller
        let arrived: BootInstant

        init(_ request: ConnectRequest, _ caller: Caller) {
            self.request = request
            self.caller = caller
            arrived = .now
        }
    }

    private unowned let controller: Controller
    private var waiting: [ObjectIdentifier: (visitor: Visitor, wait: ConnectWait)] = [:]

    init(_ controller: Controller) { self.controller = controller }

    /// Answers a request, in time.
    func connect(_ request: ConnectRequest, _ caller: Caller) { attempt(Visitor(request, caller)) }

    /// A backend has terminated: what waited for that goes on.
    func ended(_ backend: BackendID) {
        resume {
            switch $0 {
            case .end(backend), .drone(_, of: backend): true
            case .end, .drone: false
            }
        }
    }

    /// A drone takes orders again: what waited for that goes on.
    func returned(_ drone: DroneName) {
        resume {
            switch $0 {
            case .drone(drone, _): true
            case .end, .drone: false
            }
        }
    }

    private func resume(where isOver: (ConnectWait) -> Bool) {
        for (id, entry) in waiting where isOver(entry.wait) {
            waiting[id] = nil
            attempt(entry.visitor)
        }
    }

    private func attempt(_ visitor: Visitor) {
        // Whoever has gone away while waiting needs no backend.
        if visitor.caller.responder.isClientGone { return drop(visitor) }
        let job = ConnectJob(
            request: visitor.request, secrets: ConnectSecrets(), linked: controller.sessions.linked,
            defaultCluster: controller.configuration.defaultCluster, bestOf: controller.configuration.bestOf)
        controller.store.perform({ store throws(StoreError) in try job.run(store) }) { [self] result in
            switch result {
            case .failure(let error): visitor.caller.refuse(error)
            case .success(.refused(let refusal)): refuse(visitor, refusal)
            case .success(.wait(let wait)): park(visitor, wait)
            case .success(.connected(let connected)): settle(visitor, connected)
            }
        }
    }

    private func drop(_ visitor: Visitor) {
        visitor.caller.answer(.text(503, "The client went away before its turn came."))
    }

    private func park(_ visitor: Visitor, _ wait: ConnectWait) {
        // The drone may have been welcomed while the job waited for the store: nobody would wake this one any more.
        if case .drone(let drone, _) = wait, controller.sessions.link(of: drone) != nil { return attempt(visitor) }
        let limit =
            switch wait {
            case .end: ControllerConfiguration.endWait
            case .drone: ControllerConfiguration.droneWait
            }
        let waited = BootInstant.now - visitor.arrived
        guard waited < limit else { return refuse(visitor, wait.refusal) }
        let id = ObjectIdentifier(visitor)
        waiting[id] = (visitor, wait)
        controller.loop.schedule(after: limit - waited) { [weak self, weak visitor] in
            // The number may have been reused by another visitor, or this one be waiting for something else since.
            guard let self, let visitor, waiting[id]?.visitor === visitor else { return }
            waiting[id] = nil
            attempt(visitor)
        }
    }

    private func refuse(_ visitor: Visitor, _ refusal: ConnectRefusal) {
        visitor.caller.refuse(Failure(refusal))
    }

    /// All of it is durable. The drone hears of the backend and the token before the caller can use them.
    private func settle(_ visitor: Visitor, _ connected: ConnectOutcome.Connected) {
        let spec = connected.backend.spec
        guard controller.sessions.holdsLease(spec.drone) else {
            // Its drone was given up while the job waited. What was promised to it is lost; the next attempt, whose job
            // comes after that one, finds another place.
            controller.conclude(spec.drone)
            return attempt(visitor)
        }
        if case .spawned = connected.origin {
            controller.links.send(.spawn(SpawnOrder(connected.backend)), to: spec.drone)
            Log.write(
                .info, "spawned",
                [
                    "backend": spec.id.text, "key": spec.key.name, "namespace": spec.key.namespace,
                    "drone": spec.drone.text, "image": spec.executable.image.text,
                    "fencing_token": connected.backend.fencingToken.description,
                ])
        }
        controller.links.send(.route(connected.grant), to: spec.drone)
        visitor.caller.answer(Answer.json(response(connected)))
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

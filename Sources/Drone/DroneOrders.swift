import HTTP
import Linux
import Model
import WardenProtocol

/// What the controller wants done: backends started, and ended.
extension Drone {
    func spawn(_ order: SpawnOrder) {
        guard SessionNumber(order.session) == session || defects.contains(.oldOrdersObeyed) else {
            return log("\(order.backend): an order of session \(order.session) is not carried out")
        }
        guard let id = try? BackendID(order.backend), let image = try? ImageName(order.image) else {
            let state = BackendState(
                .terminated, reason: .internalError, message: "Its id or its image has a name that is none.",
                endReason: .startFailed)
            return link.send(.state(backend: order.backend, fencingToken: order.fencingToken, state: state))
        }
        guard backends[id] == nil, !isOver(id, order) else { return }
        let now = clock.now
        guard let offer = offers[image] else {
            let backend = HostedBackend(order, id: id, image: image, terms: .unknown, now: now)
            backends[id] = backend
            let message = "There is no image \(image) on drone \(configuration.name). It was never started."
            return perform(backend.lifecycle.cannotStart(message), on: backend)
        }
        var order = order
        order.tighten(to: offer.ceilings)
        let terms = BackendLifecycle.Terms(offer, lifetimeEnd: order.lifetimeLimitSeconds.map { now + .seconds($0) })
        let backend = HostedBackend(order, id: id, image: image, terms: terms, now: now)
        backends[id] = backend
        switch stage {
        case .starting, .running: break
        case .stopping, .stopped:
            return terminate(backend, .hard, .external, message: "Its drone was stopped.")
        }
        perform(backend.lifecycle.ordered(now: now), on: backend)
        begin(backend)
    }

    /// Whether the order's backend has ended here. Where its end was asked for before the order came, that is told now.
    private func isOver(_ id: BackendID, _ order: SpawnOrder) -> Bool {
        let token = FencingToken(order.fencingToken)
        if forgotten.latest(id) == .unknown {
            forgotten.replace(id, token)
            let state = BackendState(.terminated, reason: .lost, message: "Its end was asked for before its start.")
            link.send(.state(backend: id.text, fencingToken: order.fencingToken, state: state))
        }
        return forgotten.contains(id, token)
    }

    func terminate(_ text: String, _ kind: TerminationKind, _ reason: TerminationReason) {
        guard let id = try? BackendID(text), let backend = backends[id] else {
            return reportUnknown(text, kind)
        }
        terminate(backend, kind, reason, message: Self.sentence(reason, maxIdle: backend.maxIdle))
    }

    private func reportUnknown(_ text: String, _ kind: TerminationKind) {
        var token: Int64 = 0
        if let id = try? BackendID(text), !defects.contains(.orderRepeatsStart) {
            // What is told to be over must stay so: an order that comes late is not to start it.
            if forgotten.latest(id) == nil { forgotten.insert(id, .unknown) }
            if let known = forgotten.latest(id), known != .unknown { token = known.value }
        }
        let message = "Its drone does not know it; nothing of it runs there."
        let state = BackendState(.terminated, reason: .lost, kind: kind, message: message)
        link.send(.state(backend: text, fencingToken: token, state: state))
    }

    /// Why a controller ends a backend, for a person.
    private static func sentence(_ reason: TerminationReason, maxIdle: Duration?) -> String {
        switch reason {
        case .external: "Its end was asked for."
        case .swept:
            maxIdle.map { "Nobody had a connection or sent a request for \($0.components.seconds) s." }
                ?? "Its lifetime limit was reached."
        case .keyExpired: "Its lease has expired."
        case .lost: "Its controller has given it up."
        case .startupTimeout: "It did not start in time."
        case .internalError: "Its controller met an error."
        }
    }
}

extension SpawnOrder {
    /// The policy's ends hold where the order says nothing, or says more because the policy was tightened since. Its
    /// other limits are the warden's to hold against the policy.
    fileprivate mutating func tighten(to ceilings: ResourceCeilings) {
        lifetimeLimitSeconds = ResourceCeilings.tighter(lifetimeLimitSeconds, ceilings.lifetimeSeconds)
        maxIdleSeconds = ResourceCeilings.tighter(maxIdleSeconds, ceilings.idleSeconds)
    }
}

extension FencingToken {
    /// Of a backend whose end was asked for before anything else of it was known; above all that are given out.
    fileprivate static let unknown = FencingToken(.max)
}

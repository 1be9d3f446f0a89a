import HTTP
import Linux
import Model
import Proxy
import WardenProtocol

/// What the controller says, and what the lease and the routes make of it.
extension Drone {
    func take(_ event: ControllerLink.Event) {
        switch event {
        case .opened:
            welcome = .awaited
            // The moment before the bytes leave: the lease's deadlines count from it.
            lease.helloSent(now: .now)
            link.send(.hello(hello))
        case .received(let message): take(message)
        case .closed(let cause):
            welcome = .awaited
            lease.disconnected()
            rearmLease()
            proxy.send(.setReadiness(.notReady))
            logTrouble("no connection to the controller: \(cause); trying again")
            stopIfAllEnded()
        }
    }

    private func take(_ message: ControllerMessage) {
        if case .welcome(let controller, let times, let keep) = message {
            return welcomed(by: controller, times, keep)
        }
        guard welcome == .received else { return link.redial(because: "The controller spoke before its welcome.") }
        switch message {
        case .welcome: break
        case .renewed(let sequence): perform(lease.renewed(sequence: sequence, now: .now))
        case .spawn(let order): spawn(order)
        case .terminate(let id, let kind, let reason): terminate(id, kind, reason)
        case .inUse(let id, let connects):
            guard let id = try? BackendID(id), let backend = backends[id] else { return }
            backend.sweepAskedAt = nil
            backend.connected(connects, now: .now)
        case .route(let grant): take(grant)
        case .routeAnswer(let token, let grant):
            if let grant, grant.token == token { take(grant) } else { perform(routes.denied(token)) }
        case .stateSaved(let id, let status):
            guard let id = try? BackendID(id), let backend = backends[id] else { return }
            perform(backend.lifecycle.stateSaved(status), on: backend)
            guard status == .terminated, backend.lifecycle.status != .terminated else { return }
            terminate(backend, .hard, .lost, message: "The controller takes it for ended.")
        }
    }

    private func welcomed(by controller: String, _ unchecked: LeaseTimes, _ keep: [String]) {
        let times: LeaseTimes
        do throws(InvalidValue) {
            times = try LeaseTimes(
                renew: unchecked.renewMilliseconds, soft: unchecked.softMilliseconds, hard: unchecked.hardMilliseconds,
                expiry: unchecked.expiryMilliseconds)
        } catch { return link.redial(because: "The controller's \(error)") }
        welcome = .received
        link.confirmed()
        lastTrouble = ""
        log.write("welcomed by \(controller)")
        let kept = Set(keep)
        // Before the lease goes on, so that what is not kept is killed and not granted more time.
        for backend in Array(backends.values) where !kept.contains(backend.id.text) {
            terminate(
                backend, .hard, .lost, message: "The controller does not know it, or has given its key to another.")
        }
        perform(lease.welcomed(times, now: .now))
        for backend in Array(backends.values) {
            begin(backend)
            tellUnsaved(backend, now: .now)
            // This controller may be another one, which has heard nothing yet.
            backend.toldTraffic = nil
        }
        perform(routes.linkOpened(now: .now))
        proxy.send(.setReadiness(.ready))
    }

    // MARK: Lease

    private func perform(_ actions: [SessionLease.Action]) {
        for action in actions {
            switch action {
            case .sendRenewal(let sequence): link.send(.renew(sequence: sequence))
            case .extendBackends(let deadline): extendBackends(until: deadline)
            case .softExpired: loseLease(.soft)
            case .hardExpired: loseLease(.hard)
            }
        }
        rearmLease()
    }

    private func loseLease(_ kind: TerminationKind) {
        log.write("no word from the controller in time: ends its backends (\(kind.rawValue))")
        for backend in Array(backends.values) {
            terminate(backend, kind, .keyExpired, message: "The drone had no word from its controller in time.")
        }
    }

    private func rearmLease() {
        if let timer = leaseTimer { loop.cancel(timer) }
        leaseTimer = lease.nextWake.map { moment in
            loop.schedule(after: moment - .now) { [weak self] in
                guard let self else { return }
                perform(lease.tick(now: .now))
            }
        }
    }

    /// Lets the warden keep every backend until then.
    func extendBackends(until deadline: BootInstant) {
        let running = backends.values.filter {
            $0.lifecycle.status >= .starting && $0.lifecycle.status < .hardTerminating
        }
        var deadlines = running.map { BackendDeadline(backend: $0.id, deadline: deadline) }[...]
        while !deadlines.isEmpty {
            warden.send(.extend(Array(deadlines.prefix(WardenRequest.deadlinesMax))))
            deadlines = deadlines.dropFirst(WardenRequest.deadlinesMax)
        }
    }

    // MARK: Orders

    private func spawn(_ order: SpawnOrder) {
        guard let id = try? BackendID(order.backend), let image = try? ImageName(order.image) else {
            let state = BackendState(
                .terminated, reason: .internalError, message: "Its id or its image has a name that is none.",
                endReason: .startFailed)
            return link.send(.state(backend: order.backend, state: state))
        }
        guard backends[id] == nil, !forgotten.contains(id, FencingToken(order.fencingToken)) else { return }
        let now = BootInstant.now
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

    private func terminate(_ text: String, _ kind: TerminationKind, _ reason: TerminationReason) {
        guard let id = try? BackendID(text), let backend = backends[id] else {
            let state = BackendState(
                .terminated, reason: .lost, kind: kind, message: "Its drone does not know it; nothing of it runs there."
            )
            return link.send(.state(backend: text, state: state))
        }
        terminate(backend, kind, reason, message: Self.sentence(reason, maxIdle: backend.maxIdle))
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

    // MARK: Routes

    private func take(_ grant: RouteGrant) {
        let backend = (try? BackendID(grant.backend)).flatMap { backends[$0] }
        backend?.connected(grant.connects, now: .now)
        perform(routes.granted(grant, backend?.reach ?? .unreachable, now: .now))
    }

    func perform(_ actions: [RouteBook.Action]) {
        for action in actions {
            switch action {
            case .ask(let token): if welcome == .received { link.send(.routeRequest(token: token)) }
            case .set(let grant, let expires): setRoute(grant, expires: expires)
            case .unknown(let token): proxy.send(.routeUnknown(token: token))
            case .remove(let token): proxy.send(.removeRoute(token: token))
            }
        }
    }

    private func setRoute(_ grant: RouteGrant, expires: BootInstant) {
        let backend = (try? BackendID(grant.backend)).flatMap { backends[$0] }
        do throws(Route.Invalid) {
            let route = try Route(
                token: grant.token, backend: grant.backend, kind: grant.token.hasPrefix("s.") ? .fixed : .dynamic,
                cluster: grant.cluster, subdomain: grant.subdomain, expiresAtNanoseconds: expires.nanoseconds,
                identity: Route.Identity(
                    username: grant.user, userData: grant.userData, secret: grant.secretToken,
                    fencingToken: backend?.fencingToken.value))
            proxy.send(.setRoute(route))
        } catch {
            log.write("\(grant.backend): a token was refused: \(error)")
            proxy.send(.routeUnknown(token: grant.token))
        }
    }

    // MARK: The proxy

    /// What the proxy asks for.
    func take(_ event: ProxyEvent) {
        switch event {
        case .needRoute(let token): perform(routes.needed(token, now: .now))
        case .needSockets(let id, let thread, let count):
            guard let id = try? BackendID(id), let backend = backends[id] else { return }
            backend.debts.ask(.proxy(thread: thread), count: count)
            askOwedSockets(backend)
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

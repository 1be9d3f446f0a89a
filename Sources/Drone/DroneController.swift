import HTTP
import Linux
import Model
package import Proxy
import WardenProtocol

/// What the controller says, and what the lease and the routes make of it.
extension Drone {
    func take(_ event: LinkEvent) {
        switch event {
        case .opened:
            welcome = .awaited
            // The moment before the bytes leave: the lease's deadlines count from it.
            lease.helloSent(now: clock.now)
            link.send(.hello(hello))
            rearmLease()
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
        if case .welcome(let controller, let session, let times, let keep) = message {
            return welcomed(by: controller, SessionNumber(session), times, keep)
        }
        guard welcome == .received else { return link.redial(because: "The controller spoke before its welcome.") }
        switch message {
        case .welcome: break
        case .renewed(let sequence): perform(lease.renewed(sequence: sequence, now: clock.now))
        case .spawn(let order): spawn(order)
        case .terminate(let id, let kind, let reason): terminate(id, kind, reason)
        case .inUse(let id, let connects):
            guard let id = try? BackendID(id), let backend = backends[id] else { return }
            backend.sweepAskedAt = nil
            backend.connected(connects, now: clock.now)
        case .route(let grant): take(grant)
        case .routeAnswer(let token, let grant):
            if let grant, grant.token == token { take(grant) } else { perform(routes.denied(token)) }
        case .revoke(let tokens): perform(routes.revoked(tokens))
        case .stateSaved(let id, let status):
            guard let id = try? BackendID(id), let backend = backends[id] else { return }
            perform(backend.lifecycle.stateSaved(status, now: clock.now), on: backend)
            guard status == .terminated, backend.lifecycle.status != .terminated else { return }
            terminate(backend, .hard, .lost, message: "The controller takes it for ended.")
        }
    }

    private func welcomed(
        by controller: String, _ session: SessionNumber, _ unchecked: LeaseTimes, _ keep: [String]
    ) {
        let times: LeaseTimes
        do throws(InvalidValue) {
            times = try LeaseTimes(
                renew: unchecked.renewMilliseconds, soft: unchecked.softMilliseconds, hard: unchecked.hardMilliseconds,
                expiry: unchecked.expiryMilliseconds)
        } catch { return link.redial(because: "The controller's \(error)") }
        welcome = .received
        link.confirmed(times)
        self.session = session
        lastTrouble = ""
        log("welcomed by \(controller), session \(session)")
        let kept = Set(keep)
        // Before the lease goes on, so that what is not kept is killed and not granted more time.
        for backend in hosted where !kept.contains(backend.id.text) {
            terminate(
                backend, .hard, .lost, message: "The controller does not know it, or has given its key to another.")
        }
        perform(lease.welcomed(times, now: clock.now))
        for backend in hosted {
            begin(backend)
            tellUnsaved(backend, now: clock.now)
            // This controller may be another one, which has heard nothing yet.
            backend.toldTraffic = nil
        }
        perform(routes.linkOpened(now: clock.now))
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
            case .reconnect: link.redial(because: "The controller answers nothing but pings.")
            }
        }
        rearmLease()
    }

    private func loseLease(_ kind: TerminationKind) {
        log("no word from the controller in time: ends its backends (\(kind.rawValue))")
        // All of them first: what a kill takes must not leave another one's connections open meanwhile.
        if kind == .hard { for backend in hosted { cut(backend, Self.leaseLost) } }
        for backend in hosted {
            terminate(backend, kind, .keyExpired, message: Self.leaseLost)
        }
    }

    private static let leaseLost = "The drone had no word from its controller in time."

    private func rearmLease() {
        if let timer = leaseTimer { clock.cancel(timer) }
        leaseTimer = lease.nextWake.map { moment in
            clock.schedule(after: moment - clock.now) { [weak self] in
                guard let self else { return }
                perform(lease.tick(now: clock.now))
            }
        }
    }

    /// Lets the warden keep every backend until then.
    func extendBackends(until deadline: BootInstant) {
        let living = hosted.filter { $0.lifecycle.status < .hardTerminating }
        for backend in living { backend.admit(until: deadline) }
        let running = living.filter { $0.lifecycle.status >= .starting }
        var deadlines = running.map { BackendDeadline(backend: $0.id, deadline: deadline) }[...]
        while !deadlines.isEmpty {
            warden.send(.extend(Array(deadlines.prefix(WardenRequest.deadlinesMax))))
            deadlines = deadlines.dropFirst(WardenRequest.deadlinesMax)
        }
    }

    // MARK: Routes

    private func take(_ grant: RouteGrant) {
        let backend = (try? BackendID(grant.backend)).flatMap { backends[$0] }
        backend?.connected(grant.connects, now: clock.now)
        perform(routes.granted(grant, backend?.reach ?? .unreachable, now: clock.now))
    }

    func perform(_ actions: [RouteBook.Action]) {
        for action in actions {
            switch action {
            case .ask(let token): if welcome == .received { link.send(.routeRequest(token: token)) }
            case .set(let grant, let expires): setRoute(grant, expires: expires)
            case .unknown(let token): proxy.send(.routeUnknown(token: token))
            case .remove(let token): proxy.send(.removeRoute(token: token))
            case .cut(let token): proxy.send(.cutToken(token))
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
            log("\(grant.backend): a token was refused: \(error)")
            proxy.send(.routeUnknown(token: grant.token))
        }
    }

    // MARK: The proxy

    /// What the proxy asks for.
    package func take(_ event: ProxyEvent) {
        switch event {
        case .needRoute(let token): perform(routes.needed(token, now: clock.now))
        case .needSockets(let id, let thread, let count):
            guard let id = try? BackendID(id), let backend = backends[id] else { return }
            backend.debts.ask(.proxy(thread: thread), count: count)
            askOwedSockets(backend)
        }
    }
}

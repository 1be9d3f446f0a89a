import HTTP
import Linux
import Model
import Store

/// The drones' connections: hello and reconciliation, renewals, states and routes in; orders out.
final class DroneLinks {
    private final class Link {
        let id: LinkID
        let cluster: ClusterName
        let socket: any DroneSocket
        /// The drone whose secret opened it; nil when none was asked for.
        let owner: DroneName?
        var phase = Phase.new
        var helloTimer: TimerToken?

        enum Phase {
            /// It has not said hello.
            case new
            /// It said hello, and that is being recorded.
            case greeting(DroneName)
            /// It was welcomed.
            case known(DroneName)
            /// It was told to go, and nothing that it says counts any more.
            case closing
        }

        init(_ id: LinkID, _ cluster: ClusterName, _ socket: any DroneSocket, _ owner: DroneName?) {
            self.id = id
            self.cluster = cluster
            self.socket = socket
            self.owner = owner
        }

        func send(_ message: ControllerMessage) {
            switch phase {
            case .new, .greeting, .known: socket.send(message)
            case .closing: break
            }
        }
    }

    private unowned let controller: Controller
    private var links: [LinkID: Link] = [:]
    private var lastNumber: UInt64 = 0

    init(_ controller: Controller) { self.controller = controller }

    /// Sends an order to a drone if it is linked. If it is not, its next hello brings what it needs: the rows say it.
    func send(_ message: ControllerMessage, to drone: DroneName) {
        if let id = controller.sessions.link(of: drone) { links[id]?.send(message) }
    }

    /// Ends a connection, so that the drone says hello anew or goes away.
    func close(_ id: LinkID, _ reason: String) {
        guard let link = links[id] else { return }
        leave(link)
        link.phase = .closing
        link.socket.close(reason)
    }

    // MARK: What whoever made the connection tells

    func opened(_ cluster: ClusterName, _ socket: any DroneSocket, owner: DroneName?) -> LinkID {
        lastNumber += 1
        let link = Link(LinkID(number: lastNumber), cluster, socket, owner)
        links[link.id] = link
        link.helloTimer = controller.clock.schedule(after: ControllerConfiguration.helloLimit) {
            [weak self, id = link.id] in
            guard let self, let link = links[id], case .new = link.phase else { return }
            refuse(link, "no hello came")
        }
        return link.id
    }

    func closed(_ id: LinkID, _ reason: String) {
        guard let link = links.removeValue(forKey: id) else { return }
        if let timer = link.helloTimer { controller.clock.cancel(timer) }
        if let drone = leave(link) {
            controller.log(.warn, "drone-disconnected", ["drone": drone.text, "reason": reason])
        }
    }

    /// The drone is not connected by this link any more. - Returns: which, if it was.
    @discardableResult
    private func leave(_ link: Link) -> DroneName? {
        let drone: DroneName
        switch link.phase {
        case .new, .closing: return nil
        case .greeting(let name):
            // It never was on the row, or will be by a job that runs before anything written now: another hello, recorded
            // meanwhile, may be.
            _ = controller.sessions.closed(name, link: link.id)
            return name
        case .known(let name): drone = name
        }
        controller.orders.ended(drone, link.id)
        // A newer connection of the drone stays as it is, here and on its row.
        guard controller.sessions.closed(drone, link: link.id) else { return drone }
        let name = controller.name
        controller.store.perform({ store throws(StoreError) in try store.unlink(drone, from: name) }) { _ in
            // If it was not written the row says too long that the drone is connected here, which the next hello mends.
        }
        return drone
    }

    private func refuse(_ link: Link, _ reason: String) {
        controller.log(.warn, "drone-refused", ["cluster": link.cluster.text, "reason": reason])
        close(link.id, reason)
    }

    func received(_ id: LinkID, _ message: DroneMessage) {
        guard let link = links[id] else { return }
        let drone: DroneName
        switch (link.phase, message) {
        case (.closing, _): return
        case (.new, .hello(let hello)): return greet(hello, link)
        case (.new, _): return refuse(link, "the first message is not a hello")
        case (.greeting, .hello), (.known, .hello): return refuse(link, "a second hello came")
        // Its lease is the hello's until that is answered.
        case (.greeting, .renew): return
        case (.greeting(let name), _), (.known(let name), _): drone = name
        }
        switch message {
        case .hello: break
        case .renew(let sequence): renew(sequence, drone, link)
        case .state(let backend, let token, let state): record(state, of: backend, FencingToken(token), drone, link)
        case .sweep(let backend, let connects): sweep(backend, connects, drone, link)
        case .routeRequest(let token): answerRoute(token, drone, link)
        case .traffic(let reports): controller.traffic.report(reports, from: drone)
        }
    }

    // MARK: Hello

    private func greet(_ hello: DroneHello, _ link: Link) {
        let greeting: DroneGreeting
        do throws(InvalidValue) {
            greeting = try DroneGreeting(hello, in: link.cluster)
        } catch {
            return refuse(link, "\(error)")
        }
        if let owner = link.owner, owner != greeting.name {
            return refuse(link, "the secret is of drone \(owner), not of \(greeting.name)")
        }
        let drone = greeting.name
        link.phase = .greeting(drone)
        if let old = controller.sessions.greeting(drone, machine: greeting.machine, link: link.id) {
            close(old, "replaced by a newer connection")
        }
        let job = HelloJob(
            greeting: greeting, reports: hello.backends, controller: controller.name,
            lease: controller.configuration.lease, defects: controller.defects)
        controller.store.perform({ store throws(StoreError) in try job.run(store) }) { [weak self] result in
            switch result {
            case .failure(let error):
                self?.controller.log(.error, "hello-failed", ["drone": drone.text, "reason": error.description])
                self?.refuse(link, "the controller cannot record the hello")
            case .success(.otherMachine(let row)): self?.refuseOther(row, link)
            case .success(.welcomed(let outcome)): self?.welcome(outcome, link)
            }
        }
    }

    private func refuseOther(_ row: DroneRow, _ link: Link) {
        let left = controller.sessions.timeLeft(of: row.name, now: controller.clock.now)
        let seconds = left.map { "\($0.components.seconds + 1) s" } ?? "its lease's time"
        refuse(link, "\(row.name) is a drone of another machine until that is silent for \(seconds)")
    }

    private func welcome(_ outcome: HelloJob.Welcomed, _ link: Link) {
        // What is durable is published whether or not the link is still there.
        for line in outcome.lines { controller.published(line) }
        let (row, plan) = (outcome.row, outcome.reconciliation)
        let isOpen: Bool
        if case .greeting = link.phase { isOpen = links[link.id] != nil } else { isOpen = false }
        let verdict = controller.sessions.welcome(row, link: link.id, isOpen: isOpen, now: controller.clock.now)
        guard case .linked(let replaced) = verdict else {
            if isOpen { close(link.id, "replaced by a newer connection") }
            // What was recorded may have begun another session than that of the link there is.
            if let present = controller.sessions.link(of: row.name),
                controller.orders.session(of: row.name) != outcome.session
            {
                close(present, "its session is over")
            }
            return
        }
        if let replaced { close(replaced, "replaced by a newer connection") }
        link.phase = .known(row.name)
        controller.traffic.restarted(row.name)
        controller.orders.began(row.name, link.id, outcome.session, told: row.revision)
        link.send(
            .welcome(
                controller: controller.name.text, session: outcome.session.value,
                lease: controller.configuration.lease, keep: plan.keep.map(\.text)))
        for saved in plan.saved { link.send(.stateSaved(backend: saved.backend, status: saved.status)) }
        for order in plan.terminate {
            link.send(
                .terminate(backend: order.backend.text, kind: order.end.kind, reason: order.end.reason))
        }
        for backend in plan.spawn { link.send(.spawn(SpawnOrder(backend))) }
        controller.orders.send(revoked: outcome.revoked, to: row.name)
        controller.log(
            .info, "drone-connected",
            [
                "drone": row.name.text, "session": outcome.session.description,
                "cluster": row.greeting.cluster.text, "pool": row.greeting.pool, "version": row.greeting.version,
                "images": "\(row.greeting.images.count)", "kept": "\(plan.keep.count)",
                "started": "\(plan.spawn.count)", "recorded": "\(plan.record.count)",
            ])
        controller.drains.watch(row)
        controller.connects.returned(row.name)
    }

    // MARK: While linked

    private func renew(_ sequence: Int64, _ drone: DroneName, _ link: Link) {
        switch controller.sessions.renew(drone, link: link.id, now: controller.clock.now) {
        case .renewed: link.send(.renewed(sequence: sequence))
        case .toRecord(let session): record(sequence, of: session, drone, link)
        case .expired: controller.expireSessions()
        case .superseded: close(link.id, "replaced by a newer connection")
        }
    }

    /// With a shared store a renewal counts from its record: whoever might end the session goes by that.
    private func record(_ sequence: Int64, of session: SessionNumber, _ drone: DroneName, _ link: Link) {
        let name = controller.name
        controller.store.perform({ store throws(StoreError) in
            try store.renew(drone, session, by: name)
        }) { [weak self] result in
            guard let self else { return }
            switch result {
            case .failure(let error):
                // Not acknowledged, so the drone tries again.
                controller.log(.error, "renewal-failed", ["drone": drone.text, "reason": error.description])
            case .success(false) where !controller.defects.contains(.renewalRevivesExpired):
                close(link.id, "its session is over, or it is connected elsewhere")
            case .success:
                let isLinked = controller.sessions.renewalRecorded(drone, link: link.id, now: controller.clock.now)
                if isLinked { link.send(.renewed(sequence: sequence)) }
            }
        }
    }

    private func record(
        _ reported: BackendState, of text: String, _ token: FencingToken, _ drone: DroneName, _ link: Link
    ) {
        guard let id = try? BackendID(text) else { return refuse(link, "a backend's id is not one") }
        var state = reported
        if controller.defects.contains(.endAssumed), state.status >= .terminating { state.status = .terminated }
        controller.store.perform({ [state] store throws(StoreError) -> StateOutcome in
            guard let row = try store.backend(id), row.spec.drone == drone,
                row.fencingToken == token || ReportAnswer.isOfNone(state.status, token)
            else { return StateOutcome(known: nil, recording: .unknownBackend) }
            return StateOutcome(
                known: row.state.status, recording: try store.record(row.completing(state), of: id, row.fencingToken))
        }) { [weak self] result in
            guard let self else { return }
            switch result {
            case .failure(let error):
                // Not acknowledged, so the drone repeats it, but what it says of a backend that it does not know. An end
                // stays true, so that it is tried again here.
                controller.log(.error, "state-not-saved", ["backend": text, "reason": error.description])
                guard reported.status == .terminated else { return }
                controller.later { [weak self] in
                    guard let self, links[link.id] != nil else { return }
                    record(reported, of: text, token, drone, link)
                }
            case .success(let outcome):
                if case .recorded(let line) = outcome.recording {
                    controller.published(HistoryLine(backend: id, row: line))
                }
                switch ReportAnswer(reported.status, known: outcome.known) {
                case .saved:
                    // What is known may be further: a drone process that was restarted learns from it what it had reached.
                    let known = max(reported.status, outcome.known ?? reported.status)
                    link.send(.stateSaved(backend: text, status: known))
                case .kill: link.send(.terminate(backend: text, kind: .hard, reason: .lost))
                }
            }
        }
    }

    private struct StateOutcome: Sendable {
        var known: BackendStatus?
        var recording: Recording
    }

    private func sweep(_ text: String, _ connects: Int64, _ drone: DroneName, _ link: Link) {
        guard let id = try? BackendID(text) else { return refuse(link, "a backend's id is not one") }
        let job = SweepJob(backend: id, drone: drone, connects: connects)
        controller.store.perform({ store throws(StoreError) in try job.run(store) }) { [weak self] result in
            switch result {
            case .success(let answer):
                link.send(answer.message(about: id))
                if case .ordered(let row) = answer { self?.controller.orders.answered(row) }
            case .failure(let error):
                // Not answered, so the drone asks again.
                self?.controller.log(.error, "sweep-failed", ["backend": text, "reason": error.description])
            }
        }
    }

    private func answerRoute(_ text: String, _ drone: DroneName, _ link: Link) {
        guard let token = BearerToken(text) else { return link.send(.routeAnswer(token: text, grant: nil)) }
        controller.store.perform({ store throws(StoreError) -> RouteGrant? in
            guard let route = try store.route(token), route.backend.spec.drone == drone,
                route.backend.state.status != .terminated
            else { return nil }
            if case .dynamic(let row, _) = route, row.expiresMilliseconds <= store.nowMilliseconds { return nil }
            return RouteGrant(route, nowMilliseconds: store.nowMilliseconds)
        }) { [weak self] result in
            switch result {
            case .success(let grant): link.send(.routeAnswer(token: text, grant: grant))
            case .failure(let error):
                // No answer is not "nowhere": the drone asks again or gives up with another status.
                self?.controller.log(.error, "route-failed", ["drone": drone.text, "reason": error.description])
            }
        }
    }
}

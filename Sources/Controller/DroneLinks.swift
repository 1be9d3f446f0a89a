import HTTP
import Linux
import Model
import Store

/// The drones' connections: hello and reconciliation, renewals, states and routes in; orders out.
final class DroneLinks {
    private final class Link {
        let id: LinkID
        let cluster: ClusterName
        let socket: WebSocketConnection
        var phase = Phase.new
        var helloTimer: TimerToken?

        enum Phase {
            /// It has not said hello.
            case new
            /// It said hello, and that is being recorded or is.
            case known(DroneName)
        }

        init(_ id: LinkID, _ cluster: ClusterName, _ socket: WebSocketConnection) {
            self.id = id
            self.cluster = cluster
            self.socket = socket
        }

        func send(_ message: ControllerMessage) { socket.send(JSONText.text(of: message)) }
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
        links[id]?.socket.close(.policyViolation, reason: reason)
    }

    /// Takes a drone's WebSocket.
    func accept(_ cluster: ClusterName, _ responder: Responder) {
        var options = WebSocketOptions()
        options.messageByteCountMax = ControllerConfiguration.linkMessageBytesMax
        options.pingInterval = ControllerConfiguration.linkPingInterval
        options.silenceLimit = ControllerConfiguration.linkSilenceLimit
        guard let socket = responder.acceptWebSocket(options) else { return }
        lastNumber += 1
        let link = Link(LinkID(number: lastNumber), cluster, socket)
        links[link.id] = link
        socket.onClose = { [weak self] end in self?.ended(link, end) }
        socket.onText = { [weak self] text in self?.received(text, link) }
        link.helloTimer = controller.loop.schedule(after: ControllerConfiguration.helloLimit) {
            [weak self, id = link.id] in
            guard let self, let link = links[id], case .new = link.phase else { return }
            refuse(link, "no hello came")
        }
    }

    private func ended(_ link: Link, _ end: WebSocketEnd) {
        links[link.id] = nil
        if let timer = link.helloTimer { controller.loop.cancel(timer) }
        guard case .known(let drone) = link.phase else { return }
        controller.sessions.closed(drone, link: link.id)
        Log.write(.warn, "drone-disconnected", ["drone": drone.text, "reason": "\(end)"])
    }

    private func refuse(_ link: Link, _ reason: String) {
        Log.write(.warn, "drone-refused", ["cluster": link.cluster.text, "reason": reason])
        // A close frame holds 123 bytes of reason. RFC 6455 section 5.5.
        link.socket.close(.policyViolation, reason: String(decoding: reason.utf8.prefix(120), as: UTF8.self))
    }

    private func received(_ text: String, _ link: Link) {
        guard let message = JSONText.value(DroneMessage.self, from: text) else {
            return refuse(link, "a frame is not a message of the drone link")
        }
        switch (message, link.phase) {
        case (.hello(let hello), .new): greet(hello, link)
        case (.hello, .known): refuse(link, "a second hello came")
        case (_, .new): refuse(link, "the first message is not a hello")
        case (.renew(let sequence), .known(let drone)): renew(sequence, drone, link)
        case (.state(let backend, let state), .known(let drone)): record(state, of: backend, drone, link)
        case (.sweep(let backend, let connects), .known(let drone)): sweep(backend, connects, drone, link)
        case (.routeRequest(let token), .known(let drone)): answerRoute(token, drone, link)
        case (.traffic(let reports), .known(let drone)): controller.traffic.report(reports, from: drone)
        }
    }

    // MARK: Hello

    private func greet(_ hello: DroneHello, _ link: Link) {
        let row: DroneRow
        let images: [ImageName: ResourceCeilings]
        do throws(InvalidValue) {
            images = try hello.checkedImages()
            row = try DroneRow(hello, images: images.keys.sorted { $0.text < $1.text }, cluster: link.cluster)
        } catch {
            return refuse(link, "\(error)")
        }
        let verdict = controller.sessions.hello(row.name, process: row.session, link: link.id, now: .now)
        guard case .accepted(let replaced) = verdict else {
            return refuse(link, "another drone named \(row.name) is connected")
        }
        if let replaced { close(replaced, "replaced by a newer connection") }
        link.phase = .known(row.name)
        controller.traffic.restarted(row.name)
        controller.store.perform({ store throws(StoreError) in
            try HelloJob(row: row, reports: hello.backends).run(store)
        }) { [weak self] result in
            switch result {
            case .failure(let error):
                Log.write(.error, "hello-failed", ["drone": row.name.text, "reason": error.description])
                self?.refuse(link, "the controller cannot record the hello")
            case .success(let outcome): self?.welcome(row, images, outcome, link)
            }
        }
    }

    private func welcome(
        _ row: DroneRow, _ images: [ImageName: ResourceCeilings], _ outcome: HelloJob.Outcome, _ link: Link
    ) {
        // What is durable is published whether or not the link is still there.
        for line in outcome.lines { controller.published(line.row, of: line.backend) }
        let drone = LinkedDrone(
            name: row.name, cluster: row.cluster, pool: row.pool, images: images,
            willingness: outcome.willingness, version: row.version)
        guard controller.sessions.welcome(drone, link: link.id) else { return }
        let plan = outcome.reconciliation
        link.send(
            .welcome(
                controller: controller.name, lease: controller.configuration.lease, keep: plan.keep.map(\.text)))
        for saved in plan.saved { link.send(.stateSaved(backend: saved.backend, status: saved.status)) }
        for order in plan.terminate {
            link.send(.terminate(backend: order.backend.text, kind: order.end.kind, reason: order.end.reason))
        }
        for backend in plan.spawn { link.send(.spawn(SpawnOrder(backend))) }
        Log.write(
            .info, "drone-connected",
            [
                "drone": row.name.text, "cluster": row.cluster.text, "pool": row.pool, "version": row.version,
                "images": "\(row.images.count)", "kept": "\(plan.keep.count)", "started": "\(plan.spawn.count)",
                "recorded": "\(plan.record.count)",
            ])
        controller.connects.returned(row.name)
    }

    // MARK: While linked

    private func renew(_ sequence: Int64, _ drone: DroneName, _ link: Link) {
        switch controller.sessions.renew(drone, link: link.id, now: .now) {
        case .renewed: link.send(.renewed(sequence: sequence))
        case .expired: controller.expireSessions()
        case .superseded: close(link.id, "replaced by a newer connection")
        }
    }

    private func record(_ state: BackendState, of text: String, _ drone: DroneName, _ link: Link) {
        guard let id = try? BackendID(text) else { return refuse(link, "a backend's id is not one") }
        controller.store.perform({ store throws(StoreError) -> StateOutcome in
            guard let row = try store.backend(id), row.spec.drone == drone else {
                return StateOutcome(known: nil, recording: .unknownBackend)
            }
            return StateOutcome(known: row.state.status, recording: try store.record(row.completing(state), of: id))
        }) { [weak self] result in
            guard let self else { return }
            switch result {
            case .failure(let error):
                // Not acknowledged, so the drone repeats it.
                Log.write(.error, "state-not-saved", ["backend": text, "reason": error.description])
            case .success(let outcome):
                if case .recorded(let line) = outcome.recording { controller.published(line, of: id) }
                switch ReportAnswer(state.status, known: outcome.known) {
                case .saved: link.send(.stateSaved(backend: text, status: state.status))
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
        controller.store.perform({ store throws(StoreError) in try job.run(store) }) { result in
            switch result {
            case .success(let answer): link.send(answer.message(about: id))
            case .failure(let error):
                // Not answered, so the drone asks again.
                Log.write(.error, "sweep-failed", ["backend": text, "reason": error.description])
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
        }) { result in
            switch result {
            case .success(let grant): link.send(.routeAnswer(token: text, grant: grant))
            case .failure(let error):
                // No answer is not "nowhere": the drone asks again or gives up with another status.
                Log.write(.error, "route-failed", ["drone": drone.text, "reason": error.description])
            }
        }
    }
}

/// A hello as one job: records the drone, compares what it has with what was promised, and writes the difference.
struct HelloJob: Sendable {
    let row: DroneRow
    let reports: [BackendReport]

    /// What became durable, and what to tell the drone.
    struct Outcome: Sendable {
        var reconciliation: Reconciliation
        var lines: [Line]
        var willingness: Willingness
    }

    /// A new line of a backend's history.
    struct Line: Sendable {
        let backend: BackendID
        let row: HistoryRow
    }

    func run(_ store: any StoreTransaction) throws(StoreError) -> Outcome {
        try store.hello(row)
        let live = try store.liveBackends(on: row.name)
        let plan = Reconciliation(row.name, reports: reports, live: live)
        var lines: [Line] = []
        for record in plan.record {
            if case .recorded(let line) = try store.record(record.state, of: record.backend) {
                lines.append(Line(backend: record.backend, row: line))
            }
        }
        let willingness = try store.drones().first { $0.name == row.name }?.willingness ?? .accepting
        return Outcome(reconciliation: plan, lines: lines, willingness: willingness)
    }
}

extension DroneRow {
    /// Checks what a drone says of itself.
    fileprivate init(_ hello: DroneHello, images: [ImageName], cluster: ClusterName) throws(InvalidValue) {
        guard hello.cluster == cluster.text else {
            throw InvalidValue(
                field: "hello.cluster",
                problem: "\"\(hello.cluster.prefix(80))\" is not the cluster of this address, \(cluster)")
        }
        for (field, text) in [("pool", hello.pool), ("version", hello.version), ("session", hello.session)]
        where text.utf8.count > 255 {
            throw InvalidValue(field: "hello.\(field)", problem: "is longer than 255 bytes")
        }
        self.init(
            name: try DroneName(hello.name, field: "hello.name"), cluster: cluster, pool: hello.pool,
            version: hello.version, session: hello.session, images: images)
    }
}

extension DroneHello {
    /// What it offers. Of an image that it names twice the first one counts.
    fileprivate func checkedImages() throws(InvalidValue) -> [ImageName: ResourceCeilings] {
        var checked: [ImageName: ResourceCeilings] = [:]
        for image in images {
            let name = try ImageName(image.name, field: "hello.images")
            if checked[name] == nil { checked[name] = image.ceilings }
        }
        return checked
    }
}

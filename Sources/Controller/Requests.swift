import HTTP
import Linux
import Model
import Store

/// The HTTP API: the way of a request to the part that answers it, and the form of the answers.
final class ControllerAPI {
    let controller: Controller
    private let acceptor: LinkAcceptor

    init(_ controller: Controller) {
        self.controller = controller
        acceptor = LinkAcceptor(controller)
    }

    private var configuration: ControllerConfiguration { controller.configuration }
    private var store: any ControllerStore { controller.store }

    func handle(_ request: Request, _ responder: Responder) {
        let segments = request.pathSegments ?? []
        let caller = Caller(
            responder: responder, audience: Endpoint.isPublic(segments) ? .anyPage : .trusted,
            request: String((segments.last ?? "").prefix(40)))
        do throws(Failure) {
            try answer(try Endpoint.find(request.method, segments), request, caller)
        } catch {
            caller.refuse(error)
        }
    }

    private func answer(_ endpoint: Endpoint, _ request: Request, _ caller: Caller) throws(Failure) {
        switch endpoint {
        case .preflight: caller.answer(Answer.preflight)
        case .health: ifStoreAnswers(caller) { Answer.json(Health()) }
        case .controllerStatus:
            let status = ControllerStatus(
                version: configuration.version, hash: configuration.sourceHash,
                defaultCluster: configuration.defaultCluster?.text)
            ifStoreAnswers(caller) { Answer.json(status) }
        case .backendStatus(let backend): answerStatus(backend, caller)
        case .statusStream(let backend):
            let last = request.fields["last-event-id"].flatMap(BackendStatus.init)
            follow(backend, after: last, caller)
        case .connect: controller.connect(try ConnectBody.decode(request), HTTPConnectCaller(caller))
        case .terminate(let backend, let kind): terminate(backend, kind, caller)
        case .backends: try list(request, caller)
        case .clusterState(let cluster): answerState(cluster, caller)
        case .droneSocket(let cluster): try acceptDrone(cluster, caller)
        case .drain(let cluster, let drone): drain(cluster, drone, caller)
        }
    }

    /// Healthy means that the database answers.
    private func ifStoreAnswers(_ caller: Caller, _ answer: @escaping () -> Response) {
        store.perform({ store throws(StoreError) in _ = try store.drones(after: nil, limit: 1) }) { result in
            switch result {
            case .success: caller.answer(answer())
            case .failure(let error): caller.refuse(error)
            }
        }
    }

    private func answerStatus(_ id: BackendID, _ caller: Caller) {
        store.perform({ store throws(StoreError) in try store.backend(id) }) { result in
            switch result {
            case .success(nil): caller.refuse(.noBackend(id.text))
            case .success(let row?):
                caller.answer(Answer.json(StatusEntry(row.state, time: row.changedMilliseconds)))
            case .failure(let error): caller.refuse(error)
            }
        }
    }

    private func terminate(_ id: BackendID, _ kind: TerminationKind, _ caller: Caller) {
        controller.terminate(id, kind) { result in
            switch result {
            case .failure(let error): caller.refuse(error)
            case .success(.unknownBackend): caller.refuse(.noBackend(id.text))
            case .success(.alreadyTerminated), .success(.requested): caller.answer(Answer.null)
            }
        }
    }

    /// A client that comes back with `Last-Event-ID: terminated` is answered 204, which tells an EventSource not to come
    /// again (HTML Standard, section 9.2.3). An unknown backend is 404 and not, as in the reference, a stream on which
    /// nothing ever comes.
    private func follow(_ backend: BackendID, after last: BackendStatus?, _ caller: Caller) {
        store.perform({ store throws(StoreError) in try store.history(of: backend, after: 0) }) { [weak self] result in
            switch result {
            case .failure(let error): caller.refuse(error)
            case .success(let lines) where lines.isEmpty: caller.refuse(.noBackend(backend.text))
            case .success(let lines):
                if last == .terminated, lines.last?.state.status == .terminated {
                    caller.answer(Response(status: 204))
                } else if let self {
                    StatusStreamResponse.start(controller.streams, backend, lines, after: last, caller)
                }
            }
        }
    }

    private func list(_ request: Request, _ caller: Caller) throws(Failure) {
        let limit = request.query["limit"].map { Int($0) ?? 0 } ?? 100
        guard (1...1000).contains(limit) else {
            throw Failure(.invalidRequest, "limit: must be a number from 1 to 1000.")
        }
        let which: BackendSelection
        switch request.query["state"] {
        case nil, "live": which = .live
        case "all": which = .all
        case let other?:
            throw Failure(.invalidRequest, "state: \"\(other.prefix(80))\" is neither live nor all.")
        }
        var after: BackendID?
        if let text = request.query["after"] {
            do throws(InvalidValue) {
                after = try BackendID(text, field: "after")
            } catch {
                throw Failure(.invalidRequest, "\(error).")
            }
        }
        store.perform({ [after] store throws(StoreError) in
            BackendList(
                try store.backends(which, after: after, limit: limit), limit: limit, now: store.nowMilliseconds)
        }) { [weak self] result in
            guard let self else { return }
            switch result {
            case .success(var list):
                for index in list.backends.indices { list.backends[index].traffic = trafficRow(list.backends[index]) }
                caller.answer(Answer.json(list))
            case .failure(let error): caller.refuse(error)
            }
        }
    }

    private func trafficRow(_ row: BackendList.Backend) -> BackendTraffic? {
        guard let id = try? BackendID(row.id), let drone = try? DroneName(row.drone) else { return nil }
        return controller.traffic.traffic(of: id, on: drone)
    }

    private func answerState(_ cluster: ClusterName, _ caller: Caller) {
        store.perform({ store throws(StoreError) in try store.drones(after: nil, limit: .max) }) { [weak self] result in
            guard let self else { return }
            switch result {
            case .failure(let error): caller.refuse(error)
            case .success(let rows):
                let drones = rows.filter { $0.greeting.cluster == cluster }.compactMap(state)
                caller.answer(Answer.json(ClusterState(drones: drones)))
            }
        }
    }

    /// - Returns: nil for a drone that nobody hears.
    private func state(of row: DroneRow) -> ClusterState.Drone? {
        let now = controller.clock.now
        switch controller.sessions.health(of: row.name, now: now) {
        case .linked, .elsewhere: break
        case .silent, .away: return nil
        }
        return ClusterState.Drone(
            draining: row.willingness.isDraining,
            lastHeartbeatAge: controller.sessions.silence(of: row.name, now: now)?.components.seconds ?? 0,
            backendCount: row.backendCount,
            node: ClusterState.Node(
                name: ["Drone": row.name.text], planeVersion: row.greeting.version, planeHash: "unknown",
                controller: row.controller?.text ?? controller.name.text))
    }

    private func acceptDrone(_ cluster: ClusterName, _ caller: Caller) throws(Failure) {
        guard caller.responder.canAcceptWebSocket else {
            throw Failure(.invalidRequest, status: 426, "This address speaks WebSocket, version 13.")
        }
        acceptor.accept(cluster, caller.responder, owner: nil)
    }

    private func drain(_ cluster: ClusterName, _ drone: DroneName, _ caller: Caller) {
        controller.drain(drone, in: cluster) { result in
            switch result {
            case .failure(let error): caller.refuse(error)
            case .success(.unknownDrone): caller.refuse(Failure(.notFound, "Drone does not exist: \"\(drone)\"."))
            case .success(.changed): caller.answer(Answer.json(["updated": true]))
            case .success(.asItWas): caller.answer(Answer.json(["updated": false]))
            }
        }
    }
}

extension BackendList {
    init(_ rows: [BackendRow], limit: Int, now: Int64) {
        backends = rows.map { row in
            Backend(
                id: row.id.text,
                key: Key(namespace: row.spec.key.namespace, name: row.spec.key.name, tag: row.spec.key.tag),
                status: row.state.status, drone: row.spec.drone.text, cluster: row.spec.cluster.text,
                image: row.spec.executable.image.text, ageSeconds: max(0, (now - row.createdMilliseconds) / 1000),
                fencingToken: row.fencingToken.value, endReason: row.state.endReason, message: row.state.message,
                usage: row.state.usage)
        }
        next = rows.count == limit ? rows.last?.id.text : nil
    }
}

import HTTP
import Linux
import Model
import Store

/// The way of a request to the part that answers it, and the answers that need no part of their own.
extension Controller {
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
            streams.open(backend, after: last, caller)
        case .connect: connects.connect(try ConnectBody.decode(request), caller)
        case .terminate(let backend, let kind): terminate(backend, kind, caller)
        case .backends: try list(request, caller)
        case .clusterState(let cluster): answerState(cluster, caller)
        case .droneSocket(let cluster): try acceptDrone(cluster, caller)
        case .drain(let cluster, let drone): drain(cluster, drone, caller)
        }
    }

    /// Healthy means that the database answers.
    private func ifStoreAnswers(_ caller: Caller, _ answer: @escaping () -> Response) {
        store.perform({ store throws(StoreError) in _ = try store.dronesWithLiveBackends() }) { result in
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

    /// Asked for, not done: the drone is told, now or when it returns, and reports when it is so.
    private func terminate(_ id: BackendID, _ kind: TerminationKind, _ caller: Caller) {
        store.perform({ store throws(StoreError) in
            try store.requestEnd(of: id, DesiredEnd(kind: kind, reason: .external))
        }) { [weak self] result in
            switch result {
            case .failure(let error): caller.refuse(error)
            case .success(.unknownBackend): caller.refuse(.noBackend(id.text))
            case .success(.alreadyTerminated): caller.answer(Answer.null)
            case .success(.requested(let row)):
                Log.write(.info, "termination-requested", ["backend": id.text, "kind": kind.rawValue])
                if let end = row.desiredEnd {
                    self?.links.send(
                        .terminate(backend: id.text, kind: end.kind, reason: end.reason), to: row.spec.drone)
                }
                caller.answer(Answer.null)
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
        return traffic.traffic(of: id, on: drone)
    }

    private func answerState(_ cluster: ClusterName, _ caller: Caller) {
        store.perform({ store throws(StoreError) in try store.drones() }) { [weak self] result in
            guard let self else { return }
            switch result {
            case .failure(let error): caller.refuse(error)
            case .success(let rows):
                let counts = Dictionary(
                    rows.map { ($0.name, $0.backendCount) }, uniquingKeysWith: { first, _ in first })
                let drones = sessions.linked.filter { $0.cluster == cluster }.map { state(of: $0, counts) }
                caller.answer(Answer.json(ClusterState(drones: drones)))
            }
        }
    }

    private func state(of drone: LinkedDrone, _ counts: [DroneName: Int64]) -> ClusterState.Drone {
        ClusterState.Drone(
            draining: drone.willingness == .draining,
            lastHeartbeatAge: sessions.silence(of: drone.name, now: .now)?.components.seconds ?? 0,
            backendCount: counts[drone.name] ?? 0,
            node: ClusterState.Node(
                name: ["Drone": drone.name.text], planeVersion: drone.version, planeHash: "unknown", controller: name))
    }

    private func acceptDrone(_ cluster: ClusterName, _ caller: Caller) throws(Failure) {
        guard caller.responder.canAcceptWebSocket else {
            throw Failure(.invalidRequest, status: 426, "This address speaks WebSocket, version 13.")
        }
        links.accept(cluster, caller.responder)
    }

    private func drain(_ cluster: ClusterName, _ drone: DroneName, _ caller: Caller) {
        store.perform({ store throws(StoreError) in try store.set(.draining, of: drone, in: cluster) }) {
            [weak self] result in
            switch result {
            case .failure(let error): caller.refuse(error)
            case .success(nil): caller.refuse(Failure(.notFound, "Drone does not exist: \"\(drone)\"."))
            case .success(let updated?):
                self?.sessions.set(.draining, of: drone)
                Log.write(.info, "draining", ["drone": drone.text])
                caller.answer(Answer.json(["updated": updated]))
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

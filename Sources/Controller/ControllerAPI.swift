import HTTP
import Linux
import Model
import Store

/// The HTTP API: the way of a request to the part that answers it.
///
/// Whoever calls is let in before anything is looked at, and everything is checked before anything is written.
final class ControllerAPI {
    let controller: Controller
    private let access: AccessControl
    private let acceptor: LinkAcceptor

    init(_ controller: Controller, access: AccessControl) {
        self.controller = controller
        self.access = access
        acceptor = LinkAcceptor(controller)
    }

    var store: any ControllerStore { controller.store }

    func handle(_ request: Request, _ responder: Responder) {
        let segments = request.pathSegments ?? []
        let caller = Caller(
            responder: responder, audience: Endpoint.isPublic(segments) ? .anyPage : .trusted,
            request: String((segments.last ?? "").prefix(40)))
        access.admit(request, segments, caller) { [self] admission in
            do throws(Failure) {
                let endpoint = try Endpoint.find(request.method, segments)
                let query = try QueryReader(request.query, for: endpoint)
                try answer(endpoint, request, query, admission, caller)
            } catch {
                caller.refuse(error)
            }
        }
    }

    private func answer(
        _ endpoint: Endpoint, _ request: Request, _ query: QueryReader, _ admission: LinkAdmission, _ caller: Caller
    ) throws(Failure) {
        switch endpoint {
        case .preflight: caller.answer(Answer.preflight)
        case .health: ifStoreAnswers(caller) { Answer.json(Health()) }
        case .controllerStatus: ifStoreAnswers(caller) { [self] in Answer.json(ControllerStatus(controller)) }
        case .backendStatus(let backend): answerStatus(backend, caller)
        case .statusStream(let backend):
            let last = request.fields["last-event-id"].flatMap(BackendStatus.init)
            follow(backend, after: last, caller)
        case .connect: controller.connect(try RequestBody.connect(request), HTTPConnectCaller(caller))
        case .terminate(let backend, let kind): terminate(backend, kind, caller)
        case .revoke(let form): try revoke(request, form, caller)
        case .backends: try listBackends(query, caller)
        case .keys: try listKeys(query, caller)
        case .key: try answerKey(query, caller)
        case .drones: try listDrones(query, caller)
        case .controllers: listControllers(caller)
        case .clusterState(let cluster): answerState(cluster, caller)
        case .droneSocket(let cluster): try acceptDrone(cluster, admission, caller)
        case .drain(let cluster, let drone): drain(cluster, drone, try RequestBody.drain(request), caller)
        case .undrain(let cluster, let drone): undrain(cluster, drone, caller)
        }
    }

    /// Healthy means that the database answers.
    private func ifStoreAnswers(_ caller: Caller, _ answer: @escaping () -> Response) {
        read(caller, { store throws(StoreError) in _ = try store.drones(after: nil, limit: 1) }, then: answer)
    }

    /// Reads in the store and answers what comes of it.
    func read<Value: Sendable>(
        _ caller: Caller, _ job: @escaping @Sendable (any StoreTransaction) throws(StoreError) -> Value,
        then answer: @escaping (Value) throws(Failure) -> Response
    ) {
        store.perform(job) { result in
            switch result {
            case .failure(let error): caller.refuse(error)
            case .success(let value):
                do throws(Failure) { caller.answer(try answer(value)) } catch { caller.refuse(error) }
            }
        }
    }

    private func acceptDrone(_ cluster: ClusterName, _ admission: LinkAdmission, _ caller: Caller) throws(Failure) {
        guard caller.responder.canAcceptWebSocket else {
            throw Failure(.invalidRequest, status: 426, "This address speaks WebSocket, version 13.")
        }
        let owner: DroneName? =
            switch admission {
            case .anyDrone: nil
            case .only(let drone): drone
            }
        acceptor.accept(cluster, caller.responder, owner: owner)
    }
}

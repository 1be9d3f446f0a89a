import HTTP
import Model
import Store

/// What is asked about backends, and of them.
extension ControllerAPI {
    func answerStatus(_ id: BackendID, _ caller: Caller) {
        read(caller, { store throws(StoreError) in try store.backend(id) }) { (row) throws(Failure) in
            guard let row else { throw .noBackend(id.text) }
            return Answer.json(PresentStatus(row))
        }
    }

    func terminate(_ id: BackendID, _ kind: TerminationKind, _ caller: Caller) {
        controller.terminate(id, kind) { result in
            switch result {
            case .failure(let error): caller.refuse(error)
            case .success(.unknownBackend): caller.refuse(.noBackend(id.text))
            case .success(.alreadyTerminated), .success(.requested): caller.answer(Answer.null)
            }
        }
    }

    /// As in the reference it is no error if there is nothing to revoke: afterwards nothing of that user leads there.
    func revoke(_ request: Request, _ form: Endpoint.RevokeAnswer, _ caller: Caller) throws(Failure) {
        let (backend, user) = try RequestBody.revocation(request)
        controller.revoke(user, of: backend) { result in
            switch (result, form) {
            case (.failure(let error), _): caller.refuse(error)
            case (.success, .sentence): caller.answer(Answer.json("Token revoked successfully"))
            case (.success, .null): caller.answer(Answer.null)
            }
        }
    }

    /// A client that comes back with `Last-Event-ID: terminated` is answered 204, which tells an EventSource not to come
    /// again (HTML Standard, section 9.2.3). An unknown backend is 404 and not, as in the reference, a stream on which
    /// nothing ever comes.
    func follow(_ backend: BackendID, after last: BackendStatus?, _ caller: Caller) {
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

    func listBackends(_ query: QueryReader, _ caller: Caller) throws(Failure) {
        let job = try BackendListJob(query)
        read(caller, { store throws(StoreError) in try job.run(store) }) { [weak self] (page) throws(Failure) in
            Answer.json(
                BackendList(
                    backends: page.rows.map { row in
                        BackendList.Backend(
                            row, now: page.nowMilliseconds,
                            traffic: self?.controller.traffic.traffic(of: row.id, on: row.spec.drone))
                    }, next: page.next?.text))
        }
    }

    // MARK: Keys

    func listKeys(_ query: QueryReader, _ caller: Caller) throws(Failure) {
        let limit = try query.limit()
        var position: KeyPosition?
        switch (query.text("after_namespace"), query.text("after_name")) {
        case (let namespace, let name?): position = KeyPosition(namespace: namespace ?? "", name: name)
        case (.some, nil):
            throw Failure(.invalidRequest, "after_name: is missing; a page goes on after a namespace and a name.")
        case (nil, nil): break
        }
        read(
            caller,
            { [position] store throws(StoreError) in
                let holders = try store.holders(after: position, limit: limit)
                return KeyList(holders, limit: limit, now: store.nowMilliseconds)
            }
        ) { (list) throws(Failure) in Answer.json(list) }
    }

    func answerKey(_ query: QueryReader, _ caller: Caller) throws(Failure) {
        guard let name = query.text("name") else {
            throw Failure(.invalidRequest, "name: is missing; say ?name=NAME, and &namespace=NAMESPACE if it has one.")
        }
        let namespace = query.text("namespace") ?? ""
        let key: KeyConfig
        do throws(InvalidValue) {
            key = try KeyConfig(name: name, namespace: namespace)
        } catch {
            throw Failure(.invalidRequest, "\(error).")
        }
        read(
            caller,
            { store throws(StoreError) in
                try store.holder(namespace: key.namespace, name: key.name).map {
                    KeyList.Key($0, now: store.nowMilliseconds)
                }
            }
        ) { (found) throws(Failure) in
            guard let found else { throw Failure(.notFound, "No backend holds the key.") }
            return Answer.json(found)
        }
    }
}

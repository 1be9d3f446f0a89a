import Glibc
import HTTP
import Linux

extension ProxyThread {
    mutating func takeMessages() {
        for message in inbox.take() {
            switch message {
            case .command(let command): obey(command)
            case .sockets(let id, let descriptors): receive(descriptors, for: id)
            case .stop: stage = .stopped
            }
        }
    }

    func closeSockets(of message: ThreadMessage) {
        switch message {
        case .sockets(_, let descriptors): for descriptor in descriptors { _ = close(descriptor) }
        case .command, .stop: break
        }
    }

    private mutating func obey(_ command: ProxyCommand) {
        switch command {
        case .addBackend(let id, let activity): add(id, activity)
        case .setGate(let id, let gate): if let backend = backends[id] { set(gate, of: backend) }
        case .removeBackend(let id): if let backend = backends[id] { remove(backend) }
        case .setRoute(let route): set(route)
        case .removeRoute(let token): refuse(token, until: now)
        case .cutToken(let token): cut(token)
        case .routeUnknown(let token): refuse(token, until: now + 1_000_000_000)
        case .setReadiness(let readiness): self.readiness = readiness
        case .drain: drain()
        }
    }

    private mutating func add(_ id: String, _ activity: BackendActivity) {
        guard backends[id] == nil else { return }
        let backend = UnsafeMutablePointer<BackendRecord>.allocate(capacity: 1)
        backend.initialize(to: BackendRecord(id: id, activity: activity, serverName: configuration.serverName))
        backends[id] = backend
        nextLeaseLook = min(nextLeaseLook, activity.leaseDeadline)
    }

    private mutating func set(_ gate: BackendGate, of backend: UnsafeMutablePointer<BackendRecord>) {
        if isLeaseOver(backend) { return fence(backend) }
        nextLeaseLook = min(nextLeaseLook, backend.pointee.activity.leaseDeadline)
        backend.pointee.gate = gate
        switch gate {
        case .starting: break
        case .ready:
            askForSockets(backend)
            resumeHeld(backend, .waitingStart)
        case .gone(let reason):
            backend.pointee.closeSpares()
            forEachConnection(of: backend) { thread, connection in
                thread.backendEnded(connection, reason, .afterReceived)
            }
        }
    }

    private mutating func receive(_ descriptors: [Int32], for id: String) {
        guard let backend = backends[id], case .ready = backend.pointee.gate else {
            for descriptor in descriptors { _ = close(descriptor) }
            return
        }
        for descriptor in descriptors { Socket.setNoDelay(descriptor) }
        backend.pointee.addSpares(descriptors)
        resumeHeld(backend, .waitingSocket)
        askForSockets(backend)
    }

    /// Asks the owner when the spare sockets run low, so that a request seldom waits for one.
    mutating func askForSockets(_ backend: UnsafeMutablePointer<BackendRecord>) {
        let count = backend.pointee.missingCount
        guard count > 0 else { return }
        backend.pointee.askedCount += count
        events.send(.needSockets(backend: backend.pointee.id, thread: number, count: count))
    }

    private mutating func remove(_ backend: UnsafeMutablePointer<BackendRecord>) {
        forEachConnection(of: backend) { thread, connection in
            thread.backendEnded(connection, "The backend has ended.", .atOnce)
        }
        forget(backend)
    }

    mutating func forget(_ backend: UnsafeMutablePointer<BackendRecord>) {
        // Whoever only kept a connection to it lets go of it here.
        while !backend.pointee.connections.isEmpty {
            let connection = slab[backend.pointee.connections.first]
            closeUpstream(connection)
            leaveBackend(connection)
        }
        backend.pointee.closeSpares()
        routes.removeAll { entry in
            if case .leads(let target) = entry.answer { return target.backend == backend }
            return false
        }
        backends[backend.pointee.id] = nil
        backend.pointee.responseFields.deallocate()
        backend.deinitialize(count: 1)
        backend.deallocate()
    }

    private mutating func set(_ route: Route) {
        guard let backend = backends[route.backend] else { return refuse(route.token, until: now) }
        var token = route.token
        token.withUTF8 { text in
            let bytes = UnsafeRawBufferPointer(text)
            let hash = RouteTable.hash(bytes)
            routes.set(bytes, hash: hash, .leads(RouteTarget(route, backend)), now: now)
            resumeRouteWaiters(hash)
        }
    }

    private mutating func refuse(_ token: String, until: UInt64) {
        var token = token
        token.withUTF8 { text in
            let bytes = UnsafeRawBufferPointer(text)
            let hash = RouteTable.hash(bytes)
            // Those that wait are answered although the answer may be past its time for the next one.
            routes.set(bytes, hash: hash, .unknown(until: max(until, now + 1)), now: now)
            resumeRouteWaiters(hash)
        }
    }

    /// Whatever came by the token ends here, also where the route itself was forgotten before.
    private mutating func cut(_ token: String) {
        refuse(token, until: now)
        var token = token
        let hash = token.withUTF8 { RouteTable.hash(UnsafeRawBufferPointer($0)) }
        for index in 0..<slab.indexLimit {
            let connection = slab[index]
            guard slab.token(of: connection) == hash, connection.pointee.phase != .vacant else { continue }
            settled(connection) { $0.tokenCut(connection) }
        }
    }

    private mutating func resumeRouteWaiters(_ hash: Int) {
        var index = routeWaiters.first
        while index != ListHead.none {
            let connection = slab[index]
            index = connection.pointee.group.next
            if slab.token(of: connection) == hash { settled(connection) { $0.resume(connection) } }
        }
    }

    private mutating func resumeHeld(
        _ backend: UnsafeMutablePointer<BackendRecord>, _ phase: Connection.Phase
    ) {
        forEachConnection(of: backend) { thread, connection in
            if connection.pointee.phase == phase { thread.resume(connection) }
        }
    }

    /// The body may end the connection it is given, but no other.
    mutating func forEachConnection(
        of backend: UnsafeMutablePointer<BackendRecord>, _ body: (inout ProxyThread, ConnectionPointer) -> Void
    ) {
        var index = backend.pointee.connections.first
        while index != ListHead.none {
            let connection = slab[index]
            index = connection.pointee.group.next
            settled(connection) { body(&$0, connection) }
        }
    }

    /// Whoever waits between two requests is let go; the others are told to close with their response.
    private mutating func drain() {
        guard stage == .serving else { return }
        stage = .draining
        readiness = .notReady
        stopAccepting()
        for index in 0..<slab.indexLimit {
            let connection = slab[index]
            if connection.pointee.phase == .readingHead, connection.pointee.client.input.isEmpty,
                connection.pointee.deadlineKind == .idle
            {
                closeConnection(connection)
            }
        }
    }
}

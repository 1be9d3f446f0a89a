import Glibc
import HTTP
import Linux
import Synchronization

extension ProxyThread {
    /// Receives more of a head.
    mutating func readHead(_ connection: ConnectionPointer) {
        let room = connection.pointee.client.input.room(&buffers)
        // A head is at most this long, so what lies behind it in the buffer stays small.
        let limit = min(room.count, HeadLimits.headByteCount)
        let count = recv(connection.pointee.client.descriptor, room.baseAddress, limit, 0)
        if count < 0, errno == EAGAIN || errno == EINTR {
            if connection.pointee.client.input.isEmpty { connection.pointee.client.input.release(&buffers) }
            return
        }
        guard count > 0 else { return closeConnection(connection) }
        connection.pointee.client.input.filled(count)
        processInput(connection)
    }

    /// Handles the requests that have been received, as long as each is answered at once.
    mutating func processInput(_ connection: ConnectionPointer) {
        let generation = connection.pointee.generation
        while connection.pointee.generation == generation, connection.pointee.phase == .readingHead,
            !connection.pointee.client.input.isEmpty
        {
            switch requestLayout.pointee.parse(connection.pointee.client.input.bytes) {
            case .incomplete:
                if connection.pointee.deadlineKind == .idle { deadlines.arm(connection, .head, now: now, slab) }
                return
            case .invalid(let refusal):
                connection.pointee.traits.formIntersection(.ofConnection)
                answer(connection, .refusing(refusal), then: .close)
            case .complete(let count): handleRequest(connection, headCount: count)
            }
        }
    }

    /// Looks at a held request again, now that something has changed.
    mutating func resume(_ connection: ConnectionPointer) {
        leaveHold(connection)
        processInput(connection)
    }

    private mutating func handleRequest(_ connection: ConnectionPointer, headCount: Int) {
        let head = connection.pointee.client.input.bytes
        noteTraits(connection, head)
        let path = TokenPath(requestLayout.pointee.target.bytes(in: head))
        guard !path.token.isEmpty else { return answerWithoutToken(connection, path, headCount) }
        if ByteText.equals(path.path, "/ready") { return answerReady(connection, headCount) }
        guard TokenText.isToken(path.token) else { return answerUnknown(connection, then: .next(headCount: headCount)) }
        let hash = RouteTable.hash(path.token)
        slab.setToken(hash, of: connection)
        switch routes.find(path.token, hash: hash)?.pointee.answer {
        case .leads(let target):
            if target.route.expiresAtNanoseconds <= now {
                return answerUnknown(connection, then: .next(headCount: headCount))
            }
            admit(connection, target, path, headCount)
        case .unknown(let until) where until > now: answerUnknown(connection, then: .next(headCount: headCount))
        case .asked(let moment) where now - moment < UInt64(configuration.deadlines.route.wholeNanoseconds):
            holdForRoute(connection)
        case .unknown, .asked, nil: ask(connection, path.token, hash, headCount)
        }
    }

    private func noteTraits(_ connection: ConnectionPointer, _ head: UnsafeRawBufferPointer) {
        var traits = connection.pointee.traits.intersection(.ofConnection)
        switch requestLayout.pointee.persistence {
        case .keepAlive: if stage == .serving { traits.insert(.clientPersists) }
        case .close: traits.insert(.clientSaidClose)
        }
        if requestLayout.pointee.method == .head { traits.insert(.isHEAD) }
        if requestLayout.pointee.minorVersion == 0 { traits.insert(.isHTTP10) }
        if requestLayout.pointee.upgrade != .none { traits.insert(.wantsUpgrade) }
        let prefersHTML = requestLayout.pointee.fields.withAll { fields in
            fields.contains { field in
                field.name.count == 6 && ByteText.equals(field.name.bytes(in: head), "accept")
                    && ByteText.contains(field.value.bytes(in: head), "text/html")
            }
        }
        if prefersHTML { traits.insert(.prefersHTML) }
        connection.pointee.traits = traits
    }

    // MARK: Requests that reach no backend

    private mutating func answerWithoutToken(_ connection: ConnectionPointer, _ path: TokenPath, _ headCount: Int) {
        if path.path.count == 1, configuration.rootRedirect != nil {
            return answer(
                connection, OwnAnswer(.movedPermanently, nil, "Moved."), then: .next(headCount: headCount),
                location: configuration.rootRedirect)
        }
        answer(
            connection,
            OwnAnswer(
                .badRequest, .noToken,
                "The path must begin with the token of a backend, as in the URL that connect gave."),
            then: .next(headCount: headCount))
    }

    private mutating func answerReady(_ connection: ConnectionPointer, _ headCount: Int) {
        switch readiness {
        case .ready: answer(connection, OwnAnswer(.ok, nil, "Ready."), then: .next(headCount: headCount))
        case .notReady:
            answer(
                connection, OwnAnswer(.unavailable, nil, "Not ready: there is no controller, or this proxy is ending."),
                then: .next(headCount: headCount))
        }
    }

    mutating func answerUnknown(_ connection: ConnectionPointer, then after: AfterAnswer) {
        answer(
            connection,
            OwnAnswer(
                .gone, .unknownToken,
                "This address leads nowhere: its backend has ended or it never existed. Connect again."),
            then: after)
    }

    private mutating func ask(
        _ connection: ConnectionPointer, _ token: UnsafeRawBufferPointer, _ hash: Int, _ headCount: Int
    ) {
        if routes.barrenCount >= RouteTable.barrenLimit {
            let patience = UInt64(configuration.deadlines.route.wholeNanoseconds)
            let present = now
            routes.removeAll { entry in
                switch entry.answer {
                case .leads: false
                case .unknown(let until): until <= present
                case .asked(let moment): present - moment >= patience
                }
            }
        }
        guard routes.barrenCount < RouteTable.barrenLimit else {
            let busy = OwnAnswer(
                .unavailable, .unavailable, "Too many unknown addresses are being asked for. Try again.")
            return answer(connection, busy, then: .next(headCount: headCount))
        }
        routes.set(token, hash: hash, .asked(at: now), now: now)
        events.send(.needRoute(token: String(decoding: token, as: UTF8.self)))
        holdForRoute(connection)
    }

    private mutating func holdForRoute(_ connection: ConnectionPointer) {
        if connection.pointee.backend != nil {
            closeUpstream(connection)
            leaveBackend(connection)
        }
        slab.append(slab.index(of: connection), to: &routeWaiters, .group)
        hold(connection, .waitingRoute, .route)
    }

    private mutating func hold(_ connection: ConnectionPointer, _ phase: Connection.Phase, _ deadline: DeadlineKind) {
        connection.pointee.phase = phase
        counters.cells.pointee.held.increase()
        deadlines.arm(connection, deadline, now: now, slab)
    }

    /// Ends a hold; the request is to be looked at again or answered.
    mutating func leaveHold(_ connection: ConnectionPointer) {
        switch connection.pointee.phase {
        case .waitingRoute: slab.remove(slab.index(of: connection), from: &routeWaiters, .group)
        case .waitingStart, .waitingSocket: break
        case .vacant, .readingHead, .exchanging, .tunnelling, .flushing, .lingering: return
        }
        counters.cells.pointee.held.decrease()
        connection.pointee.phase = .readingHead
    }

    // MARK: Requests for a backend

    private mutating func admit(
        _ connection: ConnectionPointer, _ target: RouteTarget, _ path: TokenPath, _ headCount: Int
    ) {
        let host = requestLayout.pointee.host.bytes(in: connection.pointee.client.input.bytes)
        guard host.count > 0 else {
            let answer = OwnAnswer(.badRequest, .wrongHost, "The request must say which host it is for.")
            return self.answer(connection, answer, then: .next(headCount: headCount))
        }
        guard HostRule.allows(host, target.route) else {
            let answer = OwnAnswer(.forbidden, .wrongHost, "This address may not be used with this host name.")
            return self.answer(connection, answer, then: .next(headCount: headCount))
        }
        joinBackend(connection, target.backend)
        switch target.backend.pointee.gate {
        case .gone(let reason):
            answer(
                connection, OwnAnswer(.unavailable, .backendGone, reason: reason), then: .next(headCount: headCount))
        case .starting where isLeaseOver(target.backend), .ready where isLeaseOver(target.backend):
            // The others that it has are cut in the next turn: not from here, where they may be being gone through.
            nextLeaseLook = 0
            answer(
                connection, OwnAnswer(.unavailable, .backendGone, reason: Self.leaseIsOver),
                then: .next(headCount: headCount))
        case .starting: hold(connection, .waitingStart, .start)
        case .ready(let port): dispatch(connection, target, path, headCount, port)
        }
    }

    /// Counts the request as one of this backend's, from now until it is answered.
    private mutating func joinBackend(
        _ connection: ConnectionPointer, _ backend: UnsafeMutablePointer<BackendRecord>
    ) {
        if connection.pointee.backend != backend {
            // The next request goes to another backend: what was open to the last one is of no use to it.
            closeUpstream(connection)
            leaveBackend(connection)
            connection.pointee.backend = backend
            slab.append(slab.index(of: connection), to: &backend.pointee.connections, .group)
        }
        relayedFor = backend.pointee.counters
        guard !connection.pointee.traits.contains(.isCounted) else { return }
        connection.pointee.traits.insert(.isCounted)
        backend.pointee.counters.pointee.active.wrappingAdd(1, ordering: .relaxed)
        backend.pointee.counters.pointee.started.wrappingAdd(1, ordering: .relaxed)
    }

    /// Sends the request's head, and what there is of its body, to the backend.
    private mutating func dispatch(
        _ connection: ConnectionPointer, _ target: RouteTarget, _ path: TokenPath, _ headCount: Int, _ port: UInt16
    ) {
        guard bodyBeginsWell(connection, headCount) else {
            let answer = OwnAnswer(.badRequest, .malformed, "The chunked body of the request is malformed.")
            return self.answer(connection, answer, then: .close)
        }
        if connection.pointee.upstream.isOpen, isUpstreamStale(connection) { closeUpstream(connection) }
        if !connection.pointee.upstream.isOpen {
            guard let socket = target.backend.pointee.takeSpare() else {
                hold(connection, .waitingSocket, .socket)
                return askForSockets(target.backend)
            }
            askForSockets(target.backend)
            connection.pointee.upstream.descriptor = socket
            guard connect(socket, port) else { return upstreamFailed(connection, "The backend cannot be reached.") }
        }
        let bytes = connection.pointee.client.input.bytes
        var writer = ByteWriter(composeBuffer)
        RequestRewriting.compose(
            &writer, requestLayout, head: bytes, headCount: headCount, path: path, route: target.route,
            peer: connection.pointee.peerHost)
        connection.pointee.request.begin(requestLayout.pointee.framing)
        let body = UnsafeRawBufferPointer(rebasing: bytes[headCount...].prefix(writer.room))
        let admitted = connection.pointee.request.admit(body) ?? 0
        writer.append(UnsafeRawBufferPointer(rebasing: body[..<admitted]))
        connection.pointee.client.input.consume(headCount + admitted, &buffers)
        counters.cells.pointee.requests.increase()
        countCopied(admitted)
        connection.pointee.phase = .exchanging
        connection.pointee.responseStage = .awaitingHead
        connection.pointee.response.begin(.none)
        let upstream = connection.pointee.upstream.descriptor
        if !forward(writer.bytes, &connection.pointee.request, to: upstream) { abandonRequest(connection) }
        armForExchange(connection)
    }

    /// A chunked body whose first bytes are wrong already must not reach the backend at all.
    private func bodyBeginsWell(_ connection: ConnectionPointer, _ headCount: Int) -> Bool {
        guard requestLayout.pointee.framing == .chunked else { return true }
        var scanner = ChunkedScanner()
        return scanner.admit(UnsafeRawBufferPointer(rebasing: connection.pointee.client.input.bytes[headCount...]))
            != nil
    }

    /// Whether the backend has closed a kept connection. Only asked when it has been idle for long enough to time out:
    /// otherwise the loop has seen the end already.
    private func isUpstreamStale(_ connection: ConnectionPointer) -> Bool {
        guard now - connection.pointee.upstreamIdleSince > 250_000_000 else { return false }
        var byte: UInt8 = 0
        let peek: Int32 = 2
        return recv(connection.pointee.upstream.descriptor, &byte, 1, peek) >= 0 || errno != EAGAIN
    }

    /// On loopback the handshake runs inside of the call, so the head can be sent at once.
    private func connect(_ socket: Int32, _ port: UInt16) -> Bool {
        do {
            _ = try Socket.connect(socket, to: .loopback(port))
            return true
        } catch {
            return false
        }
    }
}

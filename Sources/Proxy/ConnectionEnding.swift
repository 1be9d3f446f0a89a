import Glibc
import HTTP
import Linux
import Synchronization

/// What happens to the client's connection after an own answer.
enum AfterAnswer {
    /// The next request is read, if this one has no body and the client wants to go on.
    case next(headCount: Int)
    /// It ends.
    case close
}

/// What becomes of bytes that an ended backend had sent.
enum CutMoment {
    /// What has arrived is passed on first: a program that says goodbye and exits is heard.
    case afterReceived
    /// Nothing more passes.
    case atOnce
}

extension OwnAnswer {
    static func refusing(_ refusal: HeadRefusal) -> OwnAnswer {
        // Every status of a refused request is one that can be given here.
        OwnAnswer(Status(rawValue: refusal.status) ?? .badRequest, .malformed, refusal.reason)
    }
}

extension ProxyThread {
    // MARK: Own answers

    /// Answers the present request in the backend's stead.
    mutating func answer(
        _ connection: ConnectionPointer, _ answer: OwnAnswer, then after: AfterAnswer, location: String? = nil
    ) {
        if let refusal = answer.refusal { counters.refusals[refusal.rawValue].increase() }
        counters.cells.pointee.requests.increase()
        leaveHold(connection)
        deactivate(connection)
        let continuesAt = headCount(after, connection)
        if continuesAt == nil { connection.pointee.traits.remove(.clientPersists) }
        var writer = ByteWriter(composeBuffer)
        answer.compose(
            &writer, serverName: configuration.serverName,
            form: connection.pointee.traits.contains(.prefersHTML) ? .html : .json,
            body: connection.pointee.traits.contains(.isHEAD) ? .omitted : .sent,
            connection: connectionField(connection), location: location)
        connection.pointee.response.begin(.none)
        let sent = forward(writer.bytes, &connection.pointee.response, to: connection.pointee.client.descriptor)
        guard sent else { return closeConnection(connection) }
        guard let continuesAt, connection.pointee.response.isDrained else {
            closeUpstream(connection)
            leaveBackend(connection)
            return connection.pointee.response.isDrained ? linger(connection) : startFlushing(connection)
        }
        leaveBackendIfUnused(connection)
        connection.pointee.client.input.consume(continuesAt, &buffers)
        connection.pointee.phase = .readingHead
        // The caller's loop goes on with what is behind this request.
        deadlines.arm(connection, .idle, now: now, slab)
    }

    /// Where the next request begins; nil if there is to be none.
    private func headCount(_ after: AfterAnswer, _ connection: ConnectionPointer) -> Int? {
        switch after {
        case .close: return nil
        case .next(let count):
            guard connection.pointee.traits.contains(.clientPersists) else { return nil }
            switch requestLayout.pointee.framing {
            case .none, .length(0): return count
            case .length, .chunked, .untilClose: return nil
            }
        }
    }

    /// The backend did not answer, or not in HTTP.
    mutating func upstreamFailed(_ connection: ConnectionPointer, _ sentence: StaticString) {
        abandonRequest(connection)
        answer(connection, OwnAnswer(.badGateway, .badGateway, sentence), then: .close)
    }

    // MARK: Deadlines

    mutating func expire(_ connection: ConnectionPointer) {
        switch connection.pointee.deadlineKind {
        case .none: preconditionFailure("a connection without a deadline was due")
        case .idle, .linger, .halfClosed: closeConnection(connection)
        case .head:
            if connection.pointee.client.input.isEmpty { return closeConnection(connection) }
            connection.pointee.traits.formIntersection(.ofConnection)
            answer(
                connection, OwnAnswer(.requestTimeout, .slowClient, "The head of the request took too long."),
                then: .close)
        case .route:
            answer(
                connection, OwnAnswer(.unavailable, .unavailable, "Nobody could say in time where this address leads."),
                then: .close)
        case .start:
            answer(
                connection, OwnAnswer(.gatewayTimeout, .startTimeout, "The backend has not become ready in time."),
                then: .close)
        case .socket:
            answer(
                connection,
                OwnAnswer(.unavailable, .unavailable, "No connection to the backend could be made in time."),
                then: .close)
        case .stall: expireStall(connection)
        }
    }

    private mutating func expireStall(_ connection: ConnectionPointer) {
        guard connection.pointee.phase == .exchanging, connection.pointee.responseStage == .awaitingHead,
            connection.pointee.response.isDrained
        else {
            counters.refusals[Refusal.slowClient.rawValue].increase()
            return abort(connection)
        }
        Socket.resetOnClose(connection.pointee.upstream.descriptor)
        answer(
            connection, OwnAnswer(.requestTimeout, .slowClient, "The body of the request stopped coming."), then: .close
        )
    }

    // MARK: The backend's end

    /// Its backend has ended, or is to be cut off.
    mutating func backendEnded(_ connection: ConnectionPointer, _ reason: String, _ moment: CutMoment) {
        switch connection.pointee.phase {
        case .vacant, .waitingRoute, .flushing, .lingering: return
        case .readingHead:
            closeUpstream(connection)
            leaveBackend(connection)
        case .waitingStart, .waitingSocket:
            answer(connection, OwnAnswer(.unavailable, .backendGone, reason: reason), then: .close)
        case .exchanging, .tunnelling:
            let generation = connection.pointee.generation
            if moment == .afterReceived { passOnReceived(connection) }
            guard connection.pointee.generation == generation else { return }
            cut(connection, reason, moment)
        }
    }

    /// Bounded: what the kernel has buffered from a backend that no longer runs.
    private mutating func passOnReceived(_ connection: ConnectionPointer) {
        let generation = connection.pointee.generation
        for _ in 0..<256 {
            let before = receivedCount
            switch connection.pointee.phase {
            case .exchanging: exchangeUpstreamEvent(connection, .readable)
            case .tunnelling: tunnelDown(connection, .readable)
            case .vacant, .readingHead, .waitingRoute, .waitingStart, .waitingSocket, .flushing, .lingering: return
            }
            guard connection.pointee.generation == generation, receivedCount != before else { return }
        }
    }

    /// Grows with every byte that is relayed.
    private var receivedCount: UInt64 {
        counters.cells.pointee.bytesCopied.load(ordering: .relaxed)
            &+ counters.cells.pointee.bytesSpliced.load(ordering: .relaxed)
    }

    private mutating func cut(_ connection: ConnectionPointer, _ reason: String, _ moment: CutMoment) {
        let response = connection.pointee.response
        switch connection.pointee.phase {
        case .vacant, .readingHead, .waitingRoute, .waitingStart, .waitingSocket, .flushing, .lingering: return
        case .exchanging:
            if connection.pointee.responseStage == .awaitingHead, response.isDrained {
                abandonRequest(connection)
                answer(connection, OwnAnswer(.unavailable, .backendGone, reason: reason), then: .close)
            } else if response.isFinished, moment == .afterReceived {
                flushRest(connection)
            } else {
                abort(connection)
            }
        case .tunnelling:
            if moment == .atOnce { return abort(connection) }
            if response.isFinished, !response.isDrained { flushRest(connection) } else { closeConnection(connection) }
        }
    }

    /// All of the answer has been received; only the client still has to take it.
    private mutating func flushRest(_ connection: ConnectionPointer) {
        deactivate(connection)
        closeUpstream(connection)
        leaveBackend(connection)
        startFlushing(connection)
    }

    // MARK: A revoked token

    /// The token that its present or last request came by leads nowhere any more.
    mutating func tokenCut(_ connection: ConnectionPointer) {
        let awaitsHead = connection.pointee.responseStage == .awaitingHead && connection.pointee.response.isDrained
        switch connection.pointee.phase {
        case .vacant: return
        // It is answered by the route's removal.
        case .waitingRoute: return
        case .waitingStart, .waitingSocket: answerUnknown(connection, then: .close)
        case .exchanging where awaitsHead:
            abandonRequest(connection)
            answerUnknown(connection, then: .close)
        case .readingHead, .exchanging, .tunnelling, .flushing, .lingering: abort(connection)
        }
    }

    // MARK: Parting

    private mutating func startFlushing(_ connection: ConnectionPointer) {
        connection.pointee.phase = .flushing
        deadlines.arm(connection, .stall, now: now, slab)
    }

    mutating func flush(_ connection: ConnectionPointer) {
        guard drain(&connection.pointee.response, into: connection.pointee.client.descriptor) else {
            return closeConnection(connection)
        }
        if connection.pointee.response.isDrained { linger(connection) }
    }

    /// Closing at once would reset the connection if the client has sent more, and the reset could overtake the answer.
    mutating func linger(_ connection: ConnectionPointer) {
        connection.pointee.client.input.release(&buffers)
        connection.pointee.phase = .lingering
        _ = shutdown(connection.pointee.client.descriptor, Int32(SHUT_WR))
        deadlines.arm(connection, .linger, now: now, slab)
    }

    mutating func lingerOn(_ connection: ConnectionPointer) {
        let count = recv(connection.pointee.client.descriptor, relayBuffer.baseAddress, relayBuffer.count, 0)
        if count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR)) { return }
        closeConnection(connection)
    }

    /// The request is over: it no longer keeps its backend from being idle.
    mutating func deactivate(_ connection: ConnectionPointer) {
        guard connection.pointee.traits.contains(.isCounted), let backend = connection.pointee.backend else { return }
        connection.pointee.traits.remove(.isCounted)
        backend.pointee.counters.pointee.active.wrappingSubtract(1, ordering: .relaxed)
    }

    mutating func closeUpstream(_ connection: ConnectionPointer) {
        guard connection.pointee.upstream.isOpen else { return }
        discard(&connection.pointee.request)
        connection.pointee.upstream.input.release(&buffers)
        _ = close(connection.pointee.upstream.descriptor)
        connection.pointee.upstream = Side()
    }

    /// Takes the connection out of its backend's list.
    mutating func leaveBackend(_ connection: ConnectionPointer) {
        guard let backend = connection.pointee.backend else { return }
        deactivate(connection)
        slab.remove(slab.index(of: connection), from: &backend.pointee.connections, .group)
        connection.pointee.backend = nil
    }

    mutating func leaveBackendIfUnused(_ connection: ConnectionPointer) {
        if connection.pointee.upstream.isOpen || connection.pointee.traits.contains(.isCounted) { return }
        leaveBackend(connection)
    }

    /// Ends a connection by resets both ways: a body or tunnel that breaks off must not look whole.
    mutating func abort(_ connection: ConnectionPointer) {
        if connection.pointee.client.isOpen { Socket.resetOnClose(connection.pointee.client.descriptor) }
        if connection.pointee.upstream.isOpen { Socket.resetOnClose(connection.pointee.upstream.descriptor) }
        closeConnection(connection)
    }

    mutating func closeConnection(_ connection: ConnectionPointer) {
        leaveHold(connection)
        closeUpstream(connection)
        leaveBackend(connection)
        discard(&connection.pointee.request)
        discard(&connection.pointee.response)
        connection.pointee.client.input.release(&buffers)
        _ = close(connection.pointee.client.descriptor)
        connection.pointee.client = Side()
        deadlines.arm(connection, .none, now: now, slab)
        slab.free(connection)
        counters.cells.pointee.open.decrease()
    }
}

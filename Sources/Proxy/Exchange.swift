import Glibc
import HTTP
import Linux
import Synchronization

extension ProxyThread {
    // MARK: Events

    mutating func exchangeClientEvent(_ connection: ConnectionPointer, _ fired: Interest) {
        if fired.contains(.error) { return abort(connection) }
        let generation = connection.pointee.generation
        if fired.contains(.writable) { pumpResponse(connection, .mayBeEmpty) }
        guard connection.pointee.generation == generation, connection.pointee.phase == .exchanging else { return }
        if !fired.isDisjoint(with: [.readable, .hangup]) {
            if connection.pointee.request.isFinished {
                noticeClientEnd(connection)
            } else {
                pumpRequest(connection, .readable)
            }
        }
        settleExchange(connection, generation)
    }

    mutating func exchangeUpstreamEvent(_ connection: ConnectionPointer, _ fired: Interest) {
        let generation = connection.pointee.generation
        if fired.contains(.writable) { pumpRequest(connection, .mayBeEmpty) }
        guard connection.pointee.generation == generation, connection.pointee.phase == .exchanging else { return }
        if !fired.isDisjoint(with: [.readable, .hangup, .error]), connection.pointee.response.isDrained {
            switch connection.pointee.responseStage {
            case .awaitingHead: readResponseHead(connection)
            case .relayingBody: pumpResponse(connection, .readable)
            }
        }
        settleExchange(connection, generation)
    }

    private mutating func settleExchange(_ connection: ConnectionPointer, _ generation: UInt32) {
        guard connection.pointee.generation == generation, connection.pointee.phase == .exchanging else { return }
        if connection.pointee.responseStage == .relayingBody, connection.pointee.response.isFinished,
            connection.pointee.response.isDrained
        {
            finishExchange(connection)
        } else {
            armForExchange(connection)
        }
    }

    /// A client that owes us its body, or does not take the response, has a deadline; a backend that thinks has none.
    mutating func armForExchange(_ connection: ConnectionPointer) {
        let awaitsBody = !connection.pointee.request.isFinished && connection.pointee.request.isDrained
        if awaitsBody || !connection.pointee.response.isDrained {
            deadlines.arm(connection, .stall, now: now, slab)
        } else if connection.pointee.deadlineKind != .none {
            deadlines.arm(connection, .none, now: now, slab)
        }
    }

    // MARK: Request body

    private mutating func pumpRequest(_ connection: ConnectionPointer, _ state: SourceState) {
        let upstream = connection.pointee.upstream.descriptor
        switch pump(&connection.pointee.request, from: &connection.pointee.client, to: upstream, state) {
        case .waiting, .finished: return
        case .sinkFailed: abandonRequest(connection)
        case .sourceFailed: abort(connection)
        case .truncated:
            refuseBody(connection, "The connection ended before the body was whole.")
        case .malformed:
            refuseBody(connection, "The chunked body of the request is malformed.")
        }
    }

    /// The backend takes no more: it may have answered already, so its response is still waited for.
    mutating func abandonRequest(_ connection: ConnectionPointer) {
        discard(&connection.pointee.request)
        connection.pointee.request.abandon()
        connection.pointee.traits.insert(.requestAbandoned)
    }

    /// The body cannot be completed: the backend must see that it is cut off, and not take it for whole.
    private mutating func refuseBody(_ connection: ConnectionPointer, _ sentence: StaticString) {
        guard connection.pointee.responseStage == .awaitingHead, connection.pointee.response.isDrained else {
            return abort(connection)
        }
        Socket.resetOnClose(connection.pointee.upstream.descriptor)
        answer(connection, OwnAnswer(.badRequest, .malformed, sentence), then: .close)
    }

    /// The client is readable although its request is whole: it sends the next one, or has ended its side. The end is
    /// passed on, so that the backend sees of its client what it would see without a proxy.
    private mutating func noticeClientEnd(_ connection: ConnectionPointer) {
        guard !connection.pointee.traits.contains(.clientEnded), connection.pointee.client.input.isEmpty else { return }
        var byte: UInt8 = 0
        let peek: Int32 = 2
        let count = recv(connection.pointee.client.descriptor, &byte, 1, peek)
        if count > 0 { return }
        if count < 0 {
            if errno != EAGAIN, errno != EINTR { abort(connection) }
            return
        }
        connection.pointee.traits.insert(.clientEnded)
        if connection.pointee.request.isDrained {
            _ = shutdown(connection.pointee.upstream.descriptor, Int32(SHUT_WR))
        }
    }

    // MARK: Response

    private mutating func readResponseHead(_ connection: ConnectionPointer) {
        let room = connection.pointee.upstream.input.room(&buffers)
        let count = recv(connection.pointee.upstream.descriptor, room.baseAddress, room.count, 0)
        if count < 0, errno == EAGAIN || errno == EINTR {
            if connection.pointee.upstream.input.isEmpty { connection.pointee.upstream.input.release(&buffers) }
            return
        }
        guard count > 0 else {
            return upstreamFailed(connection, "The backend closed the connection without an answer.")
        }
        connection.pointee.upstream.input.filled(count)
        parseResponse(connection)
    }

    private mutating func parseResponse(_ connection: ConnectionPointer) {
        let traits = connection.pointee.traits
        let answered: AnsweredRequest =
            traits.contains(.isHEAD) ? .head : traits.contains(.wantsUpgrade) ? .upgrade : .ordinary
        while connection.pointee.response.isDrained, !connection.pointee.upstream.input.isEmpty {
            switch responseLayout.pointee.parse(connection.pointee.upstream.input.bytes, answering: answered) {
            case .incomplete: return
            case .invalid:
                return upstreamFailed(connection, "The backend answered with something that is not valid HTTP/1.1.")
            case .complete(let count):
                if responseLayout.pointee.status == 101 { return beginTunnel(connection, headCount: count) }
                if responseLayout.pointee.status >= 200 { return beginResponse(connection, headCount: count) }
                if !relayInterim(connection, headCount: count) { return abort(connection) }
            }
        }
    }

    private mutating func relayInterim(_ connection: ConnectionPointer, headCount: Int) -> Bool {
        defer { connection.pointee.upstream.input.consume(headCount, &buffers) }
        // HTTP/1.0 has no interim responses. RFC 9110 section 15.2.
        if connection.pointee.traits.contains(.isHTTP10) { return true }
        var writer = ByteWriter(composeBuffer)
        ResponseRewriting.composeInterim(
            &writer, responseLayout, head: connection.pointee.upstream.input.bytes, headCount: headCount)
        return forward(writer.bytes, &connection.pointee.response, to: connection.pointee.client.descriptor)
    }

    private mutating func beginResponse(_ connection: ConnectionPointer, headCount: Int) {
        if connection.pointee.traits.contains(.isHTTP10), responseLayout.pointee.framing == .chunked {
            return upstreamFailed(connection, "The backend answered an HTTP/1.0 request in chunks.")
        }
        guard let backend = connection.pointee.backend else { preconditionFailure("an exchange without a backend") }
        decidePersistence(connection)
        let bytes = connection.pointee.upstream.input.bytes
        var writer = ByteWriter(composeBuffer)
        ResponseRewriting.compose(
            &writer, responseLayout, head: bytes, headCount: headCount, connection: connectionField(connection),
            ownFields: backend.pointee.responseFields)
        connection.pointee.response.begin(responseLayout.pointee.framing)
        let body = UnsafeRawBufferPointer(rebasing: bytes[headCount...].prefix(writer.room))
        guard let admitted = connection.pointee.response.admit(body) else {
            return upstreamFailed(connection, "The backend answered with a malformed chunked body.")
        }
        writer.append(UnsafeRawBufferPointer(rebasing: body[..<admitted]))
        connection.pointee.upstream.input.consume(headCount + admitted, &buffers)
        countCopied(admitted)
        connection.pointee.responseStage = .relayingBody
        if !forward(writer.bytes, &connection.pointee.response, to: connection.pointee.client.descriptor) {
            abort(connection)
        }
    }

    private func decidePersistence(_ connection: ConnectionPointer) {
        switch responseLayout.pointee.persistence {
        case .keepAlive: connection.pointee.traits.insert(.upstreamPersists)
        case .close: connection.pointee.traits.remove(.upstreamPersists)
        }
        // An answer that overtakes the request's body: whether the rest will come nobody knows, so the connection ends.
        let isEarly = !connection.pointee.request.isFinished || connection.pointee.traits.contains(.requestAbandoned)
        if isEarly || responseLayout.pointee.framing == .untilClose || stage != .serving {
            connection.pointee.traits.remove(.clientPersists)
        }
        if isEarly || connection.pointee.traits.contains(.clientEnded) {
            connection.pointee.traits.remove(.upstreamPersists)
        }
    }

    func connectionField(_ connection: ConnectionPointer) -> ResponseRewriting.ConnectionField {
        let traits = connection.pointee.traits
        if !traits.contains(.clientPersists) { return .close }
        return traits.contains(.isHTTP10) ? .keepAlive : .unsaid
    }

    private mutating func pumpResponse(_ connection: ConnectionPointer, _ state: SourceState) {
        let client = connection.pointee.client.descriptor
        switch pump(&connection.pointee.response, from: &connection.pointee.upstream, to: client, state) {
        case .waiting: return
        case .finished:
            // An interim head is out: the final one may have been received behind it.
            if connection.pointee.responseStage == .awaitingHead { parseResponse(connection) }
        // What the client got so far must not look whole.
        case .truncated, .malformed, .sourceFailed, .sinkFailed: abort(connection)
        }
    }

    private mutating func finishExchange(_ connection: ConnectionPointer) {
        let traits = connection.pointee.traits
        let isRequestWhole =
            connection.pointee.request.isFinished && connection.pointee.request.isDrained
            && !traits.contains(.requestAbandoned)
        deactivate(connection)
        if isRequestWhole, traits.contains(.upstreamPersists), connection.pointee.upstream.input.isEmpty {
            connection.pointee.upstreamIdleSince = now
        } else {
            closeUpstream(connection)
            leaveBackend(connection)
        }
        guard isRequestWhole, traits.contains(.clientPersists) else {
            closeUpstream(connection)
            leaveBackend(connection)
            if isRequestWhole, traits.contains(.clientSaidClose), connection.pointee.client.input.isEmpty {
                return closeConnection(connection)
            }
            return linger(connection)
        }
        awaitRequest(connection)
    }

    /// Makes the connection ready for its next request, which may have been received already.
    mutating func awaitRequest(_ connection: ConnectionPointer) {
        connection.pointee.phase = .readingHead
        deadlines.arm(connection, .idle, now: now, slab)
        if !connection.pointee.client.input.isEmpty { processInput(connection) }
    }
}

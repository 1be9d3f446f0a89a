import Glibc
import HTTP
import Linux
import Synchronization

extension ProxyThread {
    /// After the backend's 101, and only then, bytes go both ways unread.
    mutating func beginTunnel(_ connection: ConnectionPointer, headCount: Int) {
        guard let backend = connection.pointee.backend else { preconditionFailure("an exchange without a backend") }
        let bytes = connection.pointee.upstream.input.bytes
        var writer = ByteWriter(composeBuffer)
        ResponseRewriting.compose(
            &writer, responseLayout, head: bytes, headCount: headCount, connection: .upgrade,
            ownFields: backend.pointee.responseFields)
        connection.pointee.response.begin(.untilClose)
        let first = UnsafeRawBufferPointer(rebasing: bytes[headCount...].prefix(writer.room))
        writer.append(first)
        countCopied(first.count)
        connection.pointee.upstream.input.consume(headCount + first.count, &buffers)
        connection.pointee.phase = .tunnelling
        connection.pointee.request.begin(.untilClose)
        counters.cells.pointee.upgrades.increase()
        deadlines.arm(connection, .none, now: now, slab)
        guard forward(writer.bytes, &connection.pointee.response, to: connection.pointee.client.descriptor) else {
            return abort(connection)
        }
        // What the client sent without waiting for the switch.
        if !connection.pointee.client.input.isEmpty { tunnelUp(connection, .mayBeEmpty) }
    }

    mutating func tunnelEvent(_ connection: ConnectionPointer, _ side: SideName, _ fired: Interest) {
        // A reset is passed on as a reset; what was on its way is lost, as it would be on one connection.
        if fired.contains(.error) { return abort(connection) }
        let generation = connection.pointee.generation
        let hasInput = !fired.isDisjoint(with: [.readable, .hangup])
        switch side {
        case .client:
            if fired.contains(.writable) { tunnelDown(connection, .mayBeEmpty) }
            guard connection.pointee.generation == generation else { return }
            if hasInput { tunnelUp(connection, .readable) }
        case .upstream:
            if fired.contains(.writable) { tunnelUp(connection, .mayBeEmpty) }
            guard connection.pointee.generation == generation else { return }
            if hasInput { tunnelDown(connection, .readable) }
        }
        guard connection.pointee.generation == generation else { return }
        settleTunnel(connection)
    }

    /// Client to backend.
    private mutating func tunnelUp(_ connection: ConnectionPointer, _ state: SourceState) {
        let upstream = connection.pointee.upstream.descriptor
        switch pump(&connection.pointee.request, from: &connection.pointee.client, to: upstream, state) {
        case .waiting: return
        case .finished:
            guard !connection.pointee.traits.contains(.upstreamShut) else { return }
            connection.pointee.traits.insert(.upstreamShut)
            _ = shutdown(upstream, Int32(SHUT_WR))
        case .truncated, .malformed, .sourceFailed, .sinkFailed: abort(connection)
        }
    }

    /// Backend to client.
    mutating func tunnelDown(_ connection: ConnectionPointer, _ state: SourceState) {
        let client = connection.pointee.client.descriptor
        switch pump(&connection.pointee.response, from: &connection.pointee.upstream, to: client, state) {
        case .waiting: return
        case .finished:
            guard !connection.pointee.traits.contains(.clientShut) else { return }
            connection.pointee.traits.insert(.clientShut)
            _ = shutdown(client, Int32(SHUT_WR))
        case .truncated, .malformed, .sourceFailed, .sinkFailed: abort(connection)
        }
    }

    private mutating func settleTunnel(_ connection: ConnectionPointer) {
        let ended: Connection.Traits = [.upstreamShut, .clientShut]
        let present = connection.pointee.traits.intersection(ended)
        if present == ended { return closeConnection(connection) }
        // A half that is left alone by a peer that has forgotten it would count as activity for ever.
        if !present.isEmpty { deadlines.arm(connection, .halfClosed, now: now, slab) }
    }
}

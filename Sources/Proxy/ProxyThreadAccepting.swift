import Glibc
import Linux

extension ProxyThread {
    /// Takes a few connections and reads what they have sent already.
    mutating func acceptConnections() {
        for _ in 0..<32 {
            guard listener >= 0 else { return }
            if slab.isFull { return pauseAccepting(.pausedForRoom) }
            let accepted: AcceptedSocket?
            do {
                accepted = try Socket.accept(listener)
            } catch {
                // EMFILE and its like. The connection stays in the queue: without a pause the loop would spin on it.
                return pauseAccepting(.pausedUntil(now + 100_000_000))
            }
            guard let accepted else { return }
            let peer = accepted.peer?.host ?? 0
            adopt(accepted.release(), peer: peer)
        }
    }

    private mutating func adopt(_ socket: Int32, peer: UInt32) {
        guard let connection = slab.allocate() else { preconditionFailure("a full slab was not seen before accepting") }
        connection.pointee.client.descriptor = socket
        connection.pointee.peerHost = peer
        connection.pointee.phase = .readingHead
        counters.cells.pointee.accepted.increase()
        counters.cells.pointee.open.increase()
        deadlines.arm(connection, .head, now: now, slab)
        // TCP_DEFER_ACCEPT has the first bytes here already, as a rule.
        settled(connection) { $0.readHead(connection) }
    }

    private mutating func pauseAccepting(_ pause: Accepting) {
        guard listener >= 0 else { return }
        counters.cells.pointee.acceptPauses.increase()
        accepting = pause
        ignoringFailure { () throws(SystemError) in
            try epoll.modify(listener, [], token: EventToken.listener.rawValue)
        }
    }

    mutating func resumeAcceptingIfDue() {
        switch accepting {
        case .running, .ended: return
        case .pausedUntil(let moment): if now < moment { return }
        case .pausedForRoom: if slab.isFull { return }
        }
        guard listener >= 0 else { return }
        accepting = .running
        ignoringFailure { () throws(SystemError) in
            try epoll.modify(listener, .readable, token: EventToken.listener.rawValue)
        }
    }

    /// Takes what still waits in the listener's queue, where it would be reset, and closes it.
    mutating func stopAccepting() {
        acceptConnections()
        accepting = .ended
        closeListener()
    }

    mutating func closeListener() {
        guard listener >= 0 else { return }
        _ = close(listener)
        listener = -1
    }

    /// epoll_ctl(2) MOD of a watched descriptor fails for bad arguments only.
    private func ignoringFailure(_ body: () throws(SystemError) -> Void) {
        do { try body() } catch { preconditionFailure("\(error)") }
    }
}

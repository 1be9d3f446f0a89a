import Linux

extension ProxyThread {
    /// Brings epoll's interest in line with what the connection waits for.
    ///
    /// Readability is given up only when it was reported and is of no use: a request and its answer then cost no epoll_ctl
    /// at all.
    mutating func watch(_ connection: ConnectionPointer, _ name: SideName, fired: Interest) {
        let side = self.side(connection, name)
        guard side.isOpen else { return }
        let wanted = wantedInterest(connection, name)
        guard let watched = side.watched else {
            if !wanted.isEmpty { startWatching(connection, name, wanted) }
            return
        }
        if wanted.isEmpty, !fired.isDisjoint(with: [.hangup, .error]) {
            // These are reported whether asked for or not, so epoll must forget the socket until it is needed again.
            return setInterest(connection, name, nil)
        }
        let lacks = !watched.isSuperset(of: wanted)
        let hasUselessRoom = watched.contains(.writable) && !wanted.contains(.writable)
        let wasUselesslyReadable =
            fired.contains(.readable) && watched.contains(.readable) && !wanted.contains(.readable)
        if lacks || hasUselessRoom || wasUselesslyReadable { setInterest(connection, name, wanted) }
    }

    private func wantedInterest(_ connection: ConnectionPointer, _ name: SideName) -> Interest {
        switch (connection.pointee.phase, name) {
        case (.vacant, _): return []
        case (.readingHead, _): return .readable
        case (.waitingRoute, _), (.waitingStart, _), (.waitingSocket, _):
            return name == .upstream ? .readable : []
        case (.flushing, .client): return .writable
        case (.flushing, .upstream): return []
        case (.lingering, _): return .readable
        case (.exchanging, .client), (.tunnelling, .client):
            return wantedInterest(reading: connection.pointee.request, writing: connection.pointee.response)
        case (.exchanging, .upstream):
            var wanted = wantedInterest(reading: connection.pointee.response, writing: connection.pointee.request)
            if connection.pointee.responseStage == .awaitingHead, connection.pointee.response.isDrained {
                wanted.insert(.readable)
            }
            return wanted
        case (.tunnelling, .upstream):
            return wantedInterest(reading: connection.pointee.response, writing: connection.pointee.request)
        }
    }

    @inline(__always)
    private func wantedInterest(reading: borrowing Flow, writing: borrowing Flow) -> Interest {
        var wanted: Interest = []
        if reading.isDrained, !reading.isFinished { wanted.insert(.readable) }
        if !writing.isDrained { wanted.insert(.writable) }
        return wanted
    }

    private func side(_ connection: ConnectionPointer, _ name: SideName) -> (isOpen: Bool, watched: Interest?) {
        switch name {
        case .client: (connection.pointee.client.isOpen, connection.pointee.client.watched)
        case .upstream: (connection.pointee.upstream.isOpen, connection.pointee.upstream.watched)
        }
    }

    private mutating func startWatching(_ connection: ConnectionPointer, _ name: SideName, _ wanted: Interest) {
        do {
            try epoll.add(descriptor(connection, name), wanted, token: token(connection, name))
            note(connection, name, wanted)
        } catch {
            // ENOMEM or ENOSPC: a socket that cannot be watched would stall for ever.
            abort(connection)
        }
    }

    private mutating func setInterest(_ connection: ConnectionPointer, _ name: SideName, _ wanted: Interest?) {
        do {
            if let wanted {
                try epoll.modify(descriptor(connection, name), wanted, token: token(connection, name))
            } else {
                try epoll.remove(descriptor(connection, name))
            }
            note(connection, name, wanted)
        } catch {
            preconditionFailure("\(error)")
        }
    }

    private func note(_ connection: ConnectionPointer, _ name: SideName, _ watched: Interest?) {
        switch name {
        case .client: connection.pointee.client.watched = watched
        case .upstream: connection.pointee.upstream.watched = watched
        }
    }

    private func descriptor(_ connection: ConnectionPointer, _ name: SideName) -> Int32 {
        switch name {
        case .client: connection.pointee.client.descriptor
        case .upstream: connection.pointee.upstream.descriptor
        }
    }

    private func token(_ connection: ConnectionPointer, _ name: SideName) -> UInt64 {
        EventToken(generation: connection.pointee.generation, index: slab.index(of: connection), side: name).rawValue
    }
}

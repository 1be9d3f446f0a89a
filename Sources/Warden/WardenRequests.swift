import Glibc
import Linux
import Model
import Sandbox
import WardenProtocol

/// Serving the drone: the whole table of what it may ask, and what is checked again before it is done.
extension WardenServer {
    func acceptDrone() throws(SystemError) {
        while let accepted = try Socket.accept(listener.raw) {
            let connection = DroneConnection(Descriptor(owning: accepted.release()))
            let peer = try Socket.peer(connection.raw)
            guard peer.userID == configuration.droneUser || peer.userID == 0 else {
                WardenLog.write("refused a connection of user \(peer.userID), pid \(peer.processID)")
                continue
            }
            // A restarted drone: the process that held the old connection must not act any more.
            if let old = drone { try letGo(old, "another drone connected") }
            try epoll.add(connection.raw, .readable, token: UInt64(UInt32(bitPattern: connection.raw)))
            drone = connection
        }
    }

    func letGo(_ connection: DroneConnection, _ cause: String) throws(SystemError) {
        try epoll.remove(connection.raw)
        drone = nil
        WardenLog.write("the drone's connection ends: \(cause)")
    }

    /// Reads and answers what has come.
    func serve(_ connection: DroneConnection) throws(SystemError) {
        do throws(SystemError) {
            try connection.flush()
            // Bounded, so that a talkative drone does not keep deadlines waiting; the rest comes with the next event.
            for _ in 0..<64 where drone === connection {
                guard
                    let packet = try Socket.receivePacket(connection.raw, capacity: WardenRequest.packetBytesMax)
                else { break }
                packet.descriptors.forEach { close($0) }
                if packet.bytes.isEmpty { return try letGo(connection, "closed by the drone") }
                try answer(packet.bytes, connection)
            }
            if drone === connection {
                let interest: Interest = connection.hasWaiting ? [.readable, .writable] : .readable
                try epoll.modify(connection.raw, interest, token: UInt64(UInt32(bitPattern: connection.raw)))
            }
        } catch {
            if drone === connection { try letGo(connection, "\(error)") }
        }
    }

    private func answer(_ packet: [UInt8], _ connection: DroneConnection) throws(SystemError) {
        let request: WardenRequest
        do { request = try WardenRequest(packet: packet) } catch {
            return try letGo(connection, "not a request: \(error)")
        }
        switch request {
        case .hello(let version): try greet(connection, version)
        case _ where !connection.isGreeted: try letGo(connection, "it did not begin with hello")
        case .spawn, .extend, .terminate, .sockets, .list, .forget:
            try perform(ledger.requested(request, now: .now))
        }
    }

    private func greet(_ connection: DroneConnection, _ version: UInt32) throws(SystemError) {
        guard version == WardenRequest.version else {
            return try letGo(
                connection, "it speaks version \(version), not \(WardenRequest.version); install both of one build")
        }
        connection.isGreeted = true
        library.reloadIfChanged()
        let offers = library.images.values.map { image in
            ImageOffer(
                image: image.plan.image, port: image.plan.port, readiness: image.plan.readiness,
                gracePeriodSeconds: image.plan.gracePeriodSeconds, ceilings: image.plan.ceilings)
        }
        try reply(
            .welcome(
                WardenWelcome(
                    version: WardenRequest.version, machine: machine, missingControllers: host.cgroup.missing,
                    images: offers.sorted { $0.image.text < $1.image.text })))
    }

    /// Sends to the drone, if one is there. What it misses it learns by `list`.
    func reply(_ reply: WardenReply, descriptors: [Int32] = []) throws(SystemError) {
        guard let connection = drone else { return }
        do throws(SystemError) {
            if try !connection.send(reply, descriptors: descriptors) {
                return try letGo(connection, "it reads no answers")
            }
            if connection.hasWaiting {
                try epoll.modify(
                    connection.raw, [.readable, .writable], token: UInt64(UInt32(bitPattern: connection.raw)))
            }
        } catch { try letGo(connection, "\(error)") }
    }
}

import Glibc
import Linux
import WardenProtocol

/// The connection of the drone that is served. A new one takes the place of the old.
final class DroneConnection {
    private let socket: Descriptor
    /// Packets that the socket had no room for. Their descriptors are duplicates of their own.
    private var waiting: [(bytes: [UInt8], descriptors: [Int32])] = []
    /// Whether hello was said: nothing else is answered before.
    var isGreeted = false

    /// A drone that reads nothing for this many answers is broken.
    static let waitingMax = 4096

    init(_ socket: consuming Descriptor) { self.socket = socket }

    deinit {
        for packet in waiting { packet.descriptors.forEach { close($0) } }
    }

    var raw: Int32 { socket.raw }
    var hasWaiting: Bool { !waiting.isEmpty }

    /// Sends a reply, or keeps it until there is room. The descriptors stay the caller's.
    /// - Returns: false when the drone has not read for so long that it must be let go.
    func send(_ reply: WardenReply, descriptors: [Int32] = []) throws(SystemError) -> Bool {
        let bytes = reply.bytes
        if waiting.isEmpty, try Socket.sendPacket(socket.raw, bytes, descriptors: descriptors) { return true }
        guard waiting.count < Self.waitingMax else { return false }
        waiting.append((bytes, descriptors.map { fcntl($0, F_DUPFD_CLOEXEC, 3) }))
        return true
    }

    /// Sends what waits, as far as there is room.
    func flush() throws(SystemError) {
        while let first = waiting.first {
            guard try Socket.sendPacket(socket.raw, first.bytes, descriptors: first.descriptors) else { return }
            first.descriptors.forEach { close($0) }
            waiting.removeFirst()
        }
    }
}

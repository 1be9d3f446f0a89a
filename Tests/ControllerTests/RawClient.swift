import Glibc
import Linux

/// A connection on which a test writes whatever it likes.
struct RawClient: ~Copyable {
    private let socket: Descriptor

    init(port: UInt16) throws {
        let socket = try Socket.tcp()
        // Blocking: the test has nothing else to do.
        _ = fcntl(socket.raw, F_SETFL, 0)
        _ = try Socket.connect(socket.raw, to: .loopback(port))
        self.socket = socket
    }

    func send(_ text: String) throws { try socket.writeAll(Array(text.utf8)) }

    /// All that comes until the other side closes.
    func readToEnd() throws -> String { String(decoding: try socket.readAll(limit: 1 << 20), as: UTF8.self) }
}

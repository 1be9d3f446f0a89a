import CLinux
import Glibc
import Linux

/// A blocking TCP socket that gives up after 20 seconds, so that a stalled relay fails a test instead of hanging it.
final class RawSocket: @unchecked Sendable {
    private(set) var descriptor: Int32
    private var received: [UInt8] = []

    init(_ descriptor: Int32) {
        self.descriptor = descriptor
        var limit = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        Socket.setNoDelay(descriptor)
    }

    static func connect(_ address: SocketAddress) -> RawSocket {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        precondition(plane_connect_in4(descriptor, address.host, address.port) == 0, "cannot connect to \(address)")
        return RawSocket(descriptor)
    }

    deinit { close() }

    func close() {
        if descriptor >= 0 { _ = Glibc.close(descriptor) }
        descriptor = -1
    }

    func reset() {
        Socket.resetOnClose(descriptor)
        close()
    }

    func shutdownWriting() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// - Returns: whether all of it was taken.
    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { part in
                Glibc.send(descriptor, part.baseAddress.map { $0 + sent }, part.count - sent, 0x4000)
            }
            if count <= 0 { return false }
            sent += count
        }
        return true
    }

    @discardableResult
    func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    /// One urgent byte. MSG_OOB, tcp(7).
    func sendUrgent(_ byte: UInt8) {
        var byte = byte
        _ = Glibc.send(descriptor, &byte, 1, 1)
    }

    /// What a receive ended with.
    enum Received: Equatable {
        case bytes([UInt8])
        case end
        case failed(Int32)
    }

    func receive(max: Int = 65536) -> Received {
        if !received.isEmpty {
            defer { received = [] }
            return .bytes(received)
        }
        var buffer = [UInt8](repeating: 0, count: max)
        let count = recv(descriptor, &buffer, max, 0)
        if count > 0 { return .bytes(Array(buffer[..<count])) }
        return count == 0 ? .end : .failed(errno)
    }

    private func fill() -> Bool {
        var buffer = [UInt8](repeating: 0, count: 65536)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        guard count > 0 else { return false }
        received += buffer[..<count]
        return true
    }

    /// Up to and with the empty line; nil if the connection ends before.
    func readHead() -> String? {
        let mark = Array("\r\n\r\n".utf8)
        var searched = 0
        while true {
            if received.count >= 4 {
                for start in searched...(received.count - 4) where received[start] == 13 && received[start + 2] == 13 {
                    guard Array(received[start..<start + 4]) == mark else { continue }
                    defer { received.removeFirst(start + 4) }
                    return String(decoding: received[..<(start + 4)], as: UTF8.self)
                }
                searched = received.count - 3
            }
            guard fill() else { return nil }
        }
    }

    /// Exactly so many bytes, or fewer if the connection ends before.
    func read(_ count: Int) -> [UInt8] {
        while received.count < count, fill() {}
        defer { received.removeFirst(min(count, received.count)) }
        return Array(received.prefix(count))
    }

    func readLine() -> String? {
        while true {
            if let end = received.firstIndex(of: 10) {
                defer { received.removeFirst(end + 1) }
                return String(decoding: received[..<end].filter { $0 != 13 }, as: UTF8.self)
            }
            guard fill() else { return nil }
        }
    }

    func readToEnd() -> [UInt8] {
        while fill() {}
        defer { received = [] }
        return received
    }

    func readChunks() -> [UInt8]? {
        var body: [UInt8] = []
        while let line = readLine(), let count = Int(line, radix: 16) {
            if count == 0 {
                while let trailer = readLine() { if trailer.isEmpty { return body } }
                return nil
            }
            let data = read(count)
            guard data.count == count, readLine() == "" else { return nil }
            body += data
        }
        return nil
    }

    /// A whole response; nil if the connection breaks before its end.
    func readResponse(to method: String = "GET") -> Response? {
        guard let head = readHead() else { return nil }
        let message = Message(head)
        let status = Int(message.firstLine.split(separator: " ")[1]) ?? 0
        var body: [UInt8] = []
        if method == "HEAD" || status == 204 || status == 304 || status < 200 {
            body = []
        } else if message["transfer-encoding"] == "chunked" {
            guard let chunks = readChunks() else { return nil }
            body = chunks
        } else if let length = message["content-length"].flatMap({ Int($0) }) {
            body = read(length)
            if body.count != length { return nil }
        } else {
            body = readToEnd()
        }
        return Response(status: status, message: message, body: body)
    }

    struct Response {
        let status: Int
        let message: Message
        let body: [UInt8]
        var text: String { String(decoding: body, as: UTF8.self) }
        subscript(name: String) -> String? { message[name] }
    }
}

/// A head, taken apart by a second and simple parser.
struct Message: Sendable {
    let firstLine: String
    let fields: [(name: String, value: String)]

    init(_ head: String) {
        var lines = head.split(separator: "\r\n", omittingEmptySubsequences: true).map(String.init)
        firstLine = lines.isEmpty ? "" : lines.removeFirst()
        fields = lines.map { line in
            let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            let value = parts.count > 1 ? parts[1].drop(while: { $0 == " " }) : ""
            return (parts[0].lowercased(), String(value))
        }
    }

    /// All values of a name, joined.
    subscript(name: String) -> String? {
        let values = fields.filter { $0.name == name }.map(\.value)
        return values.isEmpty ? nil : values.joined(separator: ", ")
    }
}

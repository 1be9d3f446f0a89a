import Glibc
import Linux
import Synchronization

/// A pthread that runs a closure: tests block in it as they like.
func startThread(_ body: @escaping @Sendable () -> Void) -> pthread_t {
    final class Box: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var handle = pthread_t()
    let code = pthread_create(
        &handle, nil,
        { argument in
            if let argument { Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().body() }
            return nil
        }, Unmanaged.passRetained(Box(body)).toOpaque())
    precondition(code == 0, "pthread_create failed")
    return handle
}

/// A request as a backend saw it.
struct SeenRequest: Sendable {
    let message: Message
    let head: String
    let body: [UInt8]?
    var method: String { String(message.firstLine.split(separator: " ")[0]) }
    var target: String { String(message.firstLine.split(separator: " ")[1]) }
    subscript(name: String) -> String? { message[name] }
}

/// A backend on loopback: hands every connection to its handler, on a thread of its own.
final class TestBackend: Sendable {
    let port: UInt16
    private let listener: Int32
    private let record: Record

    /// What has come so far.
    private final class Record: Sendable {
        let connectionCount = Mutex(0)
        let requests = Mutex<[SeenRequest]>([])
    }

    var connectionCount: Int { record.connectionCount.withLock { $0 } }
    var requests: [SeenRequest] { record.requests.withLock { $0 } }

    convenience init(connections handler: @escaping @Sendable (RawSocket) -> Void) throws {
        try self.init(Record(), handler)
    }

    private init(_ record: Record, _ handler: @escaping @Sendable (RawSocket) -> Void) throws {
        self.record = record
        let socket = try Socket.tcpListener(.loopback(0))
        port = try Socket.localPort(socket.raw)
        let flags = fcntl(socket.raw, F_GETFL)
        _ = fcntl(socket.raw, F_SETFL, flags & ~O_NONBLOCK)
        listener = socket.release()
        let listener = listener
        let thread = startThread {
            while true {
                let descriptor = accept(listener, nil, nil)
                if descriptor < 0 {
                    if errno == EINTR || errno == ECONNABORTED { continue }
                    return
                }
                record.connectionCount.withLock { $0 += 1 }
                let socket = RawSocket(descriptor)
                pthread_detach(startThread { handler(socket) })
            }
        }
        pthread_detach(thread)
    }

    /// A backend that reads whole requests and answers each with the bytes that `answer` gives; nil closes the connection.
    convenience init(
        _ answer: @escaping @Sendable (SeenRequest) -> [UInt8]?
    ) throws {
        let record = Record()
        try self.init(record, { socket in TestBackend.serve(socket, record, answer) })
    }

    static func readRequest(_ socket: RawSocket) -> SeenRequest? {
        guard let head = socket.readHead() else { return nil }
        let message = Message(head)
        if message["expect"] != nil { socket.send("HTTP/1.1 100 Continue\r\n\r\n") }
        var body: [UInt8]?
        if message["transfer-encoding"] == "chunked" {
            body = socket.readChunks()
        } else if let length = message["content-length"].flatMap({ Int($0) }) {
            let bytes = socket.read(length)
            body = bytes.count == length ? bytes : nil
        } else {
            body = []
        }
        return SeenRequest(message: message, head: head, body: body)
    }

    private static func serve(
        _ socket: RawSocket, _ record: Record, _ answer: @Sendable (SeenRequest) -> [UInt8]?
    ) {
        while let request = readRequest(socket) {
            record.requests.withLock { $0.append(request) }
            guard let bytes = answer(request), socket.send(bytes) else { return socket.close() }
            if request["connection"] == "close" { return socket.close() }
        }
        socket.close()
    }

    func stop() {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }
}

/// `HTTP/1.1 200 OK` with a length and a body.
func ok(_ body: String = "", _ fields: String = "") -> [UInt8] {
    Array("HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\(fields)\r\n\(body)".utf8)
}

/// Bytes that differ from place to place, so that a lost or doubled block shows: they repeat after a prime number of bytes.
func pattern(_ count: Int, from offset: Int = 0) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count)
    while bytes.count < count {
        let place = (offset + bytes.count) % patternBlock.count
        bytes += patternBlock[place..<min(patternBlock.count, place + count - bytes.count)]
    }
    return bytes
}

private let patternBlock: [UInt8] = (0..<1_048_573).map { place in
    UInt8(truncatingIfNeeded: (UInt64(place) &* 0x9E37_79B9_7F4A_7C15) >> 53)
}

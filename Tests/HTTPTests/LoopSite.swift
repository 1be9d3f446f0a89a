import Glibc
import Linux
import Testing

@testable import HTTP

/// A server, a client and raw peers on one loop and real sockets; everything happens on the test's own thread.
final class LoopSite {
    let loop: EventLoop
    let server: HTTPServer
    let client: HTTPClient

    init(limits: HTTPServer.Limits = .init(), handler: @escaping HTTPServer.Handler) throws {
        loop = try EventLoop()
        server = try HTTPServer(loop: loop, address: .loopback(0), limits: limits, handler: handler)
        client = HTTPClient(loop: loop)
    }

    func url(_ path: String) throws -> HTTPURL { try HTTPURL("http://127.0.0.1:\(server.address.port)\(path)") }

    /// Runs until somebody calls `loop.stop()`; a test that hangs fails instead.
    func run(_ sourceLocation: SourceLocation = #_sourceLocation) throws {
        try loop.runOrFail(sourceLocation)
    }

    func peer() throws -> RawPeer { try RawPeer(loop: loop, port: server.address.port) }
}

extension EventLoop {
    func runOrFail(_ sourceLocation: SourceLocation = #_sourceLocation) throws {
        let watchdog = schedule(after: .seconds(20)) { [unowned self] in
            Issue.record("nothing happened for 20 s", sourceLocation: sourceLocation)
            stop()
        }
        try run()
        cancel(watchdog)
    }
}

/// A TCP client that sends what it is told and keeps what it gets.
final class RawPeer: SocketStreamOwner {
    private(set) var received: [UInt8] = []
    private(set) var stream: SocketStream!
    var onBytes: () -> Void = {}
    var onFinished: () -> Void = {}
    var onEnded: (StreamEnd) -> Void = { _ in }
    var text: String { String(decoding: received, as: UTF8.self) }

    init(loop: EventLoop, port: UInt16) throws {
        stream = try SocketStream(connectingTo: .loopback(port), loop: loop, owner: self)
    }

    func send(_ text: String) { stream.send(Array(text.utf8)) }
    func streamConnected() {}
    func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        received += bytes
        onBytes()
    }
    func streamPeerFinished() { onFinished() }
    func streamEnded(_ end: StreamEnd) { onEnded(end) }
}

/// Runs the body on a thread of its own, with a loop of its own if it makes one.
func onThread(_ body: @escaping @Sendable () -> Void) -> pthread_t {
    final class Box {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    let created = pthread_create(
        &thread, nil,
        { argument in
            guard let argument else { return nil }
            Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().body()
            return nil
        }, Unmanaged.passRetained(Box(body)).toOpaque())
    precondition(created == 0)
    return thread
}

extension RawPeer {
    /// Ends the connection by a reset instead of an orderly end.
    func resetNow() {
        stream.setResetOnClose()
        stream.abort()
    }
}

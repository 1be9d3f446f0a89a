import Glibc
import Linux
import Testing

@testable import HTTP

@Suite("Streams and WebSockets on real sockets", .serialized)
struct HTTPStreamTests {
    @Test("Events arrive as they are sent, with the last id handed over, until the server ends the stream")
    func eventStream() throws {
        var loop: EventLoop?
        let site = try LoopSite { request, responder in
            #expect(request.fields["last-event-id"] == "before")
            let writer = responder.startStream(
                Response(status: 200, fields: ["content-type": "text/event-stream"]), onClose: {})
            writer.sendKeepAlive()
            writer.send(ServerSentEvent(id: "one", data: "1"))
            loop?.schedule(after: .milliseconds(20)) {
                writer.send(ServerSentEvent(id: "two", data: "2\n2"))
                writer.close()
            }
        }
        loop = site.loop
        var events: [ServerSentEvent] = []
        site.client.events(try site.url("/"), lastEventID: "before", deadline: .seconds(5)) {
            events.append($0)
        } onEnd: {
            #expect($0 == nil)
            site.loop.stop()
        }
        try site.run()
        #expect(events == [ServerSentEvent(id: "one", data: "1"), ServerSentEvent(id: "two", data: "2\n2")])
    }

    @Test("A chunked event stream is read too, and one that breaks off is an error")
    func chunkedEventStream() throws {
        let loop = try EventLoop()
        let origin = try RawServer(
            loop: loop,
            answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\ndata: a\r\n2\r\n\n\n\r\n5\r\ndata:\r\n")
        var events: [ServerSentEvent] = []
        var end: HTTPClientError?
        HTTPClient(loop: loop).events(try origin.url("/"), deadline: .seconds(5)) {
            events.append($0)
        } onEnd: {
            end = $0
            loop.stop()
        }
        try loop.runOrFail()
        #expect(events == [ServerSentEvent(data: "a")])
        #expect(end == .endedEarly(try origin.url("/")))
    }

    @Test("The server hears when a stream's reader leaves, and cuts one off that does not read")
    func leavingAndSlowReaders() throws {
        var limits = HTTPServer.Limits()
        limits.streamQueueByteCountMax = 100_000
        var closed: [String] = []
        var flooded: StreamWriter?
        let site = try LoopSite(limits: limits) { request, responder in
            let writer = responder.startStream(Response(status: 200)) { closed.append(request.path) }
            if request.path == "/slow" { flooded = writer }
        }
        let leaver = try site.peer()
        leaver.send("GET /leaver HTTP/1.1\r\nHost: h\r\n\r\n")
        leaver.onBytes = { leaver.stream.abort() }
        let slow = try site.peer()
        slow.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
        slow.onBytes = { slow.stream.pauseReading() }
        func flood() {
            if let flooded, flooded.isOpen {
                flooded.send([UInt8](repeating: 0x3A, count: 50_000))
            }
            if closed.count == 2 { site.loop.stop() } else { site.loop.schedule(after: .microseconds(100), flood) }
        }
        flood()
        try site.run()
        #expect(closed.sorted() == ["/leaver", "/slow"])
        #expect(flooded?.isOpen == false)
    }

    @Test("A stream on which nothing comes is given up, and so is a server that never answers")
    func silence() throws {
        var held: [Responder] = []
        let site = try LoopSite { request, responder in
            if request.path == "/never" {
                held.append(responder)
            } else {
                _ = responder.startStream(Response(status: 200), onClose: {})
            }
        }
        var errors: [HTTPClientError?] = []
        func note(_ error: HTTPClientError?) {
            errors.append(error)
            if errors.count == 2 { site.loop.stop() }
        }
        site.client.events(
            try site.url("/"), deadline: .seconds(5), silenceLimit: .milliseconds(50), onEvent: { _ in }, onEnd: note)
        site.client.send(.get, try site.url("/never"), deadline: .milliseconds(120)) { result in
            if case .failure(let error) = result { note(error) }
        }
        try site.run()
        #expect(
            errors == [
                .timedOut(try site.url("/"), .milliseconds(50)), .timedOut(try site.url("/never"), .milliseconds(120)),
            ])
        #expect(held.count == 1)
    }

    @Test("A WebSocket carries large and small texts both ways and closes with a reason")
    func webSocket() throws {
        var serverEnd: WebSocketEnd?
        let site = try LoopSite { request, responder in
            #expect(request.fields["authorization"] == "Bearer me")
            #expect(request.fields["x-name"] == "drone")
            guard let socket = responder.acceptWebSocket() else { return }
            socket.send("welcome")
            socket.onText = { socket.send("echo \($0)") }
            socket.onClose = { serverEnd = $0 }
        }
        let big = String(repeating: "\u{FC}", count: 500_000)
        var received: [String] = []
        let url = try HTTPURL("ws://me@localhost:\(site.server.address.port)/ws?x=1")
        site.client.webSocket(url, fields: ["x-name": "drone"], deadline: .seconds(5)) { result in
            guard let socket = try? result.get() else {
                Issue.record("\(result)")
                return site.loop.stop()
            }
            socket.send("hello")
            socket.send(big)
            socket.onText = { text in
                received.append(text)
                if received.count == 3 { socket.close(.normal, reason: "done") }
            }
            socket.onClose = { end in
                #expect(end == .closedByUs)
                site.loop.stop()
            }
        }
        try site.run()
        #expect(received == ["welcome", "echo hello", "echo \(big)"])
        #expect(serverEnd == .closedByPeer(code: .normal, reason: "done"))
    }

    @Test("Pings find out that a peer is silent, and a live one stays")
    func pings() throws {
        var loop: EventLoop?
        var options = WebSocketOptions()
        options.pingInterval = .milliseconds(20)
        options.silenceLimit = .milliseconds(100)
        var ends: [String: WebSocketEnd] = [:]
        let site = try LoopSite { request, responder in
            let socket = responder.acceptWebSocket(options)
            socket?.onClose = {
                ends[request.path] = $0
                loop?.schedule(after: .milliseconds(150)) { loop?.stop() }
            }
        }
        loop = site.loop
        let dead = try site.peer()
        dead.send(
            "GET /dead HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        var live: WebSocketConnection?
        site.client.webSocket(try site.url("/live"), deadline: .seconds(5)) { live = try? $0.get() }
        try site.run()
        #expect(dead.text.hasPrefix("HTTP/1.1 101 Switching Protocols\r\n"))
        #expect(dead.text.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
        #expect(ends == ["/dead": .silent])
        #expect(live?.isOpen == true)
    }

    @Test("A peer that breaks the protocol is closed with the code, one that vanishes is reported")
    func webSocketFaults() throws {
        var loop: EventLoop?
        var ends: [WebSocketEnd] = []
        let site = try LoopSite { _, responder in
            responder.acceptWebSocket()?.onClose = {
                ends.append($0)
                if ends.count == 2 { loop?.stop() }
            }
        }
        loop = site.loop
        let handshake =
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        let unmasked = try site.peer()
        unmasked.stream.send(Array(handshake.utf8) + [0x81, 0x01, 0x61])
        unmasked.onFinished = { unmasked.stream.abort() }
        let vanishing = try site.peer()
        vanishing.send(handshake)
        vanishing.onBytes = { vanishing.stream.abort() }
        try site.run()
        #expect(
            unmasked.received.suffix(from: (unmasked.received.lastIndex(of: 0x88) ?? 0)).dropFirst(2).prefix(2) == [
                3, 234,
            ])
        #expect(
            ends.contains {
                if case .violation(let violation) = $0 { violation.code == .protocolError } else { false }
            })
        #expect(ends.contains { if case .vanished = $0 { true } else { false } })
    }

    @Test("An address that is no WebSocket says so, in both directions")
    func notGranted() throws {
        let site = try LoopSite { request, responder in
            if request.path == "/ws" {
                #expect(!responder.canAcceptWebSocket)
                #expect(responder.acceptWebSocket() == nil)
            } else {
                responder.respond(.text(401, "Who are you?"))
            }
        }
        var status: Int?
        var refusal: HTTPClientError?
        site.client.send(.get, try site.url("/ws"), deadline: .seconds(5)) { status = (try? $0.get())?.status }
        site.client.webSocket(try site.url("/"), deadline: .seconds(5)) { result in
            if case .failure(let error) = result { refusal = error }
            site.loop.schedule(after: .milliseconds(50)) { site.loop.stop() }
        }
        try site.run()
        #expect(status == 426)
        guard case .notGranted(_, let response) = refusal else {
            Issue.record("\(String(describing: refusal))")
            return
        }
        #expect(response.status == 401 && response.body == Array("Who are you?\n".utf8))
    }

    struct Broken: Sendable {
        let answer: String
        let error: @Sendable (HTTPURL) -> HTTPClientError
    }

    @Test(
        "A response that is broken, cut off or too large is an error, not a shorter response",
        arguments: [
            Broken(answer: "", error: { .endedEarly($0) }),
            Broken(answer: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", error: { .endedEarly($0) }),
            Broken(
                answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", error: { .endedEarly($0) }),
            Broken(
                answer: "HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n",
                error: { .tooLarge($0, byteCountMax: 100) }),
            Broken(
                answer: "HTTP/1.1 200 OK\r\n\r\n" + String(repeating: "x", count: 200),
                error: { .tooLarge($0, byteCountMax: 100) }),
            Broken(
                answer: "<html>", error: { .malformed($0, reason: "\(HeadRefusal.malformedStatusLine.reason)") }),
        ])
    func brokenResponses(_ broken: Broken) throws {
        let loop = try EventLoop()
        let origin = try RawServer(loop: loop, answer: broken.answer)
        var outcome: Result<Response, HTTPClientError>?
        HTTPClient(loop: loop).send(.get, try origin.url("/"), deadline: .seconds(5), byteCountMax: 100) {
            outcome = $0
            loop.stop()
        }
        try loop.runOrFail()
        #expect(outcome == .failure(broken.error(try origin.url("/"))))
    }

    @Test("Interim responses are skipped and a body may end with the connection")
    func interim() throws {
        let loop = try EventLoop()
        let origin = try RawServer(
            loop: loop, answer: "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\nall of it")
        var outcome: Result<Response, HTTPClientError>?
        HTTPClient(loop: loop).send(.get, try origin.url("/"), deadline: .seconds(5)) {
            outcome = $0
            loop.stop()
        }
        try loop.runOrFail()
        #expect(try outcome?.get().body == Array("all of it".utf8))
    }

    @Test("The blocking call works against a server on another thread, and names what it cannot reach")
    func fetch() throws {
        let ports = try Mailbox<UInt16>()
        let requests = try Mailbox<Stop>()
        let thread = onThread {
            do {
                let site = try LoopSite { request, responder in
                    responder.respond(Response(status: 201, body: request.body))
                }
                try site.loop.attach(requests) { _ in site.loop.stop() }
                ports.send(site.server.address.port)
                try site.run()
            } catch { Issue.record(error) }
        }
        let loop = try EventLoop()
        var port: UInt16 = 0
        try loop.attach(ports) {
            port = $0
            loop.stop()
        }
        try loop.runOrFail()
        let response = try HTTPClient.fetch(.post, try HTTPURL("http://localhost:\(port)/"), body: [1, 2, 3])
        #expect(response.status == 201 && response.body == [1, 2, 3])
        requests.send(Stop())
        pthread_join(thread, nil)
        let nobody = try HTTPURL("http://127.0.0.1:1/")
        do {
            _ = try HTTPClient.fetch(.get, nobody)
            Issue.record("something listens on port 1")
        } catch {
            #expect("\(error)".contains("cannot connect to http://127.0.0.1:1/") && "\(error)".contains("ECONNREFUSED"))
        }
        #expect(throws: HTTPClientError.self) {
            try HTTPClient.fetch(.get, try HTTPURL("http://no.such.host.invalid/"))
        }
    }
}

struct Stop: Sendable {}

/// Accepts one connection, waits for a request, sends fixed bytes and ends.
final class RawServer: SocketStreamOwner {
    private let loop: EventLoop
    private let listener: Descriptor
    private let port: UInt16
    private let answer: String
    private var stream: SocketStream?

    init(loop: EventLoop, answer: String) throws {
        self.loop = loop
        self.answer = answer
        listener = try Socket.tcpListener(.loopback(0))
        port = try Socket.localPort(listener.raw)
        _ = try loop.add(listener.raw, .readable) { [self] _ in accept() }
    }

    func url(_ path: String) throws -> HTTPURL { try HTTPURL("http://127.0.0.1:\(port)\(path)") }

    private func accept() {
        guard let accepted = try? Socket.accept(listener.raw) else { return }
        stream = try? SocketStream(accepted: accepted.release(), loop: loop, owner: self)
    }

    func streamConnected() {}
    func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        stream?.send(Array(answer.utf8))
        stream?.finish()
    }
    func streamPeerFinished() { stream?.finish() }
    func streamEnded(_ end: StreamEnd) { stream = nil }
}

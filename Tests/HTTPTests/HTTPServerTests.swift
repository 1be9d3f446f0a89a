import Glibc
import Linux
import Testing

@testable import HTTP

@Suite("Server and client on real sockets", .serialized)
struct HTTPServerTests {
    /// Answers with what it understood.
    private static func echo(_ request: Request, _ responder: Responder) {
        responder.respond(
            Response(
                status: 200, fields: ["content-type": "text/plain", "x-path": request.path],
                body: Array("\(request.method) \(request.pathSegments ?? []) ".utf8) + request.body))
    }

    @Test("A call carries path, query, fields and body there and the response back")
    func roundTrip() throws {
        let site = try LoopSite { request, responder in
            #expect(request.query["q"] == "a b")
            #expect(request.bearerToken == "secret")
            #expect(request.fields["x-extra"] == "1")
            Self.echo(request, responder)
        }
        let url = try HTTPURL("http://secret@127.0.0.1:\(site.server.address.port)/a/b?q=a%20b")
        let body = [UInt8](repeating: 0x78, count: 300_000)
        var outcome: Result<Response, HTTPClientError>?
        site.client.send(.post, url, fields: ["x-extra": "1"], body: body, deadline: .seconds(10)) {
            outcome = $0
            site.loop.stop()
        }
        try site.run()
        let response = try #require(try outcome?.get())
        #expect(response.status == 200)
        #expect(response.fields["X-Path"] == "/a/b")
        #expect(response.body.suffix(300_000).elementsEqual(body))
    }

    @Test("Pipelined requests, cut anywhere, are answered in order on one connection")
    func pipelining() throws {
        var loop: EventLoop?
        let site = try LoopSite { request, responder in
            // The first answer comes last; order must still hold.
            if request.path == "/1" {
                loop?.schedule(after: .milliseconds(30)) {
                    responder.respond(Response(status: 200, body: Array("later".utf8)))
                }
            } else {
                Self.echo(request, responder)
            }
        }
        loop = site.loop
        let peer = try site.peer()
        let requests = """
            GET /1 HTTP/1.1\r\nHost: h\r\n\r\n\
            POST /2 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n\
            HEAD /3 HTTP/1.1\r\nHost: h\r\n\r\n\
            POST /4 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nConnection: close\r\n\r\nxyz
            """
        let bytes = Array(requests.utf8)
        func sendSlice(_ start: Int) {
            guard start < bytes.count else { return }
            peer.stream.send(Array(bytes[start..<min(start + 7, bytes.count)]))
            site.loop.schedule(after: .microseconds(200)) { sendSlice(start + 7) }
        }
        sendSlice(0)
        peer.onFinished = { site.loop.stop() }
        try site.run()
        let answers = peer.text.components(of: "HTTP/1.1 200 OK\r\n")
        #expect(answers.count == 4)
        #expect(answers[0].hasSuffix("\r\n\r\nlater"))
        #expect(answers[1].hasSuffix("post [\"2\"] abcde"))
        #expect(answers[2].contains("content-length: 11") && answers[2].hasSuffix("\r\n\r\n"))
        #expect(answers[3].hasSuffix("post [\"4\"] xyz") && answers[3].contains("connection: close"))
    }

    struct Bad: Sendable {
        let bytes: String
        let status: Int
    }

    @Test(
        "What is malformed or too large is answered with its status, and the connection ends",
        arguments: [
            Bad(bytes: "GET / HTTP/1.1\n", status: 400), Bad(bytes: "GET / HTTP/3.0\r\n", status: 505),
            Bad(bytes: "GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", status: 400),
            Bad(bytes: "GET / HTTP/1.1\r\nHost: h\r\nA: " + String(repeating: "b", count: 20_000), status: 431),
            Bad(bytes: "GET /" + String(repeating: "b", count: 9_000), status: 414),
            Bad(bytes: "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\n\r\n", status: 413),
            Bad(
                bytes: "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 900000\r\n\r\n"
                    + String(repeating: "x", count: 900_000), status: 413),
            Bad(bytes: "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n", status: 413),
            Bad(bytes: "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\n", status: 400),
            Bad(bytes: "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", status: 501),
        ])
    func refuses(_ bad: Bad) throws {
        var limits = HTTPServer.Limits()
        limits.bodyByteCountMax = 1000
        let site = try LoopSite(limits: limits) { request, _ in Issue.record("reached the handler: \(request)") }
        let peer = try site.peer()
        peer.send(bad.bytes)
        peer.onFinished = { site.loop.stop() }
        try site.run()
        #expect(peer.text.hasPrefix("HTTP/1.1 \(bad.status) "))
        #expect(peer.text.contains("connection: close"))
    }

    @Test("A client that sends its head too slowly is answered 408, one that sends nothing is closed")
    func deadlines() throws {
        var limits = HTTPServer.Limits()
        limits.headDeadline = .milliseconds(150)
        limits.idleLimit = .milliseconds(100)
        let site = try LoopSite(limits: limits, handler: Self.echo)
        let slow = try site.peer()
        let silent = try site.peer()
        let idle = try site.peer()
        var open = 3
        func drip() {
            guard !slow.stream.isOver, !slow.stream.hasPeerFinished else { return }
            slow.send("X")
            site.loop.schedule(after: .milliseconds(20), drip)
        }
        drip()
        idle.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        for peer in [slow, silent, idle] {
            peer.onFinished = {
                open -= 1
                if open == 0 { site.loop.stop() }
            }
        }
        try site.run()
        #expect(slow.text.hasPrefix("HTTP/1.1 408"))
        #expect(silent.text.isEmpty)
        #expect(idle.text.hasPrefix("HTTP/1.1 200"))
    }

    @Test("Expect: 100-continue is answered before the body is sent")
    func expectation() throws {
        let site = try LoopSite(handler: Self.echo)
        let peer = try site.peer()
        peer.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
        peer.onBytes = {
            if peer.text == "HTTP/1.1 100 Continue\r\n\r\n" { peer.send("ok") }
        }
        peer.onFinished = { site.loop.stop() }
        try site.run()
        #expect(peer.text.hasSuffix("ok"))
    }

    @Test("A reset in any state harms nobody else, and who was waiting is told")
    func resets() throws {
        var gone = 0
        var held: [Responder] = []
        let site = try LoopSite { request, responder in
            if request.path == "/hold" {
                responder.onClientGone { gone += 1 }
                held.append(responder)
            } else {
                Self.echo(request, responder)
            }
        }
        let starts = [
            "", "GET /", "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc",
        ]
        var peers: [RawPeer] = []
        for start in starts {
            let peer = try site.peer()
            peer.send(start)
            peers.append(peer)
        }
        site.loop.schedule(after: .milliseconds(50)) {
            #expect(held.count == 1)
            for peer in peers { peer.resetNow() }
            site.loop.schedule(after: .milliseconds(50)) {
                #expect(gone == 1)
                #expect(held[0].isClientGone)
                held[0].respond(.text(200, "too late"))
                site.client.send(.get, site.server.url, deadline: .seconds(5)) { result in
                    #expect((try? result.get())?.status == 200)
                    site.loop.stop()
                }
            }
        }
        try site.run()
    }

    @Test("A request that the handler forgets is answered 500")
    func forgotten() throws {
        let site = try LoopSite { _, _ in }
        var status: Int?
        site.client.send(.get, try site.url("/"), deadline: .seconds(5)) {
            status = (try? $0.get())?.status
            site.loop.stop()
        }
        try site.run()
        #expect(status == 500)
    }

    @Test("More clients than the cap wait and are served when others leave")
    func connectionCap() throws {
        var limits = HTTPServer.Limits()
        limits.connectionCountMax = 3
        let site = try LoopSite(limits: limits, handler: Self.echo)
        var done = 0
        for _ in 0..<20 {
            site.client.send(.get, try site.url("/"), deadline: .seconds(10)) { result in
                #expect((try? result.get())?.status == 200)
                done += 1
                if done == 20 { site.loop.stop() }
            }
        }
        try site.run()
        #expect(done == 20)
    }

    @Test(
        "Closing lets the pending request be answered, ends idle connections, streams and WebSockets, and frees the port"
    )
    func gracefulClose() throws {
        var pending: Responder?
        var streamClosed = false
        let site = try LoopSite { request, responder in
            switch request.path {
            case "/pending": pending = responder
            case "/stream": _ = responder.startStream(Response(status: 200)) { streamClosed = true }
            default: _ = responder.acceptWebSocket()
            }
        }
        var answer: Int?
        var socketEnd: WebSocketEnd?
        var closed = false
        site.client.send(.get, try site.url("/pending"), deadline: .seconds(5)) { answer = (try? $0.get())?.status }
        site.client.events(
            try site.url("/stream"), deadline: .seconds(5), onEvent: { _ in }, onEnd: { #expect($0 == nil) })
        site.client.webSocket(try site.url("/socket"), deadline: .seconds(5)) { result in
            (try? result.get())?.onClose = { socketEnd = $0 }
        }
        let idle = try site.peer()
        site.loop.schedule(after: .milliseconds(80)) {
            site.server.close(grace: .seconds(10)) {
                closed = true
                site.loop.schedule(after: .milliseconds(30)) { site.loop.stop() }
            }
            site.loop.schedule(after: .milliseconds(50)) {
                #expect(!closed)
                pending?.respond(.text(200, "in time"))
                pending = nil
            }
        }
        idle.onFinished = { idle.stream.abort() }
        try site.run()
        #expect(closed && streamClosed && answer == 200)
        #expect(socketEnd == .closedByPeer(code: .goingAway, reason: "The server shuts down."))
        _ = try HTTPServer(loop: site.loop, address: site.server.address, handler: Self.echo)
    }

    @Test("A port that is taken gives a sentence with the address in it")
    func portTaken() throws {
        let site = try LoopSite(handler: Self.echo)
        do {
            _ = try HTTPServer(loop: site.loop, address: site.server.address, handler: Self.echo)
            Issue.record("two servers on one port")
        } catch {
            #expect("\(error)".contains("\(site.server.address)"))
            #expect("\(error)".contains("another program"))
        }
    }
}

extension HTTPServer {
    var url: HTTPURL {
        guard let url = try? HTTPURL("http://127.0.0.1:\(address.port)/") else { preconditionFailure("a valid URL") }
        return url
    }
}

extension String {
    /// The parts between occurrences of the separator, without the one before the first.
    func components(of separator: String) -> [String] {
        var parts: [String] = []
        var current = ""
        var rest = self[...]
        while !rest.isEmpty {
            if rest.hasPrefix(separator) {
                parts.append(current)
                current = ""
                rest = rest.dropFirst(separator.count)
            } else {
                current.append(rest.removeFirst())
            }
        }
        return Array((parts + [current]).dropFirst())
    }
}

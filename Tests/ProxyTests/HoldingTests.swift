import Testing

@testable import Proxy

/// Requests that come before their backend is there, or after it is gone.
@Suite("Starting and ended backends")
struct HoldingTests {
    @Test("A request to a starting backend is held, counts as activity, and is answered once the backend is ready")
    func heldUntilReady() throws {
        let backend = try TestBackend { ok("got \($0.body?.count ?? -1)") }
        let site = try TestSite()
        defer { site.stop(); backend.stop() }
        site.add("b1", port: nil)
        try site.route("tok", to: "b1")
        let client = site.client()
        client.send("POST /tok/x HTTP/1.1\r\nHost: localhost:9090\r\nContent-Length: 5\r\n\r\nhe")
        #expect(site.eventually { site.proxy.totals.held == 1 && site.active("b1") == 1 })
        client.send("llo")
        site.proxy.send(.setGate(backend: "b1", .ready(port: backend.port)))
        #expect(client.readResponse()?.text == "got 5")
        #expect(site.eventually { site.active("b1") == 0 })
        #expect(site.proxy.totals.held == 0)
    }

    @Test("A held request whose backend dies is told why")
    func heldThenGone() throws {
        let site = try TestSite()
        defer { site.stop() }
        site.add("b1", port: nil)
        try site.route("tok", to: "b1")
        let client = site.client()
        client.send(get("/tok/x"))
        #expect(site.eventually { site.proxy.totals.held == 1 })
        site.proxy.send(.setGate(backend: "b1", .gone(reason: "The command \"run\" exited with status 3.")))
        let response = try #require(client.readResponse())
        #expect(response.status == 503)
        #expect(response.text.contains("The command \\\"run\\\" exited with status 3."))
        #expect(site.eventually { site.active("b1") == 0 && site.proxy.totals.held == 0 })
        #expect(site.exchange(get("/tok/x"))?.status == 503)
        site.proxy.send(.removeBackend(id: "b1"))
        #expect(site.eventually { site.exchange(get("/tok/x"))?.status == 410 })
    }

    @Test("A backend that does not start in time gives 504")
    func startDeadline() throws {
        var deadlines = ProxyDeadlines()
        deadlines.start = .milliseconds(50)
        let site = try TestSite(deadlines: deadlines)
        defer { site.stop() }
        site.add("b1", port: nil)
        try site.route("tok", to: "b1")
        #expect(site.exchange(get("/tok/x"))?.status == 504)
        #expect(site.eventually { site.active("b1") == 0 })
    }

    @Test("A ready backend to which no socket comes gives 503")
    func socketDeadline() throws {
        var deadlines = ProxyDeadlines()
        deadlines.socket = .milliseconds(50)
        let site = try TestSite(deadlines: deadlines)
        defer { site.stop() }
        site.withholdSockets()
        site.add("b1", port: 1)
        try site.route("tok", to: "b1")
        #expect(site.exchange(get("/tok/x"))?.status == 503)
    }

    @Test("A backend that refuses connections, closes without an answer or talks nonsense gives 502")
    func badGateways() throws {
        let silent = try TestBackend(connections: { socket in
            _ = socket.readHead()
            socket.close()
        })
        let absurd = try TestBackend(connections: { socket in
            _ = socket.readHead()
            socket.send("SSH-2.0-OpenSSH_9.2\r\n")
            _ = socket.receive()
        })
        let site = try TestSite()
        defer { site.stop(); silent.stop(); absurd.stop() }
        let unused = try TestBackend { _ in nil }
        unused.stop()
        site.add("refusing", port: unused.port)
        site.add("silent", port: silent.port)
        site.add("absurd", port: absurd.port)
        for name in ["refusing", "silent", "absurd"] {
            try site.route(name, to: name)
            let response = site.exchange(get("/\(name)/x"))
            #expect(response?.status == 502, "\(name)")
            #expect(site.eventually { site.active(name) == 0 }, "\(name)")
        }
    }

    @Test("Removing a backend cuts its tunnels and closes its unused sockets")
    func removalCuts() throws {
        let backend = try TestBackend(connections: { TunnelTests.upgradeAndEcho($0) })
        let site = try TestSite()
        defer { site.stop(); backend.stop() }
        site.add("b1", port: backend.port)
        try site.route("tok", to: "b1")
        let client = try #require(TunnelTests.upgraded(site, "/tok/ws"))
        #expect(site.active("b1") == 1)
        site.proxy.send(.removeBackend(id: "b1"))
        #expect(client.receive() != .bytes([]))
        #expect(client.readToEnd() == [])
        #expect(site.eventually { site.active("b1") == 0 && site.proxy.totals.open == 0 })
    }

    @Test("What an ended backend had sent before its end still arrives")
    func lastWords() throws {
        let backend = try TestBackend(connections: { socket in
            _ = socket.readHead()
            socket.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
            _ = socket.read(2)
            socket.send("goodbye")
            _ = socket.receive()
        })
        let site = try TestSite()
        defer { site.stop(); backend.stop() }
        site.add("b1", port: backend.port)
        try site.route("tok", to: "b1")
        let client = try #require(TunnelTests.upgraded(site, "/tok/ws"))
        client.send("hi")
        #expect(client.read(7) == Array("goodbye".utf8))
        site.proxy.send(.setGate(backend: "b1", .gone(reason: "It ended.")))
        #expect(client.readToEnd() == [])
    }
}

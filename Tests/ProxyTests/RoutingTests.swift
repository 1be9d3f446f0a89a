import Testing

@testable import Proxy

/// Which request reaches which backend, and as what.
@Suite("Routing")
struct RoutingTests {
    /// A backend that answers with the head it got.
    static func echo() throws -> TestBackend { try TestBackend { ok($0.head) } }

    @Test("A GET passes through to the backend of its token and its answer comes back")
    func getPassesThrough() throws {
        let backend = try Self.echo()
        let site = try TestSite()
        defer { site.stop(); backend.stop() }
        site.add("b1", port: backend.port)
        try site.route("tok", to: "b1")
        let response = try #require(site.exchange(get("/tok/hello?x=1")))
        #expect(response.status == 200)
        #expect(response["x-plane-backend-id"] == "b1")
        #expect(response["server"] == "Plane/test")
        #expect(response.text.hasPrefix("GET /hello?x=1 HTTP/1.1\r\n"))
        #expect(site.questions == ["tok"])
    }

    @Test("The token is taken out of the path, or left in it where it is static")
    func paths() throws {
        let backend = try Self.echo()
        let site = try TestSite()
        defer { site.stop(); backend.stop() }
        site.add("b1", port: backend.port)
        try site.route("tok", to: "b1")
        try site.route("s.fix", to: "b1", kind: .fixed)
        let expected = [
            ("/tok", "/"), ("/tok/", "/"), ("/tok?x", "/?x"), ("/tok/?x", "/?x"), ("/tok/a/b?c=/d", "/a/b?c=/d"),
            ("/tok//evil/x", "/.//evil/x"), ("/tok/%2e%2e/a", "/%2e%2e/a"), ("/tok/a//b", "/a//b"),
            ("http://localhost:9090/tok/a", "/a"), ("/tok/tok/x", "/tok/x"),
            ("/s.fix", "/s.fix"), ("/s.fix/a?b", "/s.fix/a?b"), ("/s.fix?b", "/s.fix?b"),
        ]
        let client = site.client()
        for (sent, seen) in expected {
            client.send(get(sent))
            let response = try #require(client.readResponse(), "\(sent)")
            #expect(response.text.split(separator: " ")[1] == seen, "\(sent)")
            let path = sent.replacing("http://localhost:9090", with: "").split(separator: "?")[0]
            #expect(Message(response.text)["x-verified-path"] == String(path), "\(sent)")
        }
        // The question about the second token gave up the first one's connection.
        #expect(backend.connectionCount == 2)
    }

    @Test(
        "A path that names no backend is answered without asking one",
        arguments: [
            ("/", 400), ("//tok", 400), ("/?tok", 400), ("/tok%2fa", 410), ("/%74ok", 410), ("/TOK", 410),
            ("/unknown/a", 410), ("/tok;x", 410), ("/s.tok", 410), ("/tok2", 410), ("/..", 410), ("/to", 410),
        ])
    func noBackend(_ path: String, _ status: Int) throws {
        let backend = try Self.echo()
        let site = try TestSite()
        defer { site.stop(); backend.stop() }
        site.add("b1", port: backend.port)
        try site.route("tok", to: "b1")
        #expect(site.exchange(get("/tok"))?.status == 200)
        let response = try #require(site.exchange(get(path)))
        #expect(response.status == status)
        #expect(response["server"] == "Plane/test")
        #expect(response["x-plane-backend-id"] == nil)
        #expect(response["access-control-allow-origin"] == "*")
        #expect(backend.requests.count == 1)
    }

    @Test("Only hosts of the route's cluster and subdomain are let through")
    func hosts() throws {
        let backend = try Self.echo()
        let site = try TestSite()
        defer { site.stop(); backend.stop() }
        site.add("b1", port: backend.port)
        try site.route("any", to: "b1", cluster: "example.com")
        try site.route("port", to: "b1", cluster: "example.com:90")
        try site.route("sub", to: "b1", cluster: "example.com", subdomain: "app")
        let expected: [(String, String, Int)] = [
            ("any", "example.com", 200), ("any", "EXAMPLE.com", 200), ("any", "a.example.com", 200),
            ("any", "a.b.example.com", 200), ("any", "example.com:443", 200), ("any", "a.example.com:443", 200),
            ("any", "example.com:80", 403), ("any", "fooexample.com", 403), ("any", "example.com.evil", 403),
            ("any", ".example.com", 403), ("any", "com", 403),
            ("port", "example.com:90", 200), ("port", "x.example.com:90", 200), ("port", "example.com", 403),
            ("port", "example.com:443", 403), ("port", "example.com:9", 403),
            ("sub", "app.example.com", 200), ("sub", "app.example.com:443", 200), ("sub", "example.com", 403),
            ("sub", "x.app.example.com", 403), ("sub", "xapp.example.com", 403), ("sub", "ap.example.com", 403),
        ]
        for (token, host, status) in expected {
            let response = site.exchange("GET /\(token)/ HTTP/1.1\r\nHost: \(host)\r\n\r\n")
            #expect(response?.status == status, "\(token) \(host)")
        }
        #expect(site.exchange("GET /any/ HTTP/1.0\r\n\r\n")?.status == 400)
        #expect(site.exchange("GET /any/ HTTP/1.1\r\n\r\n")?.status == 400)
    }

    @Test("An unknown token is asked for once, and the answer is kept for a moment")
    func unknownToken() throws {
        let site = try TestSite()
        defer { site.stop() }
        for _ in 0..<3 { #expect(site.exchange(get("/nobody/x"))?.status == 410) }
        #expect(site.questions == ["nobody"])
    }

    @Test("An owner that does not answer about a token costs a 503, not a connection for ever")
    func silentOwner() throws {
        var deadlines = ProxyDeadlines()
        deadlines.route = .milliseconds(50)
        let site = try TestSite(deadlines: deadlines)
        defer { site.stop() }
        site.stopAnswering()
        #expect(site.exchange(get("/tok/x"))?.status == 503)
        #expect(site.proxy.totals.held == 0)
    }

    @Test("/ready says whether requests may be sent, and / is redirected where a target is set")
    func ownPaths() throws {
        let site = try TestSite(rootRedirect: "https://example.com/start")
        defer { site.stop() }
        #expect(site.eventually { site.exchange("GET /ready HTTP/1.1\r\nHost: any\r\n\r\n")?.status == 200 })
        let redirect = try #require(site.exchange("GET / HTTP/1.1\r\nHost: any\r\n\r\n"))
        #expect(redirect.status == 301)
        #expect(redirect["location"] == "https://example.com/start")
        site.proxy.send(.setReadiness(.notReady))
        #expect(site.eventually { site.exchange("GET /ready HTTP/1.1\r\nHost: any\r\n\r\n")?.status == 503 })
    }

    @Test("One connection can carry requests to two backends, each over a connection of its own")
    func twoTokens() throws {
        let first = try TestBackend { _ in ok("first") }
        let second = try TestBackend { _ in ok("second") }
        let site = try TestSite()
        defer { site.stop(); first.stop(); second.stop() }
        site.add("b1", port: first.port)
        site.add("b2", port: second.port)
        try site.route("one", to: "b1")
        try site.route("two", to: "b2")
        let client = site.client()
        client.send(get("/one/a") + get("/two/b") + get("/two/c") + get("/one/d"))
        let answers = (0..<4).map { _ in client.readResponse() }
        #expect(answers.map { $0?.text } == ["first", "second", "second", "first"])
        #expect(answers.map { $0?["x-plane-backend-id"] } == ["b1", "b2", "b2", "b1"])
        #expect(first.requests.map(\.target) == ["/a", "/d"])
        #expect(second.requests.map(\.target) == ["/b", "/c"])
        #expect(site.eventually { site.active("b1") == 0 && site.active("b2") == 0 })
    }

    @Test("Own answers are HTML for a browser and JSON for others, and end where a HEAD is answered")
    func answerForms() throws {
        let site = try TestSite()
        defer { site.stop() }
        let page = try #require(site.exchange(get("/none", "Accept: text/html,*/*\r\n")))
        #expect(page["content-type"] == "text/html; charset=utf-8")
        #expect(page.text.contains("<h1>410 Gone</h1>"))
        let json = try #require(site.exchange(get("/none")))
        #expect(json["content-type"] == "application/json")
        #expect(json.text.contains("\"status\":410"))
        let client = site.client()
        client.send("HEAD /none HTTP/1.1\r\nHost: a\r\n\r\n" + get("/none"))
        #expect(client.readResponse(to: "HEAD")?.status == 410)
        #expect(client.readResponse()?.status == 410)
    }
}

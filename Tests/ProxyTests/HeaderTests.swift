import Testing

@testable import Proxy

/// What a head gains and loses on its way through.
@Suite("Fields")
struct HeaderTests {
    /// A site whose backend answers with the head it got, or with what the path `/raw` asks for.
    static func site(
        _ answer: @escaping @Sendable (SeenRequest) -> [UInt8]? = { ok($0.head) }
    ) throws -> (TestSite, TestBackend) {
        let backend = try TestBackend(answer)
        let site = try TestSite()
        site.add("b1", port: backend.port)
        try site.route(
            "tok", to: "b1",
            identity: Route.Identity(
                username: "ada", userData: "{\"role\":\"admin\",\"name\":\"Zoë\"}", secret: "sesame", fencingToken: 7))
        try site.route("s.fix", to: "b1", kind: .fixed, identity: Route.Identity(userData: "{}", fencingToken: 7))
        return (site, backend)
    }

    @Test("The backend is told who asks")
    func identity() throws {
        let (site, backend) = try Self.site()
        defer { site.stop(); backend.stop() }
        let seen = Message(try #require(site.exchange(get("/tok/a/b?q=1"))).text)
        #expect(seen["x-verified-username"] == "ada")
        #expect(seen["x-verified-user-data"] == "{\"role\":\"admin\",\"name\":\"Zo\\u00EB\"}")
        #expect(seen["x-verified-path"] == "/tok/a/b")
        #expect(seen["x-verified-backend"] == "b1")
        #expect(seen["x-verified-secret"] == "sesame")
        #expect(seen["x-forwarded-for"] == "127.0.0.1")
        #expect(seen["x-forwarded-proto"] == "http")
        #expect(seen["x-plane-fencing-token"] == "7")
        #expect(seen["host"] == "localhost:9090")
        let fixed = Message(try #require(site.exchange(get("/s.fix/a"))).text)
        #expect(fixed["x-verified-username"] == nil)
        #expect(fixed["x-verified-user-data"] == nil)
        #expect(fixed["x-verified-secret"] == "")
        #expect(fixed["x-verified-path"] == "/s.fix/a")
    }

    @Test("A user name that a field cannot hold is encoded, and says so")
    func encodedUsername() throws {
        let route = try Route(
            token: "t", backend: "b", kind: .dynamic, cluster: "c",
            identity: Route.Identity(username: "Zoë\r\nx-evil: 1", userData: "{\n}"))
        let text = String(decoding: route.fieldBlock, as: UTF8.self)
        #expect(text.contains("x-verified-username: Zo%C3%AB%0D%0Ax-evil:%201\r\n"))
        #expect(text.contains("x-verified-username-encoding: percent\r\n"))
        #expect(text.contains("x-verified-user-data: { }\r\n"))
    }

    @Test(
        "What only the proxy may say, and what speaks about one connection, does not pass inwards",
        arguments: [
            "X-Verified-Username: root", "x-verified-anything: 1", "X_Verified_Secret: 1", "x-VERIFIED_path: /",
            "X-Plane-Fencing-Token: 9", "x_plane_backend_id: b9", "X-Forwarded-For: 10.0.0.1", "x_forwarded_for: 1",
            "X-Forwarded-Proto: https", "Keep-Alive: timeout=9", "Proxy-Connection: keep-alive",
            "Proxy-Authorization: Basic x", "TE: trailers", "Trailer: x-sum", "Upgrade: h2c",
            "HTTP2-Settings: AAMAAABkAAQ",
        ])
    func removedInwards(_ line: String) throws {
        let (site, backend) = try Self.site()
        defer { site.stop(); backend.stop() }
        let seen = try #require(site.exchange(get("/tok/", "A: 1\r\n\(line)\r\nB: 2\r\n"))).text
        #expect(!seen.contains(line))
        #expect(seen.contains("A: 1\r\n"))
        #expect(seen.contains("B: 2\r\n"))
        #expect(Message(seen)["x-forwarded-for"] == "127.0.0.1")
        #expect(Message(seen)["x-verified-username"] == "ada")
    }

    @Test("Connection and the fields it names are removed, and Connection cannot name what frames or routes")
    func nominated() throws {
        let (site, backend) = try Self.site()
        defer { site.stop(); backend.stop() }
        let seen = try #require(
            site.exchange(get("/tok/", "Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nX-Stays: 2\r\n"))
        ).text
        #expect(!seen.contains("X-Hop"))
        #expect(seen.contains("X-Stays: 2\r\n"))
        #expect(Message(seen)["connection"] == nil)
        for name in ["Host", "Content-Length", "Transfer-Encoding", "X-Verified-Secret"] {
            #expect(site.exchange(get("/tok/", "Connection: \(name)\r\n"))?.status == 400, "\(name)")
        }
    }

    @Test("A response loses what speaks about the backend's connection, and gains what the proxy says")
    func response() throws {
        let (site, backend) = try Self.site { _ in
            ok(
                "x",
                "Server: gunicorn\r\nKeep-Alive: timeout=5\r\nX-Plane-Backend-Id: b9\r\nX-Plane-Any: 1\r\n"
                    + "X-Verified-Secret: sesame\r\nProxy-Connection: keep-alive\r\nConnection: X-Hop\r\nX-Hop: 1\r\n"
                    + "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n")
        }
        defer { site.stop(); backend.stop() }
        let response = try #require(site.exchange(get("/tok/")))
        #expect(response["server"] == "Plane/test")
        #expect(response["x-plane-backend-id"] == "b1")
        #expect(response["set-cookie"] == "a=1, b=2")
        for name in ["keep-alive", "x-plane-any", "x-verified-secret", "proxy-connection", "connection", "x-hop"] {
            #expect(response[name] == nil, "\(name)")
        }
        #expect(response["access-control-allow-origin"] == "*")
        #expect(response["access-control-allow-methods"] == "*")
        #expect(response["access-control-allow-headers"] == "*, Authorization")
    }

    @Test(
        "A backend that says anything about cross-origin access says all of it",
        arguments: ["Access-Control-Allow-Origin", "access-control-allow-methods", "Access-Control-Allow-Headers"])
    func accessControl(_ name: String) throws {
        let (site, backend) = try Self.site { _ in ok("x", "\(name): own\r\n") }
        defer { site.stop(); backend.stop() }
        let response = try #require(site.exchange(get("/tok/")))
        let given = response.message.fields.filter { $0.name.hasPrefix("access-control-") }
        #expect(given.map(\.value) == ["own"])
    }

    @Test("HTTP/1.0 is kept alive only where it is asked for, and never answered in chunks")
    func oldVersion() throws {
        let (site, backend) = try Self.site { request in
            request.target == "/chunks"
                ? Array("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n".utf8) : ok("fine")
        }
        defer { site.stop(); backend.stop() }
        let client = site.client()
        client.send("GET /tok/ HTTP/1.0\r\nHost: localhost:9090\r\nConnection: keep-alive\r\n\r\n")
        let kept = try #require(client.readResponse())
        #expect(kept["connection"] == "keep-alive")
        client.send("GET /tok/ HTTP/1.0\r\nHost: localhost:9090\r\n\r\n")
        #expect(client.readResponse()?["connection"] == "close")
        #expect(client.readToEnd() == [])
        #expect(site.exchange("GET /tok/chunks HTTP/1.0\r\nHost: localhost:9090\r\n\r\n")?.status == 502)
        #expect(backend.requests.first?.message.firstLine == "GET / HTTP/1.0")
    }
}

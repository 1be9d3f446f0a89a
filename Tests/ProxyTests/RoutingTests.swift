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
}

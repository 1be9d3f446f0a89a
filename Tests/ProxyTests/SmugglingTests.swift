import Testing

@testable import Proxy

/// Requests with more than one reading, or none, never reach a backend.
@Suite("Smuggling")
struct SmugglingTests {
    static let host = "Host: localhost:9090\r\n"
    static let hidden = "GET /tok/hidden HTTP/1.1\r\n\(host)\r\n"

    /// A POST whose head has one more line, followed by a hidden request.
    static func post(_ line: String, _ body: String = "") -> String {
        "POST /tok/a HTTP/1.1\r\n\(host)\(line)\r\n\r\n\(body)"
    }

    static let cases: [(String, String)] = [
        ("CL.TE", post("Content-Length: 4\r\nTransfer-Encoding: chunked", "0\r\n\r\n\(hidden)")),
        ("TE.CL", post("Transfer-Encoding: chunked\r\nContent-Length: 4", "5c\r\n\(hidden)\r\n0\r\n\r\n")),
        ("two lengths", post("Content-Length: 0\r\nContent-Length: 44", hidden)),
        ("the same length twice", post("Content-Length: 1\r\nContent-Length: 1", "x")),
        ("length list", post("Content-Length: 5, 5", "aaaaa")),
        ("length +5", post("Content-Length: +5", "aaaaa")),
        ("length -5", post("Content-Length: -5", "aaaaa")),
        ("length 0x5", post("Content-Length: 0x5", "aaaaa")),
        ("length 1_0", post("Content-Length: 1_0", "aaaaaaaaaa")),
        ("length empty", post("Content-Length: ", "x")),
        ("length 5.0", post("Content-Length: 5.0", "aaaaa")),
        ("length 2^64+5", post("Content-Length: 18446744073709551621", "aaaaa")),
        ("length with \\v", post("Content-Length: \u{0B}5", "aaaaa")),
        ("TE twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n")),
        ("TE xchunked", post("Transfer-Encoding: xchunked", "0\r\n\r\n")),
        ("TE gzip, chunked", post("Transfer-Encoding: gzip, chunked", "0\r\n\r\n")),
        ("TE identity", post("Transfer-Encoding: identity", "0\r\n\r\n")),
        ("TE quoted", post("Transfer-Encoding: \"chunked\"", "0\r\n\r\n")),
        ("TE with NUL", post("Transfer-Encoding: chunked\0", "0\r\n\r\n")),
        ("TE folded", post("Transfer-Encoding:\r\n chunked", "0\r\n\r\n")),
        ("TE space before colon", post("Transfer-Encoding : chunked", "0\r\n\r\n")),
        ("TE on 1.0", "POST /tok/a HTTP/1.0\r\n\(host)Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("Transfer_Encoding", post("Transfer_Encoding: chunked\r\nContent-Length: 3", "0\r\n")),
        ("Connection: content-length", post("Connection: content-length\r\nContent-Length: 5", "aaaaa")),
        ("bare LF", "GET /tok/a HTTP/1.1\n\(host)\r\n"),
        ("bare CR hiding a field", get("/tok/a", "A: b\rX-Evil: 1\r\n")),
        ("LF hiding a field", get("/tok/a", "A: b\nX-Evil: 1\r\n")),
        ("obs-fold", get("/tok/a", "A: b\r\n c\r\n")),
        ("NUL in value", get("/tok/a", "A: b\0c\r\n")),
        ("no colon", get("/tok/a", "Abc\r\n")),
        ("empty name", get("/tok/a", ": x\r\n")),
        ("two hosts", get("/tok/a", "Host: evil\r\n")),
        ("authority mismatch", "GET http://evil/tok/a HTTP/1.1\r\n\(host)\r\n"),
        ("two spaces", "GET  /tok/a HTTP/1.1\r\n\(host)\r\n"),
        ("HTTP/0.9", "GET /tok/a\r\n"),
        ("HTTP/1.2", "GET /tok/a HTTP/1.2\r\n\(host)\r\n"),
        ("CONNECT", "CONNECT /tok/a HTTP/1.1\r\n\(host)\r\n"),
        ("fragment", get("/tok/a#b")),
        ("chunk 0x5", post("Transfer-Encoding: chunked", "0x5\r\naaaaa\r\n0\r\n\r\n")),
        ("chunk +5", post("Transfer-Encoding: chunked", "+5\r\naaaaa\r\n0\r\n\r\n")),
        ("chunk 2^64", post("Transfer-Encoding: chunked", "10000000000000000\r\na\r\n0\r\n\r\n")),
        ("chunk LF", post("Transfer-Encoding: chunked", "5\naaaaa\r\n0\r\n\r\n")),
        ("chunk extension", post("Transfer-Encoding: chunked", "5;a=b\r\naaaaa\r\n0\r\n\r\n")),
        ("chunk without CRLF", post("Transfer-Encoding: chunked", "5\r\naaaaaXX0\r\n\r\n")),
        ("chunk empty size", post("Transfer-Encoding: chunked", "\r\naaaaa\r\n0\r\n\r\n")),
        ("last chunk XX", post("Transfer-Encoding: chunked", "0\r\nXX\r\n\r\n")),
        ("trailer forges a length", post("Transfer-Encoding: chunked", "0\r\nContent-Length: 5\r\n\r\n")),
    ]

    @Test("None of the smuggling cases reaches the backend, and each is answered and closed")
    func refused() throws {
        let backend = try TestBackend { _ in ok("reached") }
        let site = try TestSite()
        defer { site.stop(); backend.stop() }
        site.add("b1", port: backend.port)
        try site.route("tok", to: "b1")
        #expect(site.exchange(get("/tok/first"))?.status == 200)
        for (name, request) in Self.cases {
            let client = site.client()
            client.send(request)
            let response = try #require(client.readResponse(), "\(name)")
            #expect((400...505).contains(response.status), "\(name): \(response.status)")
            #expect(response["connection"] == "close", "\(name)")
            #expect(client.readToEnd() == [], "\(name)")
        }
        #expect(backend.requests.map(\.target) == ["/first"])
        #expect(backend.connectionCount == 1)
        #expect(site.proxy.totals.refusals[Refusal.malformed.rawValue] == UInt64(Self.cases.count))
    }

    @Test("A chunked body that goes wrong later is never made whole for the backend")
    func laterChunk() throws {
        let backend = try TestBackend { ok($0.body == nil ? "broken" : "whole") }
        let site = try TestSite()
        defer { site.stop(); backend.stop() }
        site.add("b1", port: backend.port)
        try site.route("tok", to: "b1")
        let client = site.client()
        client.send(Self.post("Transfer-Encoding: chunked", "5\r\naaaaa\r\n"))
        #expect(site.eventually { backend.connectionCount == 1 })
        client.send("zz\r\nGET /tok/hidden HTTP/1.1\r\n\r\n")
        #expect(client.readResponse()?.status == 400)
        #expect(site.eventually { backend.requests.count == 1 })
        #expect(backend.requests.allSatisfy { $0.body == nil })
    }

    @Test("A head that comes slowly, or never ends, is given up", arguments: ["", "GET /tok/a HTTP/1.1\r\nHost: lo"])
    func slowHead(_ start: String) throws {
        var deadlines = ProxyDeadlines()
        deadlines.head = .milliseconds(100)
        let site = try TestSite(deadlines: deadlines)
        defer { site.stop() }
        let client = site.client()
        if start.isEmpty {
            #expect(client.readToEnd() == [])
        } else {
            client.send(start)
            #expect(client.readResponse()?.status == 408)
        }
        #expect(site.eventually { site.proxy.totals.open == 0 })
    }

    @Test("A body that stops coming is given up")
    func slowBody() throws {
        var deadlines = ProxyDeadlines()
        deadlines.stall = .milliseconds(100)
        let backend = try TestBackend { _ in ok("reached") }
        let site = try TestSite(deadlines: deadlines)
        defer { site.stop(); backend.stop() }
        site.add("b1", port: backend.port)
        try site.route("tok", to: "b1")
        let client = site.client()
        client.send(Self.post("Content-Length: 10", "half"))
        #expect(client.readResponse()?.status == 408)
        #expect(site.eventually { site.active("b1") == 0 })
    }

    @Test("Limits of a head are answered with their own status")
    func limits() throws {
        let site = try TestSite()
        defer { site.stop() }
        let long = String(repeating: "a", count: 9000)
        #expect(site.exchange(get("/" + long))?.status == 414)
        #expect(site.exchange(get("/tok", "A: \(long)\r\nB: \(long)\r\n"))?.status == 431)
        #expect(site.exchange(get("/tok", String(repeating: "A: b\r\n", count: 100)))?.status == 431)
    }
}

import Testing

@testable import HTTP

@Suite("Control-plane values")
struct MessageValueTests {
    private func request(_ target: String, _ lines: String = "") throws -> Request {
        let (result, layout, bytes) = parseRequest("GET \(target) HTTP/1.1\r\nHost: h\r\n\(lines)\r\n")
        try #require(result == .complete(byteCount: bytes.count))
        return try bytes.withUnsafeBytes { try Request(layout, in: $0) }
    }

    @Test("Paths and queries are decoded strictly, segment by segment")
    func decodesTargets() throws {
        let plain = try request("/ctrl/b/a%2Fb%20c/x+y?pool=a%26b+c&flag&pool=2&=v")
        #expect(plain.path == "/ctrl/b/a%2Fb%20c/x+y")
        #expect(plain.pathSegments == ["ctrl", "b", "a/b c", "x+y"])
        #expect(plain.query["pool"] == "a&b c")
        #expect(plain.query["flag"] == "")
        #expect(plain.query["none"] == nil)
        for bad in ["/%", "/%4", "/%zz", "/%ff", "/%00", "/a?x=%C3", "/a?%="] {
            #expect(throws: HeadRefusal.malformedPercentEncoding) { try request(bad) }
        }
        #expect(PercentEncoding.encode("a b/\u{E9}~") == "a%20b%2F%C3%A9~")
        #expect(Query(parsing: Query(dictionaryLiteral: ("a&", "=b ")).encoded) == ["a&": "=b "])
    }

    @Test("Fields are found without case, and a value cannot begin a new line")
    func fieldsAreSafe() throws {
        let parsed = try request("/", "X-One: 1\r\nx-one: 2\r\nAuthorization: bearer  t0k \r\n")
        #expect(parsed.fields["X-ONE"] == "1")
        #expect(parsed.bearerToken == "t0k")
        var fields = HeaderFields()
        fields.add("a", "x\r\nevil: 1\0")
        #expect(fields["A"] == "x  evil: 1 ")
        fields.set("A", "y")
        #expect(fields.all.count == 1)
        var output: [UInt8] = []
        fields.encode(into: &output)
        #expect(String(decoding: output, as: UTF8.self) == "A: y\r\n")
    }

    @Test("A URL gives host, port, target and the user to authenticate as")
    func parsesURLs() throws {
        let url = try HTTPURL("ws://me:ignored@example.com:8080/a/b?c=d")
        #expect(url.host == "example.com")
        #expect(url.port == 8080)
        #expect(url.path == "/a/b")
        #expect(url.query == ["c": "d"])
        #expect(url.user == "me")
        #expect(url.authority == "example.com:8080")
        #expect(try HTTPURL("http://h").path == "/")
        #expect(try HTTPURL("http://h").port == 80)
        #expect(try HTTPURL("http://h?x=1").query["x"] == "1")
        #expect(try HTTPURL("http://h/a").replacingPath("/x", query: ["y": "z"]).description == "http://h/x?y=z")
        for bad in [
            "", "h/a", "https://h/", "ftp://h", "http://", "http://:80", "http://h:0", "http://h:99999", "http://h:x",
            "http://h /", "http://h/\u{E9}", "http://a@b@c/", "http://h/%zz?a=%",
        ] {
            #expect(throws: HTTPURL.Malformed.self, "\(bad)") { try HTTPURL(bad) }
        }
    }
}

@Suite("Server-sent events")
struct ServerSentEventTests {
    private func parse(_ text: String, step: Int) throws -> [ServerSentEvent] {
        var parser = ServerSentEventParser()
        let bytes = Array(text.utf8)
        return try stride(from: 0, to: bytes.count, by: step).flatMap {
            try parser.consume(bytes[$0..<min($0 + step, bytes.count)])
        }
    }

    @Test("What is encoded is parsed back, however it is cut", arguments: [1, 2, 5, 1000])
    func roundTrip(_ step: Int) throws {
        let events = [
            ServerSentEvent(id: "ready", data: "{\"a\":1}"), ServerSentEvent(event: "x", data: "two\nlines\n"),
            ServerSentEvent(data: ""), ServerSentEvent(id: "", data: " leading"),
        ]
        var bytes = ServerSentEvent.keepAliveComment
        for event in events { bytes += event.encoded + ServerSentEvent.keepAliveComment }
        #expect(try parse(String(decoding: bytes, as: UTF8.self), step: step) == events)
    }

    @Test("Every line ending, comments, unknown fields and missing spaces are understood", arguments: [1, 3, 1000])
    func dialects(_ step: Int) throws {
        let stream =
            "\u{FEFF}data:a\r\ndata: b\r\n\r\n: note\rdata:c\r\rid\nretry: 5\nfoo: x\ndata\n\nid: 9\n\ndata: lost"
        #expect(
            try parse(stream, step: step) == [
                ServerSentEvent(data: "a\nb"), ServerSentEvent(data: "c"), ServerSentEvent(id: "", data: ""),
            ])
    }

    @Test("A value cannot end its event early, and an endless line is refused")
    func bounds() throws {
        let event = ServerSentEvent(id: "a\nid: b", event: "x\r\ny", data: "1\r\n\r\n2")
        #expect(
            try parse(String(decoding: event.encoded, as: UTF8.self), step: 100) == [
                ServerSentEvent(id: "a id: b", event: "x y", data: "1\n\n2")
            ])
        var parser = ServerSentEventParser(byteCountMax: 100)
        #expect(throws: ServerSentEventParser.Failure.tooLarge) {
            try parser.consume([UInt8](repeating: 0x61, count: 101))
        }
    }
}

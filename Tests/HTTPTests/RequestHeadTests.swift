import Testing

@testable import HTTP

/// Parses and gives what a relay would see.
func parseRequest(_ text: some Sequence<UInt8>) -> (HeadParse, RequestLayout, [UInt8]) {
    let bytes = Array(text)
    var layout = RequestLayout()
    let result = bytes.withUnsafeBytes { layout.parse($0) }
    return (result, layout, bytes)
}

func parseRequest(_ text: String) -> (HeadParse, RequestLayout, [UInt8]) { parseRequest(text.utf8) }

func text(_ range: ByteRange, _ bytes: [UInt8]) -> String {
    String(decoding: bytes[Int(range.offset)..<Int(range.offset) + Int(range.count)], as: UTF8.self)
}

/// A head with one more field line, given as raw bytes.
private func head(_ line: String, method: String = "POST") -> [UInt8] {
    Array("\(method) /tok/a HTTP/1.1\r\nHost: example.com\r\n\(line)\r\n\r\n".utf8)
}

@Suite("Request heads")
struct RequestHeadTests {
    struct Accepted: Sendable {
        let head: String
        var method = RequestMethod.get
        var target = "/tok/a"
        var framing = BodyFraming.none
        var persistence = ConnectionPersistence.keepAlive
        var host = "h"
    }

    static let accepted: [Accepted] = [
        Accepted(head: "GET /tok/a HTTP/1.1\r\nHost: h\r\n\r\n"),
        Accepted(
            head: "POST /tok/a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n", method: .post, framing: .length(5)),
        Accepted(
            head: "POST /tok/a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", method: .post, framing: .length(0)),
        Accepted(
            head: "POST /tok/a HTTP/1.1\r\nHost: h\r\nContent-Length: 9223372036854775807\r\n\r\n", method: .post,
            framing: .length(9_223_372_036_854_775_807)),
        Accepted(
            head: "POST /tok/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", method: .post,
            framing: .chunked),
        Accepted(
            head: "POST /tok/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: CHUNKED\r\n\r\n", method: .post,
            framing: .chunked),
        Accepted(head: "\r\nGET /tok/a HTTP/1.1\r\nHost: h\r\n\r\n"),
        Accepted(head: "GET /tok/a HTTP/1.0\r\n\r\n", persistence: .close, host: ""),
        Accepted(head: "GET /tok/a HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n"),
        Accepted(head: "GET /tok/a HTTP/1.1\r\nhost: h\r\nx-a: b\r\n\r\n"),
        Accepted(head: "GET http://h/tok/a HTTP/1.1\r\nHost: H\r\n\r\n", host: "H"),
        Accepted(head: "GET http://h HTTP/1.1\r\nHost: h\r\n\r\n", target: "/"),
        Accepted(head: "GET http://h/tok/a HTTP/1.0\r\n\r\n", persistence: .close),
        Accepted(head: "HEAD /tok/a HTTP/1.1\r\nHost: h\r\n\r\n", method: .head),
        Accepted(head: "FROBNICATE /tok/a HTTP/1.1\r\nHost: h\r\n\r\n", method: .other),
        Accepted(head: "GET /tok/a HTTP/1.1\r\nHost: h\r\nX: caf\u{E9}\r\n\r\n"),
        Accepted(head: "GET /tok/a HTTP/1.1\r\nHost: h\r\nX:\r\nY: \t \r\n\r\n"),
        Accepted(head: "GET /tok/a HTTP/1.1\r\nHost: h\r\n\r\nGET /next HTTP/1.1\r\n"),
        Accepted(head: "GET /tok/a HTTP/1.1\r\nHost: h\r\nConnection: Close\r\n\r\n", persistence: .close),
        Accepted(
            head: "GET /tok/a HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\nConnection: x, close\r\n\r\n",
            persistence: .close),
        Accepted(head: "GET /tok/a?q={\"x\\ HTTP/1.1\r\nHost: h\r\n\r\n", target: "/tok/a?q={\"x\\"),
        Accepted(head: "GET /tok/a HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", host: "[::1]:8080"),
        Accepted(head: "GET //tok HTTP/1.1\r\nHost: h:80\r\n\r\n", target: "//tok", host: "h:80"),
        Accepted(head: "OPTIONS /tok/a HTTP/1.1\r\nHost: h\r\n\r\n", method: .options),
        Accepted(head: "GET /tok/a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n", framing: .length(3)),
    ]

    @Test("Every sane head is accepted and means what it says", arguments: accepted)
    func acceptsSane(_ expected: Accepted) throws {
        let (result, layout, bytes) = parseRequest(expected.head)
        guard case .complete(let count) = result else {
            Issue.record("\(expected.head.debugDescription): \(result)")
            return
        }
        let afterOneEmptyLine =
            expected.head.utf8.starts(with: "\r\n".utf8) ? expected.head.utf8.dropFirst(2) : expected.head.utf8[...]
        let ending = Array("\r\n\r\n".utf8)
        let end = try #require(
            (0..<afterOneEmptyLine.count).first { Array(afterOneEmptyLine.dropFirst($0).prefix(4)) == ending })
        #expect(count == expected.head.utf8.count - afterOneEmptyLine.count + end + 4)
        #expect(layout.method == expected.method)
        #expect(text(layout.target, bytes) == expected.target)
        #expect(layout.framing == expected.framing)
        #expect(layout.persistence == expected.persistence)
        #expect(text(layout.host, bytes) == expected.host)
    }

    struct Refused: Sendable, CustomStringConvertible {
        let name: String
        let head: [UInt8]
        let refusal: HeadRefusal
        var description: String { name }

        init(_ name: String, _ head: [UInt8], _ refusal: HeadRefusal) {
            self.name = name
            self.head = head
            self.refusal = refusal
        }
        init(_ name: String, _ head: String, _ refusal: HeadRefusal) {
            self.init(name, Array(head.utf8), refusal)
        }
    }

    static let framing: [Refused] =
        [
            Refused("CL+TE", head("Content-Length: 5\r\nTransfer-Encoding: chunked"), .contradictingLengths),
            Refused("TE+CL", head("Transfer-Encoding: chunked\r\nContent-Length: 5"), .contradictingLengths),
            Refused("two lengths", head("Content-Length: 5\r\nContent-Length: 6"), .malformedContentLength),
            Refused("the same length twice", head("Content-Length: 5\r\nContent-Length: 5"), .malformedContentLength),
            Refused("empty, then 43", head("Content-Length:\r\nContent-Length: 43"), .malformedContentLength),
            Refused("length after tab", head("Content-Length:\t5"), .malformedContentLength),
            Refused("length before tab", head("Content-Length: 5\t"), .malformedContentLength),
            Refused("length with \\x0b", head("Content-Length: \u{0B}5"), .controlCharacter),
            Refused("TE with \\x0b", head("Transfer-Encoding: \u{0B}chunked"), .controlCharacter),
            Refused("TE with NUL", head("Transfer-Encoding: chunked\0"), .controlCharacter),
            Refused(
                "TE twice", head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), .malformedTransferEncoding
            ),
            Refused("TE after tab", head("Transfer-Encoding:\tchunked"), .malformedTransferEncoding),
            Refused("TE on 1.0", "POST /t HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", .malformedTransferEncoding),
            Refused("Transfer_Encoding", head("Transfer_Encoding: chunked"), .lookAlikeFieldName),
            Refused("Content_Length", head("Content_Length: 5"), .lookAlikeFieldName),
            Refused("long s", head("Tran\u{17F}fer-Encoding: chunked"), .malformedFieldName),
            Refused("Kelvin sign", head("\u{212A}eep-Alive: 1"), .malformedFieldName),
            Refused(
                "Connection: content-length", head("Content-Length: 5\r\nConnection: content-length"),
                .malformedConnection),
            Refused("Connection: Host", head("Connection: close, Host"), .malformedConnection),
            Refused("Connection: x_verified", head("Connection: x_verified-user"), .malformedConnection),
            Refused("Connection: not a token", head("Connection: a b"), .malformedConnection),
            Refused("Expect", head("Expect: the-unexpected"), .unsupportedExpectation),
        ]
        + [
            "5, 5", "5, 6", "+5", "-5", "0x5", "1_0", "", "5 x", "5.0", "18446744073709551616", "18446744073709551621",
            "9223372036854775808", "99999999999999999999", "0005", "00", "5;", "\"5\"", "\u{661}",
        ]
        .map { Refused("length \($0)", head("Content-Length: \($0)"), .malformedContentLength) }
        + [
            "identity", "xchunked", "gzip", "gzip, chunked", "chunked, gzip", "chunked, chunked", ",chunked",
            "chunked,",
        ]
        .map { Refused("coding \($0)", head("Transfer-Encoding: \($0)"), .unsupportedTransferCoding) }
        + ["\"chunked\"", "chunked;q=1", "", "chunked\u{A0}"]
        .map { Refused("coding \($0)", head("Transfer-Encoding: \($0)"), .malformedTransferEncoding) }

    static let heads: [Refused] = [
        Refused("folded value", head("A: b\r\n c"), .foldedField),
        Refused("folded TE", head("Transfer-Encoding:\r\n chunked"), .malformedTransferEncoding),
        Refused("fold after the request line", "GET / HTTP/1.1\r\n Host: h\r\n\r\n", .foldedField),
        Refused("tab fold", head("A: b\r\n\tc"), .foldedField),
        Refused("space before colon", head("Content-Length : 5"), .malformedFieldName),
        Refused("tab before colon", head("Content-Length\t: 5"), .malformedFieldName),
        Refused("space in name", head("A B: c"), .malformedFieldName),
        Refused("empty name", head(": c"), .malformedFieldName),
        Refused("no colon", head("nonsense"), .malformedFieldName),
        Refused("no colon before another", head("nonsense\r\nA: b"), .malformedFieldName),
        Refused("NUL in value", head("A: b\0c"), .controlCharacter),
        Refused("CR in value", head("A: b\rc"), .bareLineBreak),
        Refused("CR hiding a field", head("A: b\rTransfer-Encoding: chunked"), .bareLineBreak),
        Refused("LF endings", "GET / HTTP/1.1\nHost: h\n\n", .bareLineBreak),
        Refused("one LF", "GET / HTTP/1.1\r\nHost: h\nA: b\r\n\r\n", .bareLineBreak),
        Refused("LF LF at the end", "GET / HTTP/1.1\r\nHost: h\r\n\n", .bareLineBreak),
        Refused("CRLF CR X", "GET / HTTP/1.1\r\nHost: h\r\n\rX", .bareLineBreak),
        Refused("\\x01 in name", head("A\u{01}B: c"), .malformedFieldName),
        Refused(
            "\\x80 in name", Array("GET / HTTP/1.1\r\nHost: h\r\nA".utf8) + [0x80] + Array(": c\r\n\r\n".utf8),
            .malformedFieldName),
        Refused("DEL in value", head("A: b\u{7F}"), .controlCharacter),
        Refused("\\x0b in value", head("A: some longer text \u{0B} and more text"), .controlCharacter),
    ]

    static let hosts: [Refused] =
        [
            Refused("no host", "GET / HTTP/1.1\r\n\r\n", .missingHost),
            Refused("two hosts", "GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", .malformedHost),
            Refused("absolute with another host", "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", .contradictingHost),
            Refused("absolute without host field", "GET http://a/ HTTP/1.1\r\n\r\n", .missingHost),
            Refused("absolute with user", "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", .malformedTarget),
            Refused("host after tab", "GET / HTTP/1.1\r\nHost:\th\r\n\r\n", .malformedHost),
        ]
        + [
            "", "a b", "a/b", "u@h", "h:", "h:x", "h:65536", "h:123456", "h,i", "[::1", "[]", "h\\i", "h#", "caf\u{E9}",
            "a:1:2",
        ]
        .map { Refused("host \($0)", "GET / HTTP/1.1\r\nHost: \($0)\r\n\r\n", .malformedHost) }

    private static let lineCases: [(String, HeadRefusal)] =
        [
            ("GET  / HTTP/1.1", .malformedRequestLine), ("GET /  HTTP/1.1", .malformedRequestLine),
            (" GET / HTTP/1.1", .malformedRequestLine), ("GET / HTTP/1.1 ", .malformedRequestLine),
            ("GET\t/\tHTTP/1.1", .malformedRequestLine), ("GET /\tHTTP/1.1", .malformedRequestLine),
            ("GET /a b HTTP/1.1", .malformedRequestLine), ("GET /", .malformedRequestLine),
            ("GET", .malformedRequestLine), ("", .malformedRequestLine),
            ("GET / HTTP/0.9", .unsupportedVersion), ("GET / HTTP/1.2", .unsupportedVersion),
            ("GET / HTTP/2.0", .unsupportedVersion), ("GET / HTTP/1.10", .malformedRequestLine),
            ("GET / HTTP/01.1", .malformedRequestLine), ("GET / http/1.1", .malformedRequestLine),
            ("GET / HTTP/1,1", .malformedRequestLine), ("GET / HTTP/11", .malformedRequestLine),
            ("GET / XTTP/1.1", .malformedRequestLine), ("GET /a\0b HTTP/1.1", .malformedTarget),
            ("GET /a#b HTTP/1.1", .malformedTarget), ("GET /a\\b HTTP/1.1", .malformedTarget),
            ("GET /caf\u{E9} HTTP/1.1", .malformedTarget), ("GET tok HTTP/1.1", .malformedTarget),
            ("GET http:/h/ HTTP/1.1", .malformedTarget), ("GET ftp://h/ HTTP/1.1", .malformedTarget),
            ("GET http:// HTTP/1.1", .malformedTarget), ("GET http://h?x HTTP/1.1", .malformedTarget),
            ("CONNECT h:443 HTTP/1.1", .methodNotOffered), ("TRACE / HTTP/1.1", .methodNotOffered),
            ("trace / HTTP/1.1", .methodNotOffered), ("OPTIONS * HTTP/1.1", .asteriskTarget),
            ("GE(T / HTTP/1.1", .malformedRequestLine), ("GET\u{0B}/ HTTP/1.1", .malformedRequestLine),
        ]
    static let lines: [Refused] = lineCases.map { line, refusal in
        Refused("line \(line)", "\(line)\r\nHost: h\r\n\r\n", refusal)
    }

    static let sizes: [Refused] = [
        Refused("head over 16 KiB", head("A: " + String(repeating: "b", count: 16 * 1024)), .headTooLong),
        Refused(
            "endless head",
            "GET / HTTP/1.1\r\nHost: h\r\n" + String(repeating: "A: bbbbbbbbbbbbb\r\n", count: 99)
                + "B: " + String(repeating: "b", count: 15000), .headTooLong),
        Refused(
            "target over 8 KiB", "GET /" + String(repeating: "a", count: 8 * 1024) + " HTTP/1.1\r\nHost: h\r\n\r\n",
            .targetTooLong),
        Refused(
            "101 fields", "GET / HTTP/1.1\r\nHost: h\r\n" + String(repeating: "A: b\r\n", count: 100) + "\r\n",
            .tooManyFields),
        Refused("long method", String(repeating: "A", count: 33) + " / HTTP/1.1\r\nHost: h\r\n\r\n", .methodTooLong),
    ]

    static let upgrades: [Refused] = [
        Refused("WebSocket by POST", head("Connection: Upgrade\r\nUpgrade: websocket"), .malformedUpgrade),
        Refused(
            "WebSocket with a body",
            head("Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5", method: "GET"),
            .malformedUpgrade),
        Refused(
            "WebSocket with chunks",
            head("Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked", method: "GET"),
            .malformedUpgrade),
        Refused("empty upgrade", head("Connection: Upgrade\r\nUpgrade:", method: "GET"), .malformedUpgrade),
        Refused(
            "two upgrades", head("Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c", method: "GET"),
            .malformedUpgrade),
        Refused("upgrade to nonsense", head("Connection: Upgrade\r\nUpgrade: a b", method: "GET"), .malformedUpgrade),
    ]

    @Test(
        "Every head with more than one reading is refused, for the right reason",
        arguments: framing + heads + hosts + lines + sizes + upgrades)
    func refuses(_ refused: Refused) {
        let (result, _, _) = parseRequest(refused.head)
        #expect(result == .invalid(refused.refusal), "\(refused.name)")
    }

    @Test("A refusal has the status that the client can act on")
    func statuses() {
        #expect(HeadRefusal.headTooLong.status == 431)
        #expect(HeadRefusal.tooManyFields.status == 431)
        #expect(HeadRefusal.targetTooLong.status == 414)
        #expect(HeadRefusal.unsupportedVersion.status == 505)
        #expect(HeadRefusal.unsupportedTransferCoding.status == 501)
        #expect(HeadRefusal.methodNotOffered.status == 501)
        #expect(HeadRefusal.contradictingLengths.status == 400)
        #expect(HeadRefusal.unsupportedExpectation.status == 417)
    }

    @Test("A bad byte is refused when it comes, not when the head is over")
    func refusesEarly() {
        #expect(parseRequest("GET / HTTP/1.1\n").0 == .invalid(.bareLineBreak))
        #expect(parseRequest("GET / HTTP/1.1\r\nHost: h\n").0 == .invalid(.bareLineBreak))
        #expect(parseRequest("\u{16}\u{3}\u{1}").0 == .invalid(.malformedRequestLine))
        #expect(parseRequest("GET /a HTTP/2").0 == .incomplete)
        #expect(parseRequest("GET /a HTTP/2.0\r").0 == .invalid(.unsupportedVersion))
        #expect(parseRequest("").0 == .incomplete)
        #expect(parseRequest("\r").0 == .incomplete)
        #expect(parseRequest("\r\n\r\nGET").0 == .invalid(.malformedRequestLine))
    }

    @Test("An upgrade needs both fields, HTTP/1.1 and a protocol other than HTTP/2")
    func upgradeOffers() {
        func offer(_ lines: String, _ version: String = "1.1") -> UpgradeOffer {
            parseRequest("GET / HTTP/\(version)\r\nHost: h\r\n\(lines)\r\n\r\n").1.upgrade
        }
        #expect(offer("Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket") == .webSocket)
        #expect(offer("Upgrade: websocket") == .none)
        #expect(offer("Connection: Upgrade") == .none)
        #expect(offer("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA") == .none)
        #expect(offer("Connection: Upgrade\r\nUpgrade: h2c, websocket") == .webSocket)
        #expect(offer("Connection: Upgrade\r\nUpgrade: websocket", "1.0") == .none)
        let (_, layout, bytes) = parseRequest(
            "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: tcp/1\r\n\r\n")
        guard case .other(let range) = layout.upgrade else {
            Issue.record("\(layout.upgrade)")
            return
        }
        #expect(text(range, bytes) == "tcp/1")
    }

    @Test("Fields that the proxy must remove are recognised in every spelling")
    func knownFields() {
        let (result, layout, bytes) = parseRequest(
            """
            GET / HTTP/1.1\r\nHost: h\r\nX-VERIFIED-Username: root\r\nx_verified_secret: s\r\nConnection: x-hop\r\n\
            X-Hop: 1\r\nX-Forwarded_For: 1.2.3.4\r\nCookie: a=b\r\nTE: trailers\r\nExpect: 100-Continue\r\n\r\n
            """)
        #expect(result == .complete(byteCount: bytes.count))
        let known = (0..<layout.fields.count).map { layout.fields[$0].known }
        #expect(
            known == [
                .host, .verified, .verified, .connection, .nominatedByConnection, .forwardedFor, .other, .te, .expect,
            ])
        #expect(text(layout.fields[6].value, bytes) == "a=b")
        #expect(layout.expectation == .none)
        let waiting = parseRequest("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n").1
        #expect(waiting.expectation == .continueFirst)
    }
}

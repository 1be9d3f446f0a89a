import Testing

@testable import HTTP

func parseResponse(_ text: some Sequence<UInt8>, answering request: AnsweredRequest = .ordinary) -> (
    HeadParse, ResponseLayout
) {
    let bytes = Array(text)
    var layout = ResponseLayout()
    let result = bytes.withUnsafeBytes { layout.parse($0, answering: request) }
    return (result, layout)
}

@Suite("Response heads")
struct ResponseHeadTests {
    struct Framed: Sendable {
        let head: String
        var answering = AnsweredRequest.ordinary
        let status: UInt16
        let framing: BodyFraming
        var persistence = ConnectionPersistence.keepAlive
    }

    @Test(
        "The end of a response's body is decided by request, status and fields",
        arguments: [
            Framed(head: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", status: 200, framing: .length(5)),
            Framed(head: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", status: 200, framing: .chunked),
            Framed(head: "HTTP/1.1 200 OK\r\n\r\n", status: 200, framing: .untilClose, persistence: .close),
            Framed(head: "HTTP/1.1 200\r\n\r\n", status: 200, framing: .untilClose, persistence: .close),
            Framed(head: "HTTP/1.1 200 \r\n\r\n", status: 200, framing: .untilClose, persistence: .close),
            Framed(head: "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", status: 204, framing: .none),
            Framed(head: "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", status: 304, framing: .none),
            Framed(head: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", answering: .head, status: 200, framing: .none),
            Framed(head: "HTTP/1.1 100 Continue\r\n\r\n", status: 100, framing: .none),
            Framed(head: "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n", status: 103, framing: .none),
            Framed(
                head: "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
                answering: .upgrade, status: 101, framing: .none),
            Framed(
                head: "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", status: 200, framing: .length(5),
                persistence: .close),
            Framed(
                head: "HTTP/1.1 500 Oh\tno caf\u{E9}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", status: 500,
                framing: .length(0), persistence: .close),
        ])
    func frames(_ expected: Framed) {
        let (result, layout) = parseResponse(expected.head.utf8, answering: expected.answering)
        #expect(result == .complete(byteCount: expected.head.utf8.count))
        #expect(layout.status == expected.status)
        #expect(layout.framing == expected.framing)
        #expect(layout.persistence == expected.persistence)
    }

    @Test(
        "A response with two readings is refused",
        arguments: [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
                HeadRefusal.contradictingLengths
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", .malformedContentLength),
            ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", .malformedTransferEncoding),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", .unsupportedTransferCoding),
            ("HTTP/1.1 101 Switching Protocols\r\n\r\n", .uninvitedUpgrade),
            ("HTTP/1.1 2000 OK\r\n\r\n", .malformedStatusLine), ("HTTP/1.1 20 OK\r\n\r\n", .malformedStatusLine),
            ("HTTP/1.1 600 OK\r\n\r\n", .malformedStatusLine), ("HTTP/1.1 099 OK\r\n\r\n", .malformedStatusLine),
            ("HTTP/1.1  200 OK\r\n\r\n", .malformedStatusLine), ("HTTP/2.0 200 OK\r\n\r\n", .unsupportedVersion),
            ("ICY 200 OK\r\n\r\n", .malformedStatusLine), ("HTTP/1.1\r\n\r\n", .malformedStatusLine),
            ("HTTP/1.1 200 OK\n\n", .bareLineBreak), ("HTTP/1.1 200 O\0K\r\n\r\n", .controlCharacter),
            ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", .foldedField), ("HTTP/1.1 200\n\n", .bareLineBreak),
            ("<html>", .malformedStatusLine),
        ])
    func refuses(_ head: String, _ refusal: HeadRefusal) {
        #expect(parseResponse(head.utf8).0 == .invalid(refusal))
    }
}

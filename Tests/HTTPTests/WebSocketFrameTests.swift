import Testing

@testable import HTTP

@Suite("WebSocket frames")
struct WebSocketFrameTests {
    private func decode(_ bytes: [UInt8], as role: WebSocketRole, limit: Int = 1 << 20, step: Int = .max) throws
        -> [WebSocketMessage]
    {
        var decoder = WebSocketDecoder(role: role, messageByteCountMax: limit)
        var messages: [WebSocketMessage] = []
        var start = 0
        while start < bytes.count {
            let end = step > bytes.count - start ? bytes.count : start + step
            decoder.append(bytes[start..<end])
            while let message = try decoder.next() { messages.append(message) }
            start = end
        }
        return messages
    }

    @Test("The examples of RFC 6455 section 5.7 decode and encode")
    func examplesOfTheRFC() throws {
        let hello: [UInt8] = [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]
        #expect(try decode(hello, as: .client) == [.text("Hello")])
        #expect(WebSocketEncoder.encode(.text("Hello"), as: .server) == hello)
        let masked: [UInt8] = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]
        #expect(try decode(masked, as: .server) == [.text("Hello")])
        #expect(WebSocketEncoder.frame(.text, Array("Hello".utf8), mask: 0x37fa_213d) == masked)
        let fragments: [UInt8] = [0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f]
        #expect(try decode(fragments, as: .client) == [.text("Hello")])
        #expect(try decode([0x89, 0x05] + Array("Hello".utf8), as: .client) == [.ping(Array("Hello".utf8))])
        let large = [UInt8](repeating: 7, count: 65536)
        #expect(try decode([0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0] + large, as: .client) == [.binary(large)])
        #expect(try decode([0x82, 0x7e, 1, 0] + large.prefix(256), as: .client) == [.binary(Array(large.prefix(256)))])
    }

    @Test("What one side encodes the other decodes, however it is cut", arguments: [WebSocketRole.client, .server])
    func roundTrip(_ role: WebSocketRole) throws {
        let messages: [WebSocketMessage] =
            [0, 1, 125, 126, 127, 65535, 65536].map { .text(String(repeating: "x", count: $0)) } + [
                .text("gr\u{FC}n \u{1F34F}"), .binary([0, 255]), .ping([1]), .pong([]), .close(code: nil, reason: ""),
                .close(code: .goingAway, reason: "bye"),
            ]
        let bytes = messages.flatMap { WebSocketEncoder.encode($0, as: role) }
        let other: WebSocketRole = role == .client ? .server : .client
        for step in [1, 2, 3, 7, 1000, .max] { #expect(try decode(bytes, as: other, step: step) == messages) }
    }

    @Test("A control frame between fragments is delivered at once")
    func controlBetweenFragments() throws {
        let bytes =
            WebSocketEncoder.frame(.text, [0xC3], mask: nil, final: 0)
            + WebSocketEncoder.encode(.ping([9]), as: .server)
            + WebSocketEncoder.frame(.continuation, [0xBC], mask: nil)
        #expect(try decode(bytes, as: .client) == [.ping([9]), .text("\u{FC}")])
    }

    struct Violation: Sendable {
        let bytes: [UInt8]
        let code: WebSocketCloseCode
        var role = WebSocketRole.client
    }

    @Test(
        "A peer that breaks the protocol is told why",
        arguments: [
            Violation(bytes: [0x81, 0x85, 1, 2, 3, 4], code: .protocolError),
            Violation(bytes: [0x81, 0x05], code: .protocolError, role: .server),
            Violation(bytes: [0xC1, 0x00], code: .protocolError), Violation(bytes: [0x83, 0x00], code: .protocolError),
            Violation(bytes: [0x8B, 0x00], code: .protocolError), Violation(bytes: [0x09, 0x00], code: .protocolError),
            Violation(bytes: [0x89, 0x7E, 0, 126], code: .protocolError),
            Violation(bytes: [0x82, 0x7E, 0, 125], code: .protocolError),
            Violation(bytes: [0x82, 0x7F, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], code: .protocolError),
            Violation(bytes: [0x82, 0x7F, 0x80, 0, 0, 0, 0, 0, 0, 0], code: .protocolError),
            Violation(bytes: [0x80, 0x00], code: .protocolError),
            Violation(bytes: [0x01, 0x01, 0x61, 0x81, 0x01, 0x62], code: .protocolError),
            Violation(bytes: [0x81, 0x01, 0xFF], code: .invalidData),
            Violation(bytes: [0x81, 0x02, 0xC0, 0x80], code: .invalidData),
            Violation(bytes: [0x81, 0x03, 0xED, 0xA0, 0x80], code: .invalidData),
            Violation(bytes: [0x88, 0x01, 0x03], code: .protocolError),
            Violation(bytes: [0x88, 0x02, 0x03, 0xED], code: .protocolError),
            Violation(bytes: [0x88, 0x03, 0x03, 0xE8, 0xFF], code: .invalidData),
            Violation(bytes: [0x82, 0x7F, 0, 0, 0, 0, 0x7F, 0, 0, 0], code: .tooBig),
        ])
    func refuses(_ violation: Violation) {
        do {
            let messages = try decode(violation.bytes, as: violation.role)
            Issue.record("accepted as \(messages)")
        } catch let error as WebSocketViolation {
            #expect(error.code == violation.code)
        } catch {
            Issue.record(error)
        }
    }

    @Test("Fragments together may not pass the limit")
    func limitsFragments() throws {
        let part = WebSocketEncoder.frame(.binary, [UInt8](repeating: 0, count: 60), mask: nil, final: 0)
        let rest = WebSocketEncoder.frame(.continuation, [UInt8](repeating: 0, count: 60), mask: nil)
        #expect(try decode(part + rest, as: .client, limit: 120).count == 1)
        #expect(throws: WebSocketViolation(.tooBig, "The message is larger than this endpoint takes.")) {
            try decode(part + rest, as: .client, limit: 119)
        }
    }

    @Test("No bytes trap the decoder")
    func randomBytes() {
        var generator = SeededGenerator(seed: 4)
        for _ in 0..<20_000 {
            let count = Int.random(in: 0...40, using: &generator)
            let bytes = (0..<count).map { _ in
                UInt8.random(in: 0...255, using: &generator) & (Bool.random(using: &generator) ? 0x8F : 0xFF)
            }
            _ = try? decode(bytes, as: Bool.random(using: &generator) ? .client : .server, limit: 100)
        }
    }

    @Test("The accept key is the one of RFC 6455 section 1.3, and a made key is valid")
    func handshake() {
        #expect(WebSocketHandshake.accept(key: "dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        #expect(WebSocketHandshake.isValid(key: WebSocketHandshake.makeKey()))
        #expect(!WebSocketHandshake.isValid(key: "short"))
    }

    @Test("SHA-1 gives the digests of FIPS 180, Base64 those of RFC 4648")
    func digests() {
        func hex(_ bytes: [UInt8]) -> String {
            bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        }
        #expect(hex(SHA1.digest([])) == "da39a3ee5e6b4b0d3255bfef95601890afd80709")
        #expect(hex(SHA1.digest(Array("abc".utf8))) == "a9993e364706816aba3e25717850c26c9cd0d89d")
        #expect(
            hex(SHA1.digest(Array("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq".utf8)))
                == "84983e441c3bd26ebaae4aa1f95129e5e54670f1")
        let vectors = ["": "", "f": "Zg==", "fo": "Zm8=", "foo": "Zm9v", "foob": "Zm9vYg==", "foobar": "Zm9vYmFy"]
        for (plain, encoded) in vectors { #expect(Base64.encode(Array(plain.utf8)) == encoded) }
    }
}

import Testing

@testable import HTTP

/// SplitMix64: the same seed gives the same cases on every run.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}

@Suite("Mutated messages")
struct HeadFuzzTests {
    private static let seeds: [String] = [
        "GET /tok/a?b=c HTTP/1.1\r\nHost: h.example:80\r\nCookie: a=b; c=d\r\nAccept: */*\r\n\r\nrest",
        "POST http://h/t HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: x, close\r\nX: y\r\n\r\n5\r\n",
        "POST /t HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\nExpect: 100-continue\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [::1]:9\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "\r\nPUT /x HTTP/1.0\r\nKeep-Alive: 5\r\nX-Verified-A: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: s\r\n\r\nhello",
        "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    ]
    private static let chunkSeeds: [String] = [
        "5\r\nhello\r\n0\r\n\r\n", "a\r\n0123456789\r\n1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\nnext",
        "00000001\r\nx\r\n0\r\n\r\n",
    ]
    private static let telling: [UInt8] = Array("\r\n :;,\t\0#?/*0159aA-_%\u{7F}".utf8) + [0x80, 0xFF, 0x0B]

    private static func mutate(_ seed: String, _ generator: inout SeededGenerator) -> [UInt8] {
        var bytes = Array(seed.utf8)
        for _ in 0..<Int.random(in: 1...3, using: &generator) {
            let at = Int.random(in: 0..<bytes.count, using: &generator)
            let byte = telling.randomElement(using: &generator) ?? 0
            switch UInt8.random(in: 0..<5, using: &generator) {
            case 0: bytes[at] = byte
            case 1: bytes.insert(byte, at: at)
            case 2: if bytes.count > 1 { bytes.remove(at: at) }
            case 3: bytes[at] = UInt8.random(in: 0...255, using: &generator)
            default:
                let end = min(bytes.count, at + Int.random(in: 1...20, using: &generator))
                bytes.insert(contentsOf: bytes[at..<end], at: at)
            }
        }
        return bytes
    }

    @Test("No bytes trap the parser, and an accepted head does not depend on what follows or how it arrived")
    func requests() {
        var generator = SeededGenerator(seed: 1)
        for _ in 0..<2_500 {
            let bytes = Self.mutate(Self.seeds.randomElement(using: &generator) ?? "", &generator)
            var layout = RequestLayout()
            let whole = bytes.withUnsafeBytes { layout.parse($0) }
            var settled = false
            for end in 0...bytes.count {
                var prefixLayout = RequestLayout()
                let prefix = bytes[..<end].withUnsafeBytes { prefixLayout.parse($0) }
                if prefix == .incomplete {
                    if settled { Issue.record("incomplete after a verdict: \(bytes)") }
                    continue
                }
                settled = true
                if prefix != whole { Issue.record("the verdict changed at \(end): \(bytes)") }
            }
            if case .complete(let count) = whole { Self.checkAccepted(layout, bytes, count) }
        }
    }

    /// What must hold of every accepted head, checked without the parser's own code.
    private static func checkAccepted(_ layout: RequestLayout, _ bytes: [UInt8], _ count: Int) {
        let head = bytes[..<count]
        #expect(Array(head.suffix(4)) == [13, 10, 13, 10])
        for index in head.indices {
            let isSound =
                switch head[index] {
                case 10: index > 0 && head[index - 1] == 13
                case 13: head[index + 1] == 10
                case let byte: byte == 9 || byte >= 0x20 && byte != 0x7F
                }
            if !isSound { Issue.record("byte \(index) of \(bytes)") }
        }
        let target = bytes[Int(layout.target.offset)..<Int(layout.target.offset) + Int(layout.target.count)]
        #expect(target.first == UInt8(ascii: "/"))
        #expect(target.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "#") })
        let known = (0..<layout.fields.count).map { layout.fields[$0].known }
        let lengths = known.count { $0 == .contentLength }
        let codings = known.count { $0 == .transferEncoding }
        #expect(known.count { $0 == .host } <= 1 && lengths + codings <= 1)
        #expect((layout.framing == .chunked) == (codings == 1))
        #expect(layout.minorVersion == 0 || known.contains(.host))
    }

    @Test("No bytes trap the response parser, and its verdict is final")
    func responses() {
        var generator = SeededGenerator(seed: 2)
        for _ in 0..<5_000 {
            let bytes = Self.mutate(Self.seeds.suffix(2).randomElement(using: &generator) ?? "", &generator)
            let whole = parseResponse(bytes, answering: .upgrade).0
            let cut = Int.random(in: 0...bytes.count, using: &generator)
            let prefix = parseResponse(bytes[..<cut], answering: .upgrade).0
            if prefix != .incomplete, prefix != whole { Issue.record("the verdict changed at \(cut): \(bytes)") }
        }
    }

    @Test("A chunked body is read the same however it is cut")
    func chunks() {
        var generator = SeededGenerator(seed: 3)
        for _ in 0..<6_000 {
            let bytes = Self.mutate(Self.chunkSeeds.randomElement(using: &generator) ?? "", &generator)
            let whole = ChunkOutcome(bytes) { _ in bytes.count }
            let single = ChunkOutcome(bytes) { _ in 1 }
            let isSame = whole.end == .done ? whole == single : whole.end == single.end && whole.data == single.data
            if !isSame { Issue.record("cut differently, read differently: \(bytes)") }
        }
    }
}

import Testing

@testable import HTTP

/// What a relay gets out of a chunked body that arrives in the given pieces.
struct ChunkOutcome: Equatable {
    var data: [UInt8] = []
    var relayed: [UInt8] = []
    var consumed = 0
    var end: End = .open

    enum End: Equatable { case open, done, refused(ChunkedScanner.Refusal) }

    init(_ body: [UInt8], pieces: (Int) -> Int) {
        var scanner = ChunkedScanner()
        var start = 0
        while start < body.count, end == .open {
            let stop = min(body.count, start + max(1, pieces(start)))
            var position = start
            while position < stop, end == .open {
                let event = body[position..<stop].withUnsafeBytes { scanner.scan($0) }
                let count: Int
                switch event {
                case .framing(let bytes): count = bytes
                case .data(let bytes):
                    count = bytes
                    data += body[position..<position + bytes]
                case .done(let bytes):
                    count = bytes
                    end = .done
                case .invalid(let refusal):
                    count = 0
                    end = .refused(refusal)
                }
                relayed += body[position..<position + count]
                position += count
                consumed = position
            }
            start = stop
        }
    }

    init(_ body: String) { self.init(Array(body.utf8)) { _ in .max / 2 } }
}

@Suite("Chunked bodies")
struct ChunkedScannerTests {
    @Test("Data and framing are told apart, and what follows the body is left alone")
    func separates() {
        let outcome = ChunkOutcome("5\r\nhello\r\n00a\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\nGET /next")
        #expect(outcome.end == .done)
        #expect(outcome.data == Array("hello0123456789".utf8))
        #expect(outcome.consumed == "5\r\nhello\r\n00a\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n".utf8.count)
        #expect(outcome.relayed.count == outcome.consumed)
        #expect(ChunkOutcome("0\r\n\r\n").end == .done)
    }

    @Test("Data can be moved by count, unseen")
    func countsMovedData() {
        var scanner = ChunkedScanner()
        func scan(_ text: String) -> ChunkedScanner.Event {
            Array(text.utf8).withUnsafeBytes { scanner.scan($0) }
        }
        #expect(scan("40000000\r\nab") == .framing(10))
        #expect(scanner.dataRemaining == 1 << 30)
        #expect(scan("ab") == .data(2))
        scanner.dataMoved((1 << 30) - 3)
        #expect(scan("c\r\n0\r\n") == .data(1))
        #expect(scan("\r\n0\r\n") == .framing(5))
        #expect(scan("\r") == .framing(1))
        #expect(scan("\nx") == .done(1))
        #expect(scanner.isDone)
        #expect(scan("x") == .done(0))
    }

    @Test(
        "Whatever another parser may read differently is refused",
        arguments: [
            ("0x5\r\nhello\r\n0\r\n\r\n", ChunkedScanner.Refusal.malformedSize),
            ("+5\r\nhello\r\n0\r\n\r\n", .malformedSize), ("-5\r\n", .malformedSize),
            ("5_\r\nhello\r\n", .malformedSize),
            (" 5\r\nhello\r\n0\r\n\r\n", .malformedSize), ("5 \r\nhello\r\n", .malformedSize), ("\r\n", .malformedSize),
            ("10000000000000000\r\n", .malformedSize), ("00000000000000005\r\nhello\r\n", .malformedSize),
            ("8000000000000000\r\n", .malformedSize), ("5\nhello\r\n0\r\n\r\n", .malformedSize),
            ("5\rhello", .malformedSize), ("5\r\nhello\n0\r\n\r\n", .missingLineBreak),
            ("5\r\nhello0\r\n\r\n", .missingLineBreak), ("5\r\nhello\r0\r\n\r\n", .missingLineBreak),
            ("5;a=b\r\nhello\r\n0\r\n\r\n", .extensionNotAccepted), ("5;a\rb\r\nhello", .extensionNotAccepted),
            ("5;\nhello", .extensionNotAccepted), (";a\r\n", .malformedSize), ("0\r\nXX\r\n", .malformedTrailer),
            ("0\r\nnonsense\r\n\r\n", .malformedTrailer), ("0\r\nA : b\r\n\r\n", .malformedTrailer),
            ("0\r\n: b\r\n\r\n", .malformedTrailer), ("0\r\n A: b\r\n\r\n", .malformedTrailer),
            ("0\r\nA: b\n\r\n", .malformedTrailer), ("0\r\nA: b\0\r\n\r\n", .malformedTrailer),
            ("0\r\n\n", .malformedTrailer),
            ("0\r\n\rX", .malformedTrailer), ("0\r\nContent-Length: 5\r\n\r\n", .forbiddenTrailer),
            ("0\r\nTransfer-Encoding: chunked\r\n\r\n", .forbiddenTrailer), ("0\r\nhost: h\r\n\r\n", .forbiddenTrailer),
            ("0\r\nX_Verified_Username: root\r\n\r\n", .forbiddenTrailer),
            ("0\r\nX-Verified-Some-Very-Long-Name-Indeed: root\r\n\r\n", .forbiddenTrailer),
        ])
    func refuses(_ body: String, _ refusal: ChunkedScanner.Refusal) {
        let outcome = ChunkOutcome(body)
        #expect(outcome.end == .refused(refusal))
        #expect(ChunkOutcome(Array(body.utf8)) { _ in 1 }.end == .refused(refusal))
    }

    @Test("Trailers have a limit")
    func limitsTrailers() {
        #expect(ChunkOutcome("0\r\nA: " + String(repeating: "b", count: 17000)).end == .refused(.trailersTooLong))
    }
}

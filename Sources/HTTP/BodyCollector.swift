/// Gathers a whole body of known framing up to a limit. Pure; for the control plane.
struct BodyCollector {
    enum Step: Equatable {
        /// All given bytes were taken and more are needed.
        case incomplete
        /// The body is whole after so many of the given bytes.
        case complete(consumed: Int)
        /// The body is or will be larger than the limit.
        case tooLarge
        /// The chunks are malformed.
        case malformed(ChunkedScanner.Refusal)
    }

    private enum Rest {
        case length(UInt64)
        case chunks(ChunkedScanner)
        case untilClose
    }

    private var rest: Rest
    private let byteCountMax: Int
    private(set) var body: [UInt8] = []

    init(_ framing: BodyFraming, byteCountMax: Int) {
        self.byteCountMax = byteCountMax
        switch framing {
        case .none: rest = .length(0)
        case .length(let count): rest = .length(count)
        case .chunked: rest = .chunks(ChunkedScanner())
        case .untilClose: rest = .untilClose
        }
    }

    /// Whether the sender's close is the body's regular end.
    var endsWithClose: Bool {
        if case .untilClose = rest { return true }
        return false
    }

    /// What was gathered since the last time; for bodies that are used as they come.
    mutating func takeBody() -> [UInt8] {
        defer { body = [] }
        return body
    }

    mutating func consume(_ bytes: UnsafeRawBufferPointer) -> Step {
        switch rest {
        case .length(let count):
            // Announced is enough: nobody has to send it all to hear that it is too much.
            guard count <= UInt64(byteCountMax - body.count) else { return .tooLarge }
            let taken = min(Int(count), bytes.count)
            body += bytes[..<taken]
            rest = .length(count - UInt64(taken))
            return taken == Int(count) ? .complete(consumed: taken) : .incomplete
        case .chunks(var scanner):
            defer { rest = .chunks(scanner) }
            return consumeChunks(bytes, &scanner)
        case .untilClose:
            guard bytes.count <= byteCountMax - body.count else { return .tooLarge }
            body += bytes
            return .incomplete
        }
    }

    private mutating func consumeChunks(_ bytes: UnsafeRawBufferPointer, _ scanner: inout ChunkedScanner) -> Step {
        var position = 0
        while position < bytes.count {
            switch scanner.scan(UnsafeRawBufferPointer(rebasing: bytes[position...])) {
            case .framing(let count): position += count
            case .data(let count):
                guard count <= byteCountMax - body.count else { return .tooLarge }
                body += bytes[position..<position + count]
                position += count
            case .done(let count): return .complete(consumed: position + count)
            case .invalid(let refusal): return .malformed(refusal)
            }
            if scanner.dataRemaining > UInt64(byteCountMax - body.count) { return .tooLarge }
        }
        return .incomplete
    }
}

/// Follows a chunked body byte by byte and tells framing from data, so that data can be moved by count without being read.
///
/// Pure and incremental: bytes may arrive cut anywhere, and each is looked at once. Size lines are hexadecimal digits
/// and CR LF, nothing else: chunk extensions carry no meaning for any known program, but lax parsing of them has been a
/// way to smuggle requests, so they are refused. Trailers are checked and relayed, but a trailer field that decides
/// framing, routing or identity is refused. RFC 9112 section 7.1.
public struct ChunkedScanner: Sendable {
    /// What the next bytes are.
    public enum Event: Equatable, Sendable {
        /// So many bytes of size lines and line breaks, checked; relay them.
        case framing(Int)
        /// So many bytes of data; relay them.
        case data(Int)
        /// So many last bytes of framing (and trailers); with them the body is complete. What follows is not of this
        /// body.
        case done(Int)
        /// The body is malformed: answer 400 (a response: 502) if that is still possible, and close.
        case invalid(Refusal)
    }

    /// Why a chunked body is refused.
    public enum Refusal: Error, Equatable, Sendable {
        /// A size line that is not 1…16 hexadecimal digits up to 2⁶³−1 and CR LF.
        case malformedSize
        /// A size line with an extension.
        case extensionNotAccepted
        /// Data that CR LF does not follow.
        case missingLineBreak
        /// A trailer line that is no valid field.
        case malformedTrailer
        /// A trailer field that decides framing, routing or identity.
        case forbiddenTrailer
        /// Trailers longer than 16 KiB.
        case trailersTooLong

        /// The reason as a sentence for a person.
        public var reason: StaticString {
            switch self {
            case .malformedSize: "A chunk size must be 1 to 16 hexadecimal digits and CR LF."
            case .extensionNotAccepted: "Chunk extensions are not accepted here."
            case .missingLineBreak: "The data of a chunk must be followed by CR LF."
            case .malformedTrailer: "A trailer line is not a valid field."
            case .forbiddenTrailer: "A trailer may not carry a field that decides framing, routing or identity."
            case .trailersTooLong: "The trailers are longer than 16 KiB."
            }
        }
    }

    private enum State {
        case size(digits: Int, value: UInt64)
        case sizeLineFeed(value: UInt64)
        case data
        case dataReturn
        case dataLineFeed
        case trailerStart
        case trailerName
        case trailerValue
        case trailerLineFeed
        case finalLineFeed
        case done
        case refused(Refusal)
    }

    private var state = State.size(digits: 0, value: 0)
    private var trailerByteCount = 0
    private var nameCount = 0
    /// The beginning of a trailer's name: long enough to recognise every known field.
    private var name = InlineArray<32, UInt8>(repeating: 0)

    /// Bytes of the current chunk's data that are still to come; they may be moved unseen, see ``dataMoved(_:)``.
    public private(set) var dataRemaining: UInt64 = 0

    /// A scanner at the start of a body.
    public init() {}

    /// Whether the last byte of the body has been seen.
    public var isDone: Bool {
        if case .done = state { return true }
        return false
    }

    /// Counts data that was moved without passing through ``scan(_:)``, by splice(2).
    /// - Parameter count: at most ``dataRemaining``.
    public mutating func dataMoved(_ count: UInt64) {
        precondition(count <= dataRemaining, "more data moved than the chunk has")
        dataRemaining -= count
        if dataRemaining == 0, case .data = state { state = .dataReturn }
    }

    /// Says what the first of these bytes are. Call again with the bytes behind those of the event.
    /// - Parameter bytes: the next bytes of the body. With none, `.framing(0)`.
    public mutating func scan(_ bytes: UnsafeRawBufferPointer) -> Event {
        if case .data = state, !bytes.isEmpty {
            let count = Int(min(UInt64(bytes.count), dataRemaining))
            dataMoved(UInt64(count))
            return .data(count)
        }
        if case .done = state { return .done(0) }
        for index in 0..<bytes.count {
            step(bytes[index])
            switch state {
            case .data: return .framing(index + 1)
            case .done: return .done(index + 1)
            case .refused(let refusal): return .invalid(refusal)
            case .size, .sizeLineFeed, .dataReturn, .dataLineFeed, .trailerStart, .trailerName, .trailerValue,
                .trailerLineFeed, .finalLineFeed:
                continue
            }
        }
        return .framing(bytes.count)
    }

    private mutating func step(_ byte: UInt8) {
        switch state {
        case .size(let digits, let value): stepSize(byte, digits, value)
        case .sizeLineFeed(let value):
            guard byte == ASCII.lineFeed else { return state = .refused(.malformedSize) }
            dataRemaining = value
            state = value == 0 ? .trailerStart : .data
        case .dataReturn:
            state = byte == ASCII.carriageReturn ? .dataLineFeed : .refused(.missingLineBreak)
        case .dataLineFeed:
            state = byte == ASCII.lineFeed ? .size(digits: 0, value: 0) : .refused(.missingLineBreak)
        case .trailerStart, .trailerName, .trailerValue, .trailerLineFeed, .finalLineFeed: stepTrailer(byte)
        case .data, .done, .refused: preconditionFailure("no byte is stepped in these states")
        }
    }

    private mutating func stepSize(_ byte: UInt8, _ digits: Int, _ value: UInt64) {
        if let digit = ASCII.hexValue(byte) {
            let next = value << 4 | UInt64(digit)
            let fits = digits < 16 && next <= UInt64(Int64.max)
            state = fits ? .size(digits: digits + 1, value: next) : .refused(.malformedSize)
        } else if byte == ASCII.carriageReturn, digits > 0 {
            state = .sizeLineFeed(value: value)
        } else {
            state = .refused(byte == UInt8(ascii: ";") && digits > 0 ? .extensionNotAccepted : .malformedSize)
        }
    }

    private mutating func stepTrailer(_ byte: UInt8) {
        trailerByteCount += 1
        if trailerByteCount > HeadLimits.headByteCount { return state = .refused(.trailersTooLong) }
        switch state {
        case .trailerStart:
            nameCount = 0
            if byte == ASCII.carriageReturn {
                state = .finalLineFeed
            } else {
                state = .trailerName
                stepTrailerName(byte)
            }
        case .trailerName: stepTrailerName(byte)
        case .trailerValue:
            if byte == ASCII.carriageReturn {
                state = .trailerLineFeed
            } else if !ASCII.isFieldValue(byte) {
                state = .refused(.malformedTrailer)
            }
        case .trailerLineFeed: state = byte == ASCII.lineFeed ? .trailerStart : .refused(.malformedTrailer)
        case .finalLineFeed: state = byte == ASCII.lineFeed ? .done : .refused(.malformedTrailer)
        case .size, .sizeLineFeed, .data, .dataReturn, .dataLineFeed, .done, .refused:
            preconditionFailure("not a trailer state")
        }
    }

    private mutating func stepTrailerName(_ byte: UInt8) {
        if ASCII.isToken(byte) {
            if nameCount < 32 { name[nameCount] = byte }
            nameCount += 1
        } else if byte == ASCII.colon, nameCount > 0 {
            state = isForbiddenTrailer ? .refused(.forbiddenTrailer) : .trailerValue
        } else {
            state = .refused(.malformedTrailer)
        }
    }

    private var isForbiddenTrailer: Bool {
        // A name longer than the storage can only be a known one by its prefix, and the prefix is stored.
        let known = name.span.withUnsafeBytes { stored in
            KnownField.named(UnsafeRawBufferPointer(rebasing: stored[..<min(nameCount, 32)]))
        }
        return known != .other
    }
}

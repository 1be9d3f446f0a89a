import CLinux
import Glibc
import HTTP
import Linux

/// One direction of a connection: how much is still to come, and what is on its way.
struct Flow {
    private(set) var extent = Extent.none
    private(set) var gear = Gear.copying
    /// Reads of at least ``fullRead`` in a row.
    private var fullReads: UInt8 = 0
    /// Splices below ``smallMove`` in a row.
    private var smallMoves: UInt8 = 0
    private(set) var hasEnded = false
    /// Bytes of a counted body that have not been read from the source.
    private(set) var remaining: UInt64 = 0
    var scanner = ChunkedScanner()
    /// What the sink did not take in copy gear.
    var residue = HeldBytes()
    /// Holds what the sink did not take in splice gear. Never an empty one.
    var pipe: SplicePipe?
    var piped = 0

    /// How the end is found.
    enum Extent: UInt8 {
        case none
        case counted
        case chunked
        case untilEnd
    }

    /// By which calls bytes are moved.
    enum Gear: UInt8 {
        /// recv(2) and send(2): cheaper below 32 KiB a call.
        case copying
        /// splice(2) by way of a pipe.
        case splicing
    }

    // Measured: between 32 and 64 KiB a call splicing becomes cheaper; streams of small writes fill a pipe's slots with
    // fragments and are cheaper copied.
    private static let fullRead = 32 * 1024
    private static let smallMove = 8 * 1024
    /// A body known to be this long is spliced from its first byte.
    private static let bulkLength: UInt64 = 128 * 1024

    /// Starts over for a body. Nothing may be on its way but bytes that belong in front of it.
    mutating func begin(_ framing: BodyFraming) {
        hasEnded = false
        remaining = 0
        fullReads = 0
        smallMoves = 0
        gear = .copying
        switch framing {
        case .none: extent = .none
        case .length(let count):
            extent = .counted
            remaining = count
            if count >= Self.bulkLength { gear = .splicing }
        case .chunked:
            extent = .chunked
            scanner = ChunkedScanner()
        case .untilClose: extent = .untilEnd
        }
    }

    /// Takes nothing more from the source.
    mutating func abandon() { extent = .none }

    /// Whether all has been taken from the source.
    var isFinished: Bool {
        switch extent {
        case .none: true
        case .counted: remaining == 0
        case .chunked: scanner.isDone
        case .untilEnd: hasEnded
        }
    }

    /// Whether the sink has taken all that was read.
    @inline(__always) var isDrained: Bool { residue.isEmpty && piped == 0 }

    /// Bytes that may be moved without being looked at.
    var blindCount: UInt64 {
        switch extent {
        case .none: 0
        case .counted: remaining
        case .chunked: scanner.dataRemaining
        case .untilEnd: hasEnded ? 0 : .max
        }
    }

    /// Bytes that one read may ask for.
    @inline(__always)
    func readLimit(_ capacity: Int) -> Int {
        extent == .counted ? Int(min(UInt64(capacity), remaining)) : capacity
    }

    mutating func noteRead(_ count: Int) {
        if count >= Self.fullRead {
            fullReads &+= 1
            if fullReads >= 2 {
                gear = .splicing
                fullReads = 0
                smallMoves = 0
            }
        } else {
            fullReads = 0
        }
    }

    mutating func noteMove(_ count: Int) {
        switch extent {
        case .none, .untilEnd: break
        case .counted: remaining -= UInt64(count)
        case .chunked: scanner.dataMoved(UInt64(count))
        }
        if count < Self.smallMove {
            smallMoves &+= 1
            if smallMoves >= 8 { gear = .copying }
        } else {
            smallMoves = 0
        }
    }

    mutating func copyFromNowOn() { gear = .copying }

    /// How many of these bytes belong to the body and may go on; they count as taken.
    /// - Returns: nil if they are malformed.
    mutating func admit(_ bytes: UnsafeRawBufferPointer) -> Int? {
        switch extent {
        case .none: return 0
        case .untilEnd: return bytes.count
        case .counted:
            let count = min(UInt64(bytes.count), remaining)
            remaining -= count
            return Int(count)
        case .chunked: return scanner.admit(bytes)
        }
    }

    /// The source has no more.
    /// - Returns: whether that is where the body was to end.
    mutating func sourceEnded() -> FlowStop {
        hasEnded = true
        return extent == .untilEnd ? .finished : .truncated
    }
}

extension ChunkedScanner {
    /// Checks bytes of a chunked body and says how many belong to it; nil if they are malformed.
    mutating func admit(_ bytes: UnsafeRawBufferPointer) -> Int? {
        var admitted = 0
        while admitted < bytes.count {
            switch scan(UnsafeRawBufferPointer(rebasing: bytes[admitted...])) {
            case .framing(let count), .data(let count): admitted += count
            case .done(let count): return admitted + count
            case .invalid: return nil
            }
        }
        return admitted
    }
}

/// Why a relay stopped for now.
enum FlowStop {
    /// Until the source has more or the sink takes more.
    case waiting
    /// All was taken from the source, and the sink has it.
    case finished
    /// The source ended in the middle of a body.
    case truncated
    /// A chunked body is not well-formed.
    case malformed
    /// recv or splice from the source failed.
    case sourceFailed
    /// send or splice to the sink failed.
    case sinkFailed
}

/// Whether the source is known to have something.
enum SourceState {
    case mayBeEmpty
    case readable
}

extension ProxyThread {
    /// Moves what can be moved now in one direction: what is on its way first, then one read.
    ///
    /// One attempt per wake-up: epoll is level-triggered and calls again, and so no connection starves the others.
    mutating func pump(
        _ flow: inout Flow, from source: inout Side, to sink: Int32, _ state: SourceState
    ) -> FlowStop {
        if !flow.isDrained {
            guard drain(&flow, into: sink) else { return .sinkFailed }
            if !flow.isDrained { return .waiting }
        }
        if flow.isFinished { return .finished }
        if !source.input.isEmpty { return relayInput(&flow, from: &source, to: sink) }
        switch state {
        case .mayBeEmpty: return .waiting
        case .readable: break
        }
        if flow.gear == .splicing, let stop = splice(&flow, from: source.descriptor, to: sink) { return stop }
        return copy(&flow, from: &source, to: sink)
    }

    /// Sends on what was received together with a head.
    private mutating func relayInput(_ flow: inout Flow, from source: inout Side, to sink: Int32) -> FlowStop {
        let bytes = source.input.bytes
        guard let count = flow.admit(bytes) else { return .malformed }
        countCopied(count)
        let sent = forward(UnsafeRawBufferPointer(rebasing: bytes[..<count]), &flow, to: sink)
        source.input.consume(count, &buffers)
        guard sent else { return .sinkFailed }
        return flow.isFinished && flow.isDrained ? .finished : .waiting
    }

    private mutating func copy(_ flow: inout Flow, from source: inout Side, to sink: Int32) -> FlowStop {
        let count = recv(source.descriptor, relayBuffer.baseAddress, flow.readLimit(relayBuffer.count), 0)
        if count <= 0 {
            if count == 0 { return flow.sourceEnded() }
            return errno == EAGAIN || errno == EINTR ? .waiting : .sourceFailed
        }
        flow.noteRead(count)
        let bytes = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(relayBuffer)[..<count])
        guard let admitted = flow.admit(bytes) else { return .malformed }
        countCopied(admitted)
        if admitted < count {
            source.input.append(UnsafeRawBufferPointer(rebasing: bytes[admitted...]), &buffers)
        }
        guard forward(UnsafeRawBufferPointer(rebasing: bytes[..<admitted]), &flow, to: sink) else { return .sinkFailed }
        return flow.isFinished && flow.isDrained ? .finished : .waiting
    }

    /// Splices in and out once. Into an empty pipe only: then EAGAIN can only mean the socket, and a slot that is not
    /// quite empty cannot hold anything up.
    /// - Returns: nil if the bytes have to be copied instead.
    private mutating func splice(_ flow: inout Flow, from source: Int32, to sink: Int32) -> FlowStop? {
        let blind = flow.blindCount
        guard blind > 0, let pipe = pipes.take() else { return nil }
        let wanted = Int(min(blind, UInt64(pipe.capacity)))
        let count = Splice.move(from: source, to: pipe.writing, count: wanted)
        if count <= 0 {
            pipes.put(pipe)
            if count == 0 { return flow.sourceEnded() }
            // Urgent data makes splice say EAGAIN for ever while epoll says readable; only recv steps over the mark.
            if count == -Int(EAGAIN) { return nil }
            if count == -Int(EINTR) { return .waiting }
            if count == -Int(EINVAL) {
                flow.copyFromNowOn()
                return nil
            }
            return .sourceFailed
        }
        flow.noteMove(count)
        countSpliced(count)
        flow.pipe = pipe
        flow.piped = count
        guard drain(&flow, into: sink) else { return .sinkFailed }
        return flow.isFinished && flow.isDrained ? .finished : .waiting
    }

    /// Sends bytes, and keeps what the sink does not take now.
    /// - Returns: whether the sink still works.
    mutating func forward(_ bytes: UnsafeRawBufferPointer, _ flow: inout Flow, to sink: Int32) -> Bool {
        guard bytes.count > 0 else { return true }
        let sent = send(sink, bytes.baseAddress, bytes.count, sendFlags)
        if sent == bytes.count { return true }
        if sent < 0, errno != EAGAIN, errno != EINTR { return false }
        flow.residue.append(UnsafeRawBufferPointer(rebasing: bytes[max(0, sent)...]), &buffers)
        return true
    }

    /// Offers the sink what is on its way.
    /// - Returns: whether the sink still works.
    mutating func drain(_ flow: inout Flow, into sink: Int32) -> Bool {
        if !flow.residue.isEmpty {
            let bytes = flow.residue.bytes
            let sent = send(sink, bytes.baseAddress, bytes.count, sendFlags)
            if sent < 0 { return errno == EAGAIN || errno == EINTR }
            flow.residue.consume(sent, &buffers)
            if !flow.residue.isEmpty { return true }
        }
        while flow.piped > 0, let pipe = flow.pipe {
            let count = Splice.move(from: pipe.reading, to: sink, count: flow.piped)
            if count == -Int(EAGAIN) || count == -Int(EINTR) { return true }
            // The bytes stay in the pipe when the sink fails; `discard` sees to it that no other connection gets them.
            guard count > 0 else { return false }
            flow.piped -= count
            if flow.piped == 0 {
                pipes.put(pipe)
                flow.pipe = nil
            }
        }
        return true
    }

    /// Gives back all that a flow holds.
    mutating func discard(_ flow: inout Flow) {
        flow.residue.release(&buffers)
        if let pipe = flow.pipe { pipes.discard(pipe) }
        flow.pipe = nil
        flow.piped = 0
    }
}

/// MSG_NOSIGNAL: a reset peer is an error here, not a signal. send(2).
let sendFlags: Int32 = 0x4000

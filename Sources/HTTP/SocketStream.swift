internal import Glibc
internal import Linux

/// Why a stream ended.
enum StreamEnd: Equatable {
    /// Both sides said all they had to say, or we closed.
    case finished
    /// The system reported an error, most often a reset.
    case failed(SystemError)
    /// The peer took nothing for ``SocketStream/stallLimit``.
    case stalled
    /// More was queued than the owner allows.
    case queueFull
}

/// Who is told what happens on a stream. A stream holds its owner until it has ended.
protocol SocketStreamOwner: AnyObject {
    func streamConnected()
    func streamReceived(_ bytes: UnsafeRawBufferPointer)
    /// The peer sends nothing more; it may still read.
    func streamPeerFinished()
    /// Told exactly once, on every path, never from inside a call of the owner's to ``SocketStream/send(_:)``.
    func streamEnded(_ end: StreamEnd)
}

/// A nonblocking TCP connection on a loop: queued output, input by callback, orderly end.
final class SocketStream {
    private enum State { case connecting, open, finishing, lingering, ended }
    private enum Inbound { case reading, paused, finished }
    private enum Flushing { case idle, posted }

    /// How long a peer may take none of the waiting output.
    static let stallLimit = Duration.seconds(30)
    /// What waits for the end of the turn at most; more leaves at once.
    static let flushByteCount = 64 * 1024
    /// How long we wait for the peer's end after ours, so that a reset does not destroy the answer on its way.
    static let lingerLimit = Duration.seconds(2)

    let loop: EventLoop
    var owner: (any SocketStreamOwner)?
    private let raw: Int32
    private var descriptor: Descriptor?
    private var registration: EventLoop.Registration?
    private var interest: Interest = []
    private var state: State
    private var inbound = Inbound.reading
    private var output: [UInt8] = []
    private var flushing = Flushing.idle
    private var outputSent = 0
    private var lastProgress = BootInstant.now
    private var stallTimer: TimerToken?
    private var lingerTimer: TimerToken?
    /// Output beyond this ends the stream.
    var queueByteCountMax = 8 * 1024 * 1024

    /// Bytes that wait to be sent.
    var queuedByteCount: Int { output.count - outputSent }
    /// Whether nothing can be sent any more.
    var isOver: Bool { state == .ended || state == .finishing || state == .lingering }
    var hasPeerFinished: Bool { inbound == .finished }

    /// A connection that a listener accepted.
    init(accepted raw: Int32, loop: EventLoop, owner: any SocketStreamOwner) throws(SystemError) {
        self.loop = loop
        self.owner = owner
        self.raw = raw
        descriptor = Descriptor(owning: raw)
        state = .open
        Socket.setNoDelay(raw)
        try register(.readable)
    }

    /// A connection to be made; the owner hears `streamConnected` or `streamEnded` later, never from in here.
    init(connectingTo address: SocketAddress, loop: EventLoop, owner: any SocketStreamOwner) throws(SystemError) {
        self.loop = loop
        self.owner = owner
        let socket = try Socket.tcp()
        raw = socket.raw
        descriptor = consume socket
        state = .connecting
        Socket.setNoDelay(raw)
        _ = try Socket.connect(raw, to: address)
        try register(.writable)
    }

    private func register(_ interest: Interest) throws(SystemError) {
        self.interest = interest
        registration = try loop.add(raw, interest) { [self] ready in handle(ready) }
    }

    /// Queues bytes, which leave when the present handler has returned: what is sent in one turn of the loop, such as
    /// the answers to all that one commit made durable, is one system call. After the end it does nothing.
    func send(_ bytes: [UInt8]) {
        guard state == .open || state == .connecting else { return }
        output += bytes
        if state == .open, queuedByteCount >= Self.flushByteCount { flushPosted() }
        if queuedByteCount > queueByteCountMax { return endLater(.queueFull) }
        guard state == .open, flushing == .idle, queuedByteCount > 0 else { return }
        // Whoever waits for the peer to read is told by the loop.
        flushing = .posted
        loop.post { [self] in flushPosted() }
    }

    private func flushPosted() {
        flushing = .idle
        guard state == .open || state == .finishing else { return }
        flush()
        if state == .finishing { finishIfFlushed() }
        if queuedByteCount > 0 { watchForStall() }
        updateInterest()
    }

    /// Sends what is queued, then ends our side, waits a moment for the peer's, and closes.
    func finish() {
        guard state == .open else {
            if state == .connecting { endLater(.finished) }
            return
        }
        state = .finishing
        if inbound == .paused { inbound = .reading }
        flush()
        finishIfFlushed()
        updateInterest()
    }

    /// Closes now; what the peer has no room for is lost.
    func abort() {
        if state == .open { flush() }
        end(.finished)
    }

    /// Makes the end a reset, which tells the peer that what it got is not all.
    func setResetOnClose() {
        if state != .ended { Socket.resetOnClose(raw) }
    }

    /// Takes no more input until ``resumeReading()``, so that the peer has to wait.
    func pauseReading() {
        if inbound == .reading { inbound = .paused }
        updateInterest()
    }

    /// Takes input again.
    func resumeReading() {
        if inbound == .paused { inbound = .reading }
        updateInterest()
    }

    private func handle(_ ready: Interest) {
        if state == .connecting { return connected() }
        if !ready.isDisjoint(with: [.readable, .hangup, .error, .peerClosed]) {
            if inbound == .reading {
                receive()
            } else if !ready.isDisjoint(with: [.hangup, .error]) {
                return end(.failed(pendingError()))
            }
        }
        if ready.contains(.writable), state == .open || state == .finishing {
            flush()
            if state == .finishing { finishIfFlushed() }
        }
        updateInterest()
    }

    private func connected() {
        let code = Socket.pendingError(raw)
        if code != 0 { return end(.failed(SystemError(code, "connect"))) }
        state = .open
        flush()
        if queuedByteCount > 0 { watchForStall() }
        owner?.streamConnected()
        updateInterest()
    }

    private func receive() {
        let buffer = loop.readBuffer
        let count: Int?
        do throws(SystemError) {
            count = try descriptor?.read(into: buffer)
        } catch {
            return end(.failed(error))
        }
        guard let count else { return }
        if count == 0 {
            inbound = .finished
            if state == .lingering { return end(.finished) }
            if state == .open { owner?.streamPeerFinished() }
        } else if state == .open {
            owner?.streamReceived(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
    }

    private func flush() {
        while outputSent < output.count {
            let sent = output[outputSent...].withUnsafeBytes {
                Glibc.send(raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if sent < 0 {
                if errno == EINTR { continue }
                if errno != EAGAIN { endLater(.failed(SystemError(errno, "send"))) }
                break
            }
            outputSent += sent
            lastProgress = .now
        }
        if outputSent == output.count {
            output.removeAll(keepingCapacity: output.capacity <= 64 * 1024)
            outputSent = 0
        } else if outputSent > 1024 * 1024 {
            output.removeFirst(outputSent)
            outputSent = 0
        }
    }

    private func finishIfFlushed() {
        guard queuedByteCount == 0 else { return }
        if inbound == .finished { return endLater(.finished) }
        state = .lingering
        _ = shutdown(raw, Int32(SHUT_WR))
        lingerTimer = loop.schedule(after: Self.lingerLimit) { [weak self] in self?.end(.finished) }
    }

    private func watchForStall() {
        guard stallTimer == nil else { return }
        lastProgress = .now
        scheduleStallCheck(after: Self.stallLimit)
    }

    private func scheduleStallCheck(after delay: Duration) {
        stallTimer = loop.schedule(after: delay) { [weak self] in
            guard let self else { return }
            stallTimer = nil
            guard queuedByteCount > 0 else { return }
            let quiet = BootInstant.now - lastProgress
            if quiet >= Self.stallLimit { return end(.stalled) }
            scheduleStallCheck(after: Self.stallLimit - quiet)
        }
    }

    private func updateInterest() {
        guard let registration, state != .ended, state != .connecting else { return }
        var wanted: Interest = []
        if inbound == .reading { wanted.insert(.readable) }
        // What will be tried at the end of this turn needs no word from the kernel yet.
        if queuedByteCount > 0, flushing == .idle { wanted.insert(.writable) }
        guard wanted != interest else { return }
        interest = wanted
        do throws(SystemError) {
            try loop.modify(registration, wanted)
        } catch {
            endLater(.failed(error))
        }
    }

    private func pendingError() -> SystemError {
        let code = Socket.pendingError(raw)
        return SystemError(code == 0 ? ECONNRESET : code, "recv")
    }

    /// Ends after the present handler: whoever is sending does not expect to be told that it is over in the middle of it.
    private func endLater(_ end: StreamEnd) {
        loop.post { [self] in self.end(end) }
    }

    private func end(_ end: StreamEnd) {
        guard state != .ended else { return }
        state = .ended
        if let registration { loop.remove(registration) }
        registration = nil
        descriptor = nil
        output = []
        outputSent = 0
        if let stallTimer { loop.cancel(stallTimer) }
        if let lingerTimer { loop.cancel(lingerTimer) }
        let owner = self.owner
        self.owner = nil
        owner?.streamEnded(end)
    }
}

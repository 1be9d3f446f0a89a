internal import Linux

/// Limits and habits of one WebSocket.
public struct WebSocketOptions: Sendable {
    /// How often a ping is sent.
    public var pingInterval = Duration.seconds(10)
    /// A peer that has sent nothing at all for this long is given up.
    public var silenceLimit = Duration.seconds(30)
    /// Bytes of one received message.
    public var messageByteCountMax = 2 * 1024 * 1024
    /// Bytes that may wait to be sent; a peer that lets more wait is given up.
    public var sendQueueByteCountMax = 8 * 1024 * 1024

    /// The defaults.
    public init() {}
}

/// Why a WebSocket is over.
public enum WebSocketEnd: Equatable, Sendable, CustomStringConvertible {
    /// The peer closed, with what it said.
    case closedByPeer(code: WebSocketCloseCode?, reason: String)
    /// We closed.
    case closedByUs
    /// The peer broke the protocol and was told so.
    case violation(WebSocketViolation)
    /// The connection ended without a close frame.
    case vanished(String)
    /// The peer was silent for longer than the limit.
    case silent
    /// The peer did not read what we sent.
    case tooSlow

    /// A sentence for a person.
    public var description: String {
        switch self {
        case .closedByPeer(let code?, let reason): "The peer closed (\(code.rawValue)): \(reason)"
        case .closedByPeer(nil, _): "The peer closed."
        case .closedByUs: "We closed."
        case .violation(let violation): "The peer broke the protocol: \(violation.reason)"
        case .vanished(let cause): "The connection was lost: \(cause)"
        case .silent: "The peer was silent for too long."
        case .tooSlow: "The peer did not read what was sent."
        }
    }
}

/// An open WebSocket of either side, on its loop's thread. It keeps itself alive until it has ended.
public final class WebSocketConnection: SocketStreamOwner {
    private enum Phase {
        case open
        /// We sent a close frame and wait for the peer's, or only for our last bytes to leave.
        case closing(WebSocketEnd)
        case ended
    }

    private let stream: SocketStream
    private let role: WebSocketRole
    private let options: WebSocketOptions
    private let onLeave: () -> Void
    private var decoder: WebSocketDecoder
    private var phase = Phase.open
    private var lastHeard = BootInstant.now
    private var timer: TimerToken?
    private var waiting: [String] = []

    /// Receives each text message. Messages that came before it was set are delivered when it is.
    public var onText: ((String) -> Void)? {
        didSet {
            deliver()
            if onText != nil { stream.resumeReading() }
        }
    }

    /// Called once, after which nothing is received or sent any more.
    public var onClose: ((WebSocketEnd) -> Void)?

    init(_ stream: SocketStream, role: WebSocketRole, options: WebSocketOptions, onLeave: @escaping () -> Void) {
        self.stream = stream
        self.role = role
        self.options = options
        self.onLeave = onLeave
        decoder = WebSocketDecoder(role: role, messageByteCountMax: options.messageByteCountMax)
        stream.owner = self
        stream.queueByteCountMax = options.sendQueueByteCountMax
        // A server may have stopped reading while the handshake was answered.
        stream.resumeReading()
        schedulePing()
    }

    /// Takes what came behind the handshake; after the creator has had the time to set the callbacks.
    func begin(_ early: [UInt8]) {
        guard !early.isEmpty else { return }
        stream.loop.post { [self] in early.withUnsafeBytes { streamReceived($0) } }
    }

    /// Whether messages can be sent.
    public var isOpen: Bool {
        if case .open = phase { return true }
        return false
    }

    /// Bytes that the peer has not taken yet.
    public var queuedByteCount: Int { stream.queuedByteCount }

    /// Sends a text message. After the end it does nothing: who needs certainty waits for an answer of the peer.
    public func send(_ text: String) {
        if isOpen { transmit(.text(text)) }
    }

    /// Says goodbye, waits a moment for the peer to do the same, and closes.
    public func close(_ code: WebSocketCloseCode = .normal, reason: String = "") {
        guard isOpen else { return }
        transmit(.close(code: code, reason: reason))
        phase = .closing(.closedByUs)
        reschedule(after: SocketStream.lingerLimit) { [weak self] in self?.stream.abort() }
    }

    private func transmit(_ message: WebSocketMessage) {
        stream.send(WebSocketEncoder.encode(message, as: role))
    }

    // MARK: Input

    func streamConnected() {}

    func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        lastHeard = .now
        decoder.append(bytes)
        do throws(WebSocketViolation) {
            while let message = try nextMessage() { receive(message) }
        } catch {
            guard isOpen else { return stream.finish() }
            transmit(.close(code: error.code, reason: "\(error.reason)"))
            phase = .closing(.violation(error))
            stream.finish()
        }
    }

    private func nextMessage() throws(WebSocketViolation) -> WebSocketMessage? {
        switch phase {
        case .open, .closing(.closedByUs): try decoder.next()
        case .closing, .ended: nil
        }
    }

    private func receive(_ message: WebSocketMessage) {
        switch message {
        case .text(let text):
            waiting.append(text)
            deliver()
            // Nobody listens yet: let the peer wait instead of storing what it sends.
            if waiting.count >= 64 { stream.pauseReading() }
        case .binary:
            guard isOpen else { return }
            transmit(.close(code: .unsupportedData, reason: "Only text is taken here."))
            phase = .closing(
                .violation(WebSocketViolation(.unsupportedData, "It sent binary data; only text is taken.")))
            stream.finish()
        case .ping(let payload): if isOpen { transmit(.pong(payload)) }
        case .pong: break
        case .close(let code, let reason):
            if isOpen {
                transmit(.close(code: code, reason: ""))
                phase = .closing(.closedByPeer(code: code, reason: reason))
            }
            stream.finish()
        }
    }

    private func deliver() {
        guard onText != nil else { return }
        while isOpen, !waiting.isEmpty { onText?(waiting.removeFirst()) }
    }

    // MARK: Liveness and end

    private func schedulePing() {
        reschedule(after: min(options.pingInterval, options.silenceLimit)) { [weak self] in self?.ping() }
    }

    private func ping() {
        guard isOpen else { return }
        if BootInstant.now - lastHeard >= options.silenceLimit {
            phase = .closing(.silent)
            return stream.abort()
        }
        transmit(.ping([]))
        schedulePing()
    }

    private func reschedule(after delay: Duration, _ work: @escaping () -> Void) {
        if let timer { stream.loop.cancel(timer) }
        timer = stream.loop.schedule(after: delay, work)
    }

    func streamPeerFinished() {
        if isOpen { phase = .closing(.vanished("it ended without a close frame")) }
        stream.finish()
    }

    func streamEnded(_ end: StreamEnd) {
        if let timer { stream.loop.cancel(timer) }
        let reason: WebSocketEnd =
            switch (phase, end) {
            case (.closing(let reason), _): reason
            case (_, .finished): .closedByUs
            case (_, .failed(let error)): .vanished("\(error)")
            case (_, .stalled), (_, .queueFull): .tooSlow
            }
        phase = .ended
        let callback = onClose
        onClose = nil
        onText = nil
        callback?(reason)
        onLeave()
    }
}

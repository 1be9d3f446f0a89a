internal import Linux

/// One client of an ``HTTPServer``: bytes in, requests to the handler, responses out in order.
final class ServerConnection: SocketStreamOwner {
    private enum Phase {
        /// Between requests, or in the middle of a head.
        case head
        case body(Request, BodyCollector, ConnectionPersistence)
        /// The handler has the request and owes the answer.
        case answering(RequestMethod, ConnectionPersistence)
        case streaming(StreamWriter)
        case upgraded(WebSocketConnection)
        /// The answer is on its way and no further request is read.
        case finishing
    }

    /// Pipelined bytes that are taken while a request is being answered; beyond it the client has to wait.
    private static let pipelineByteCountMax = 64 * 1024

    let server: HTTPServer
    let peer: SocketAddress?
    private var stream: SocketStream?
    private var phase = Phase.head
    private var input: [UInt8] = []
    private var layout = RequestLayout()
    private var deadline: TimerToken?
    /// Bytes of the present request's body. The handler may hold the request until it is answered, so they count until then.
    private var bodyByteCount = 0 {
        didSet { server.bodyByteCount += bodyByteCount - oldValue }
    }
    /// Set by the responder that is owed.
    var onClientGone: (() -> Void)?

    init(_ server: HTTPServer, peer: SocketAddress?) {
        self.server = server
        self.peer = peer
    }

    func start(_ raw: Int32) throws(SystemError) {
        stream = try SocketStream(accepted: raw, loop: server.loop, owner: self)
        expect(within: server.limits.headDeadline)
    }

    var isClientGone: Bool { stream.map { $0.isOver || $0.hasPeerFinished } ?? true }

    func abort() { stream?.abort() }

    /// The server shuts down: whoever is owed an answer still gets it.
    func serverCloses() {
        switch phase {
        case .head: stream?.finish()
        case .streaming(let writer): writer.close()
        case .upgraded(let socket): socket.close(.goingAway, reason: "The server shuts down.")
        case .body, .answering, .finishing: break
        }
    }

    // MARK: Input

    func streamConnected() {}

    func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        switch phase {
        case .head:
            if input.isEmpty { expect(within: server.limits.headDeadline) }
            input += bytes
            parseHead()
        case .body:
            input += bytes
            readBody()
        case .answering:
            input += bytes
            if input.count > Self.pipelineByteCountMax { stream?.pauseReading() }
        case .streaming, .upgraded, .finishing: break
        }
    }

    private func parseHead() {
        guard !input.isEmpty else { return }
        let parsed = input.withUnsafeBytes { layout.parse($0) }
        switch parsed {
        case .incomplete: return
        case .invalid(let refusal): refuse(Int(refusal.status), "\(refusal.reason)")
        case .complete(let count):
            do throws(HeadRefusal) {
                let request = try makeRequest()
                input.removeFirst(count)
                begin(request)
            } catch {
                refuse(Int(error.status), "\(error.reason)")
            }
        }
    }

    private func makeRequest() throws(HeadRefusal) -> Request {
        let made: Result<Request, HeadRefusal> = input.withUnsafeBytes { bytes in
            Result { () throws(HeadRefusal) in try Request(layout, in: bytes) }
        }
        return try made.get()
    }

    private func begin(_ request: Request) {
        // A client of HTTP/1.0 that wants keep-alive would have to be told so; closing is always right.
        let persistence = server.isClosing || layout.minorVersion == 0 ? .close : layout.persistence
        if layout.framing == .none { return dispatch(request, persistence) }
        let collector = BodyCollector(layout.framing, byteCountMax: server.limits.bodyByteCountMax)
        if case .length(let count) = layout.framing, count > UInt64(server.limits.bodyByteCountMax) {
            return refuseTooLarge()
        }
        if layout.expectation == .continueFirst, input.isEmpty {
            stream?.send(Array("HTTP/1.1 100 Continue\r\n\r\n".utf8))
        }
        expect(within: server.limits.bodyDeadline)
        phase = .body(request, collector, persistence)
        readBody()
    }

    private func readBody() {
        guard case .body(var request, var collector, let persistence) = phase else { return }
        // Emptied first, so that the collector is the only owner of its bytes while it appends.
        phase = .finishing
        let step = input.withUnsafeBytes { collector.consume($0) }
        bodyByteCount = collector.body.count
        guard server.bodyByteCount <= server.limits.bodyByteCountMaxTogether else {
            return refuse(503, "The bodies of all requests together are too much for the server now.")
        }
        switch step {
        case .incomplete:
            input.removeAll(keepingCapacity: true)
            phase = .body(request, collector, persistence)
        case .complete(let consumed):
            input.removeFirst(consumed)
            request.body = collector.body
            dispatch(request, persistence)
        case .tooLarge: refuseTooLarge()
        case .malformed(let refusal): refuse(400, "\(refusal.reason)")
        }
    }

    private func dispatch(_ request: Request, _ persistence: ConnectionPersistence) {
        expectNothing()
        phase = .answering(request.method, persistence)
        server.handler(request, Responder(self, request))
    }

    private func refuseTooLarge() {
        refuse(413, "The body is larger than \(server.limits.bodyByteCountMax) bytes.")
    }

    /// Answers what cannot be a request; what follows it on the connection cannot be trusted to be one either.
    private func refuse(_ status: Int, _ sentence: String) {
        phase = .answering(.get, .close)
        answer(server.refusal(status, sentence))
    }

    // MARK: Output

    func answer(_ response: Response) {
        bodyByteCount = 0
        guard case .answering(let method, let asked) = phase, let stream else { return }
        onClientGone = nil
        let persistence = server.isClosing || stream.hasPeerFinished ? .close : asked
        var bytes = response.encodeHead(.known, persistence: persistence)
        if method != .head && response.status != 204 && response.status != 304 { bytes += response.body }
        stream.send(bytes)
        if persistence == .close {
            phase = .finishing
            expectNothing()
            stream.finish()
            return
        }
        phase = .head
        expect(within: input.isEmpty ? server.limits.idleLimit : server.limits.headDeadline)
        stream.resumeReading()
        // Not from in here: a client that pipelines a thousand requests must not nest a thousand handlers.
        if !input.isEmpty { server.loop.post { [weak self] in self?.parseNext() } }
    }

    private func parseNext() {
        if case .head = phase { parseHead() }
    }

    func startStream(_ head: Response, onClose: @escaping () -> Void) -> StreamWriter {
        bodyByteCount = 0
        let writer = StreamWriter(stream, onClose: onClose)
        guard case .answering(let method, _) = phase, let stream else {
            writer.ended()
            return writer
        }
        onClientGone = nil
        stream.queueByteCountMax = server.limits.streamQueueByteCountMax
        stream.send(head.encodeHead(.untilClose, persistence: .close))
        phase = .streaming(writer)
        if method == .head || server.isClosing { writer.close() }
        if stream.hasPeerFinished { stream.abort() }
        return writer
    }

    /// Gives the socket away to a WebSocket; this object is done with it.
    func upgrade(accept: String, options: WebSocketOptions) -> WebSocketConnection? {
        guard case .answering = phase, let stream, !stream.hasPeerFinished else { return nil }
        onClientGone = nil
        let head = Response(
            status: 101, fields: ["upgrade": "websocket", "connection": "Upgrade", "sec-websocket-accept": accept])
        stream.send(head.encodeHead(.absent, persistence: .keepAlive))
        let early = input
        input = []
        let socket = WebSocketConnection(stream, role: .server, options: options) { [self] in leave() }
        phase = .upgraded(socket)
        socket.begin(early)
        return socket
    }

    // MARK: End

    func streamPeerFinished() {
        switch phase {
        case .head, .body: stream?.finish()
        case .answering:
            // It may only have ended its own side, so the answer is still sent; but who is waiting may want to know.
            let callback = onClientGone
            onClientGone = nil
            callback?()
        case .streaming: stream?.abort()
        case .upgraded, .finishing: break
        }
    }

    func streamEnded(_ end: StreamEnd) {
        expectNothing()
        stream = nil
        let last = phase
        phase = .finishing
        let callback = onClientGone
        onClientGone = nil
        switch last {
        case .streaming(let writer): writer.ended()
        case .answering: callback?()
        case .head, .body, .upgraded, .finishing: break
        }
        leave()
    }

    private func leave() {
        stream = nil
        bodyByteCount = 0
        phase = .finishing
        server.connectionEnded(self)
    }

    private func expect(within limit: Duration) {
        expectNothing()
        deadline = server.loop.schedule(after: limit) { [weak self] in self?.deadlinePassed() }
    }

    private func expectNothing() {
        if let deadline { server.loop.cancel(deadline) }
        deadline = nil
    }

    private func deadlinePassed() {
        switch phase {
        case .head where input.isEmpty: stream?.finish()
        case .head, .body: refuse(408, "The request did not arrive in time.")
        case .answering, .streaming, .upgraded, .finishing: break
        }
    }
}

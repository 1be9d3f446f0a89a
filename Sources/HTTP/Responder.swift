public import Linux

/// The duty to answer one request, exactly once, now or later, on the loop's thread. If it is dropped unanswered, the
/// client gets 500: nobody waits for ever.
public final class Responder {
    private enum Duty { case owed(ServerConnection), fulfilled }

    private var duty: Duty
    private let webSocketKey: String?

    /// Who asks.
    public let peer: SocketAddress?

    init(_ connection: ServerConnection, _ request: Request) {
        duty = .owed(connection)
        peer = connection.peer
        let isVersion13 = request.fields["sec-websocket-version"] == "13"
        let key = request.fields["sec-websocket-key"]
        webSocketKey =
            request.asksForWebSocket && isVersion13
            ? key.flatMap { WebSocketHandshake.isValid(key: $0) ? $0 : nil } : nil
    }

    deinit {
        guard case .owed(let connection) = duty else { return }
        connection.answer(.text(500, "The request was dropped without an answer."))
    }

    /// Whether the client has ended its side or is gone. An answer is still accepted then, and thrown away if need be.
    public var isClientGone: Bool {
        switch duty {
        case .owed(let connection): connection.isClientGone
        case .fulfilled: true
        }
    }

    /// Calls back when the client goes away before it is answered.
    public func onClientGone(_ callback: @escaping () -> Void) {
        if case .owed(let connection) = duty { connection.onClientGone = callback }
    }

    /// Answers. For a HEAD request the body is counted but not sent.
    public func respond(_ response: Response) {
        fulfil().answer(response)
    }

    /// Answers with a body of unknown length that ends with the connection, for server-sent events.
    /// - Parameters:
    ///   - head: status and fields; its body is not sent.
    ///   - onClose: called once when the stream has ended, whoever ended it; may be called before this returns.
    public func startStream(_ head: Response, onClose: @escaping () -> Void) -> StreamWriter {
        fulfil().startStream(head, onClose: onClose)
    }

    /// Whether ``acceptWebSocket(_:)`` can succeed: the request is a valid handshake of version 13.
    public var canAcceptWebSocket: Bool { webSocketKey != nil }

    /// Switches to WebSocket. If the request is no valid handshake it is answered with 426 (or the client is gone), and
    /// the result is nil.
    public func acceptWebSocket(_ options: WebSocketOptions = WebSocketOptions()) -> WebSocketConnection? {
        let connection = fulfil()
        guard let webSocketKey else {
            connection.answer(
                Response(
                    status: 426,
                    fields: ["upgrade": "websocket", "sec-websocket-version": "13", "content-type": "text/plain"],
                    body: Array("This address speaks WebSocket, version 13.\n".utf8)))
            return nil
        }
        return connection.upgrade(accept: WebSocketHandshake.accept(key: webSocketKey), options: options)
    }

    private func fulfil() -> ServerConnection {
        guard case .owed(let connection) = duty else { preconditionFailure("a request was answered twice") }
        duty = .fulfilled
        return connection
    }
}

/// The open end of a streamed response. On the loop's thread only.
public final class StreamWriter {
    private var stream: SocketStream?
    private var onClose: (() -> Void)?

    init(_ stream: SocketStream?, onClose: @escaping () -> Void) {
        self.stream = stream
        self.onClose = onClose
    }

    /// Whether bytes can still be sent.
    public var isOpen: Bool { stream.map { !$0.isOver } ?? false }

    /// Sends bytes. After the end it does nothing. A client that lets more wait than
    /// ``HTTPServer/Limits/streamQueueByteCountMax`` is cut off.
    public func send(_ bytes: [UInt8]) { stream?.send(bytes) }

    /// Sends an event.
    public func send(_ event: ServerSentEvent) { send(event.encoded) }

    /// Sends a comment that keeps the connection from looking dead.
    public func sendKeepAlive() { send(ServerSentEvent.keepAliveComment) }

    /// Sends what waits and ends the response.
    public func close() { stream?.finish() }

    func ended() {
        stream = nil
        let callback = onClose
        onClose = nil
        callback?()
    }
}

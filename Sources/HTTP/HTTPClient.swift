public import Linux

/// A small HTTP/1.1 client on an ``EventLoop``: single calls, event streams and WebSockets, each on a connection of its
/// own. A URL with a user sends it as `Authorization: Bearer`. Callbacks come on the loop's thread, never from inside the
/// call that starts them.
public final class HTTPClient {
    /// A call under way.
    public final class Call {
        private let exchange: ClientExchange

        init(_ exchange: ClientExchange) { self.exchange = exchange }

        /// Ends it; its callbacks are not called any more.
        public func cancel() { exchange.cancel() }
    }

    private let loop: EventLoop

    /// A client of that loop.
    public init(loop: EventLoop) { self.loop = loop }

    /// Sends a request and collects the whole response, whatever its status.
    /// - Parameters:
    ///   - method: the method.
    ///   - url: where to; path and query are taken from it.
    ///   - address: where the URL's host is; without it its name is looked up, which may block, see ``address(of:)``.
    ///   - deadline: from now to the last byte.
    ///   - byteCountMax: limit of the response body.
    @discardableResult
    public func send(
        _ method: RequestMethod, _ url: HTTPURL, at address: SocketAddress? = nil, fields: HeaderFields = [:],
        body: [UInt8] = [], deadline: Duration, byteCountMax: Int = 8 * 1024 * 1024,
        completion: @escaping (Result<Response, HTTPClientError>) -> Void
    ) -> Call {
        let request = Request(method, path: url.path, query: url.query, fields: fields, body: body)
        let purpose = ClientExchange.Purpose.response(completion)
        return start(request, url, purpose, at: address, deadline: deadline, byteCountMax: byteCountMax)
    }

    /// Where a URL's host is. Numbers and `localhost` are read; for other names the system's resolver is asked, which
    /// **blocks the thread** for as long as that takes: a loop that must never wait has a thread of its own ask.
    public static func address(of url: HTTPURL) throws(HTTPClientError) -> SocketAddress {
        try NameResolution.resolve(url)
    }

    /// Reads an event stream until it ends.
    /// - Parameters:
    ///   - lastEventID: where to go on, from an earlier stream's events.
    ///   - deadline: from now to the response's head.
    ///   - silenceLimit: a stream on which nothing comes for this long, not even a comment, has failed.
    ///   - onEvent: each event.
    ///   - onEnd: called once; nil if the server ended the stream in order.
    @discardableResult
    public func events(
        _ url: HTTPURL, lastEventID: String? = nil, deadline: Duration, silenceLimit: Duration = .seconds(60),
        onEvent: @escaping (ServerSentEvent) -> Void, onEnd: @escaping (HTTPClientError?) -> Void
    ) -> Call {
        var fields: HeaderFields = ["accept": "text/event-stream", "cache-control": "no-cache"]
        if let lastEventID { fields.add("last-event-id", lastEventID) }
        let purpose = ClientExchange.Purpose.events(onEvent: onEvent, onEnd: onEnd, silenceLimit: silenceLimit)
        return start(Request(.get, path: url.path, query: url.query, fields: fields), url, purpose, deadline: deadline)
    }

    /// Opens a WebSocket.
    /// - Parameters:
    ///   - fields: further fields of the handshake.
    ///   - deadline: from now to the end of the handshake.
    ///   - completion: gets the open socket; set its callbacks in there and no message is missed.
    @discardableResult
    public func webSocket(
        _ url: HTTPURL, fields: HeaderFields = [:], deadline: Duration, options: WebSocketOptions = WebSocketOptions(),
        completion: @escaping (Result<WebSocketConnection, HTTPClientError>) -> Void
    ) -> Call {
        let key = WebSocketHandshake.makeKey()
        var fields = fields
        fields.set("connection", "Upgrade")
        fields.set("upgrade", "websocket")
        fields.set("sec-websocket-version", "13")
        fields.set("sec-websocket-key", key)
        let purpose = ClientExchange.Purpose.webSocket(
            accept: WebSocketHandshake.accept(key: key), options: options, completion)
        return start(Request(.get, path: url.path, query: url.query, fields: fields), url, purpose, deadline: deadline)
    }

    /// Sends one request and waits for the response, on a loop of its own: for command-line programs.
    public static func fetch(
        _ method: RequestMethod, _ url: HTTPURL, fields: HeaderFields = [:], body: [UInt8] = [],
        deadline: Duration = .seconds(30)
    ) throws(HTTPClientError) -> Response {
        let loop: EventLoop
        var outcome: Result<Response, HTTPClientError> = .failure(.timedOut(url, deadline))
        do throws(SystemError) {
            loop = try EventLoop()
            HTTPClient(loop: loop).send(method, url, fields: fields, body: body, deadline: deadline) { result in
                outcome = result
                loop.stop()
            }
            try loop.run()
        } catch {
            throw .cannotConnect(url, error)
        }
        return try outcome.get()
    }

    private func start(
        _ request: Request, _ url: HTTPURL, _ purpose: ClientExchange.Purpose, at address: SocketAddress? = nil,
        deadline: Duration, byteCountMax: Int = 64 * 1024
    ) -> Call {
        var request = request
        if let user = url.user, request.fields["authorization"] == nil {
            request.fields.add("authorization", "Bearer \(user)")
        }
        if request.fields["connection"] == nil { request.fields.add("connection", "close") }
        let exchange = ClientExchange(loop: loop, url: url, purpose: purpose, byteCountMax: byteCountMax)
        exchange.start(request, at: address, deadline: deadline)
        return Call(exchange)
    }
}

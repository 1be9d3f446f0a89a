internal import Linux

/// One request of an ``HTTPClient`` and what comes of it. Alive while its stream or its first timer is.
final class ClientExchange: SocketStreamOwner {
    enum Purpose {
        case response((Result<Response, HTTPClientError>) -> Void)
        case events(
            onEvent: (ServerSentEvent) -> Void, onEnd: (HTTPClientError?) -> Void, silenceLimit: Duration)
        case webSocket(
            accept: String, options: WebSocketOptions, (Result<WebSocketConnection, HTTPClientError>) -> Void)
    }

    private enum Phase {
        case connecting
        case head
        case body(Response, BodyCollector)
        case events(BodyCollector, ServerSentEventParser)
        case done
    }

    private let loop: EventLoop
    private let url: HTTPURL
    private let purpose: Purpose
    private let byteCountMax: Int
    private var stream: SocketStream?
    private var phase = Phase.connecting
    private var answered = AnsweredRequest.ordinary
    private var input: [UInt8] = []
    private var layout = ResponseLayout()
    private var timer: TimerToken?

    init(loop: EventLoop, url: HTTPURL, purpose: Purpose, byteCountMax: Int) {
        self.loop = loop
        self.url = url
        self.purpose = purpose
        self.byteCountMax = byteCountMax
    }

    func start(_ request: Request, at known: SocketAddress?, deadline: Duration) {
        if request.method == .head { answered = .head }
        if case .webSocket = purpose { answered = .upgrade }
        do throws(HTTPClientError) {
            let address = if let known { known } else { try NameResolution.resolve(url) }
            do throws(SystemError) {
                let stream = try SocketStream(connectingTo: address, loop: loop, owner: self)
                stream.queueByteCountMax = .max
                stream.send(request.encode(host: url.authority))
                self.stream = stream
            } catch {
                throw .cannotConnect(url, error)
            }
        } catch {
            return loop.post { [self] in fail(error) }
        }
        expect(within: deadline)
    }

    func cancel() {
        phase = .done
        cleanUp()
    }

    // MARK: Stream

    func streamConnected() { phase = .head }

    func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        switch phase {
        case .connecting, .done: break
        case .head:
            input += bytes
            parseHead()
        case .body: readBody(bytes)
        case .events:
            if case .events(_, _, let silenceLimit) = purpose { expect(within: silenceLimit) }
            readEvents(bytes)
        }
    }

    func streamPeerFinished() {
        switch phase {
        case .body(var response, let collector) where collector.endsWithClose:
            response.body = collector.body
            complete(response)
        case .events(let collector, _) where collector.endsWithClose: endEvents()
        case .connecting, .head, .body, .events: fail(.endedEarly(url))
        case .done: break
        }
    }

    func streamEnded(_ end: StreamEnd) {
        switch (phase, end) {
        case (.done, _): break
        case (.connecting, .failed(let error)): fail(.cannotConnect(url, error))
        case (_, .failed(let error)): fail(.lost(url, error))
        case (_, .stalled), (_, .queueFull), (_, .finished): fail(.endedEarly(url))
        }
    }

    // MARK: Reading

    private func parseHead() {
        switch input.withUnsafeBytes({ layout.parse($0, answering: answered) }) {
        case .incomplete: return
        case .invalid(let refusal): return fail(.malformed(url, reason: "\(refusal.reason)"))
        case .complete(let count):
            let response = input.withUnsafeBytes { Response(layout, in: $0) }
            input.removeFirst(count)
            // Interim responses precede the final one; only 101 is final itself.
            if response.status < 200 && response.status != 101 { return parseHead() }
            received(response)
        }
    }

    private func received(_ head: Response) {
        let rest = input
        input = []
        switch purpose {
        case .events(_, _, let silenceLimit) where head.status == 200:
            expect(within: silenceLimit)
            phase = .events(BodyCollector(layout.framing, byteCountMax: .max / 2), ServerSentEventParser())
            rest.withUnsafeBytes { readEvents($0) }
        case .webSocket(let accept, let options, let completion) where head.status == 101:
            guard head.fields["sec-websocket-accept"] == accept, head.fields.list("upgrade", contains: "websocket")
            else {
                return fail(.malformed(url, reason: "Its WebSocket handshake does not match ours."))
            }
            upgrade(options, rest, completion)
        case .response, .events, .webSocket:
            phase = .body(head, BodyCollector(layout.framing, byteCountMax: byteCountMax))
            rest.withUnsafeBytes { readBody($0) }
        }
    }

    private func upgrade(
        _ options: WebSocketOptions, _ early: [UInt8],
        _ completion: (Result<WebSocketConnection, HTTPClientError>) -> Void
    ) {
        guard let stream else { return }
        phase = .done
        self.stream = nil
        cleanUp()
        let socket = WebSocketConnection(stream, role: .client, options: options) {}
        socket.begin(early)
        completion(.success(socket))
    }

    private func readBody(_ bytes: UnsafeRawBufferPointer) {
        guard case .body(var response, var collector) = phase else { return }
        // Emptied first, so that the collector is the only owner of its bytes while it appends.
        phase = .head
        switch collector.consume(bytes) {
        case .incomplete: phase = .body(response, collector)
        case .complete:
            response.body = collector.body
            complete(response)
        case .tooLarge: fail(.tooLarge(url, byteCountMax: byteCountMax))
        case .malformed(let refusal): fail(.malformed(url, reason: "\(refusal.reason)"))
        }
    }

    private func readEvents(_ bytes: UnsafeRawBufferPointer) {
        guard case .events(var collector, var parser) = phase, case .events(let onEvent, _, _) = purpose else { return }
        let step = collector.consume(bytes)
        let events: [ServerSentEvent]
        do throws(ServerSentEventParser.Failure) {
            events = try parser.consume(collector.takeBody())
        } catch {
            return fail(.malformed(url, reason: "One event is larger than this client takes."))
        }
        phase = .events(collector, parser)
        for event in events {
            // A handler may have cancelled the call.
            guard case .events = phase else { return }
            onEvent(event)
        }
        guard case .events = phase else { return }
        switch step {
        case .incomplete: break
        case .complete: endEvents()
        case .tooLarge: fail(.malformed(url, reason: "Its length is not possible."))
        case .malformed(let refusal): fail(.malformed(url, reason: "\(refusal.reason)"))
        }
    }

    // MARK: End

    private func complete(_ response: Response) {
        phase = .done
        cleanUp()
        switch purpose {
        case .response(let completion): completion(.success(response))
        case .events(_, let onEnd, _): onEnd(.notGranted(url, response))
        case .webSocket(_, _, let completion): completion(.failure(.notGranted(url, response)))
        }
    }

    private func endEvents() {
        phase = .done
        cleanUp()
        if case .events(_, let onEnd, _) = purpose { onEnd(nil) }
    }

    private func fail(_ error: HTTPClientError) {
        if case .done = phase { return }
        phase = .done
        cleanUp()
        switch purpose {
        case .response(let completion): completion(.failure(error))
        case .events(_, let onEnd, _): onEnd(error)
        case .webSocket(_, _, let completion): completion(.failure(error))
        }
    }

    private func cleanUp() {
        if let timer { loop.cancel(timer) }
        timer = nil
        let stream = self.stream
        self.stream = nil
        stream?.abort()
    }

    private func expect(within limit: Duration) {
        if let timer { loop.cancel(timer) }
        timer = loop.schedule(after: limit) { [self] in fail(.timedOut(url, limit)) }
    }
}

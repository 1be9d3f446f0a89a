import FoundationEssentials
import HTTP
import Linux
import Model

/// The drone's WebSocket to one of its controllers: dialled, and when it is lost, silent or cannot be made, the next
/// controller is dialled. What it means to be connected, and until when, is `SessionLease`'s to say.
final class ControllerLink: LinkPort {
    private enum Phase {
        case idle
        case dialling(HTTPClient.Call)
        case open(WebSocketConnection)
        case waiting(TimerToken)
    }

    private let loop: EventLoop
    private let client: HTTPClient
    private let secret: String?
    private let onEvent: (LinkEvent) -> Void
    private var phase = Phase.idle
    private var round: ControllerRound
    private var times = ConnectionTimes.first

    /// Nothing happens before `start`.
    /// - Parameter onEvent: called on the loop's thread.
    init(loop: EventLoop, _ configuration: DroneConfiguration, onEvent: @escaping (LinkEvent) -> Void) {
        self.loop = loop
        client = HTTPClient(loop: loop)
        secret = configuration.secret
        let query: Query = ["pool": configuration.pool]
        let urls = configuration.controllerURLs.map {
            $0.replacingPath(
                "/ctrl/c/\(configuration.cluster)/drone-socket", query: configuration.pool.isEmpty ? Query() : query)
        }
        round = ControllerRound(urls, times)
        self.onEvent = onEvent
    }

    func start() { dial() }

    func stop() {
        switch phase {
        case .idle: break
        case .dialling(let call): call.cancel()
        case .open(let socket): leave(socket, because: "The drone stops.")
        case .waiting(let timer): loop.cancel(timer)
        }
        phase = .idle
    }

    func redial(because cause: String) {
        guard case .open(let socket) = phase else { return }
        leave(socket, because: cause)
        lost(cause)
    }

    func confirmed(_ lease: LeaseTimes) {
        times = ConnectionTimes(lease)
        round.succeeded(times)
    }

    func send(_ message: DroneMessage) {
        guard case .open(let socket) = phase else { return }
        do {
            let encoder = JSONEncoder()
            encoder.outputFormatting = .withoutEscapingSlashes
            socket.send(String(decoding: try encoder.encode(message), as: UTF8.self))
        } catch {
            preconditionFailure("a message of our own cannot be encoded: \(error)")
        }
    }

    private func dial() {
        var options = WebSocketOptions()
        options.pingInterval = times.ping
        options.silenceLimit = times.silence
        var fields: HeaderFields = [:]
        // Takes the place of what the URL may carry for the same purpose.
        if let secret { fields.set("authorization", "Bearer \(secret)") }
        let url = round.current
        let call = client.webSocket(url, fields: fields, deadline: times.dial, options: options) { [weak self] result in
            switch result {
            case .success(let socket): self?.opened(socket)
            case .failure(let error): self?.lost("\(error)")
            }
        }
        phase = .dialling(call)
    }

    private func opened(_ socket: WebSocketConnection) {
        phase = .open(socket)
        socket.onClose = { [weak self] end in self?.lost("\(end)") }
        onEvent(.opened)
        socket.onText = { [weak self] text in self?.received(text) }
    }

    private func leave(_ socket: WebSocketConnection, because cause: String) {
        socket.onText = nil
        socket.onClose = nil
        socket.close(.goingAway, reason: cause)
    }

    private func received(_ text: String) {
        let message: ControllerMessage
        do {
            message = try JSONDecoder().decode(ControllerMessage.self, from: Data(text.utf8))
        } catch {
            return redial(because: "a message was not understood; are both of one build?")
        }
        onEvent(.received(message))
    }

    private func lost(_ cause: String) {
        let pause = round.next(jitter: Double.random(in: 0...1))
        phase = .waiting(loop.schedule(after: pause) { [weak self] in self?.dial() })
        onEvent(.closed(cause: cause))
    }
}

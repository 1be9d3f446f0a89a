import FoundationEssentials
import HTTP
import Linux
import Model

/// The drone's WebSocket to its controller: dialled, greeted with all that the drone has, and dialled again when it is
/// lost or silent. What it means to be connected, and until when, is `SessionLease`'s to say.
final class ControllerLink {
    /// What the link tells its owner.
    enum Event {
        /// The socket is open. The owner sends its hello, first of all.
        case opened
        /// The controller said something.
        case received(ControllerMessage)
        /// The socket is gone or could not be opened. It will be tried again.
        case closed(cause: String)
    }

    private enum Phase {
        case idle
        case dialling(HTTPClient.Call)
        case open(WebSocketConnection)
        case waiting(TimerToken)
    }

    private let loop: EventLoop
    private let client: HTTPClient
    private let url: HTTPURL
    private let onEvent: (Event) -> Void
    private var phase = Phase.idle
    private var retry = Backoff(first: .milliseconds(200), most: .seconds(5))

    /// How long a handshake may take.
    static let dialLimit = Duration.seconds(5)

    /// Nothing happens before `start`.
    /// - Parameters:
    ///   - controller: any URL of the controller; its path is replaced.
    ///   - onEvent: called on the loop's thread.
    init(
        loop: EventLoop, controller: HTTPURL, cluster: ClusterName, pool: String, onEvent: @escaping (Event) -> Void
    ) {
        self.loop = loop
        client = HTTPClient(loop: loop)
        let query: Query = ["pool": pool]
        url = controller.replacingPath("/ctrl/c/\(cluster)/drone-socket", query: pool.isEmpty ? Query() : query)
        self.onEvent = onEvent
    }

    /// Whether messages can be sent.
    var isOpen: Bool {
        if case .open = phase { return true }
        return false
    }

    /// Dials, now and whenever the socket is lost.
    func start() { dial() }

    /// Ends the connection for good.
    func stop() {
        switch phase {
        case .idle: break
        case .dialling(let call): call.cancel()
        case .open(let socket):
            socket.onText = nil
            socket.onClose = nil
            socket.close(.goingAway, reason: "The drone stops.")
        case .waiting(let timer): loop.cancel(timer)
        }
        phase = .idle
    }

    /// Begins again with a new hello, because what the drone offers has changed or the controller said nonsense.
    func redial(because cause: String) {
        guard case .open(let socket) = phase else { return }
        socket.onText = nil
        socket.onClose = nil
        socket.close(.goingAway, reason: cause)
        lost(cause)
    }

    /// The controller is one that can be worked with: after a loss it is dialled again at once.
    func confirmed() { retry.reset() }

    /// Sends a message; without a connection it is dropped: the next hello says all.
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
        options.pingInterval = .seconds(3)
        options.silenceLimit = .seconds(9)
        let call = client.webSocket(url, deadline: Self.dialLimit, options: options) { [weak self] result in
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
        let jitter = Double.random(in: 0...1)
        phase = .waiting(loop.schedule(after: retry.next(jitter: jitter)) { [weak self] in self?.dial() })
        onEvent(.closed(cause: cause))
    }
}

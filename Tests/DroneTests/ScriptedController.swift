import FoundationEssentials
import HTTP
import Linux
import Model

/// The controller's side of the link, on a real HTTP server: it notes what drones say, and answers unless told not to.
final class ScriptedController {
    /// What it leaves unanswered.
    enum Silence: Hashable {
        case hello
        case renewals
        case states
        case sweeps
    }

    var lease = LeaseTimes.standard
    /// The session that a welcome names.
    var session: Int64 = 1
    /// What a report of a state is answered with; nil the reported status.
    var known: BackendStatus?
    /// Which backends a welcome keeps; nil all that the hello names.
    var keep: [String]?
    var silent: Set<Silence> = []
    private(set) var messages: [DroneMessage] = []
    private(set) var path: String?
    /// What the drone showed when it dialled.
    private(set) var authorization: String?
    private(set) var server: HTTPServer!
    private var socket: WebSocketConnection?
    private let onChange: () -> Void

    init(loop: EventLoop, onChange: @escaping () -> Void) throws {
        self.onChange = onChange
        server = try HTTPServer(loop: loop, address: .loopback(0)) { [unowned self] request, responder in
            authorization = request.fields["authorization"]
            path = request.path + (request.query.isEmpty ? "" : "?" + request.query.encoded)
            socket = responder.acceptWebSocket()
            socket?.onText = { [unowned self] in received($0) }
        }
    }

    var hellos: [DroneHello] {
        messages.compactMap { if case .hello(let hello) = $0 { hello } else { nil } }
    }

    /// The states that were reported of a backend, each once, in their order.
    func states(of backend: String) -> [BackendState] {
        var states: [BackendState] = []
        for case .state(backend, _, let state) in messages where !states.contains(state) { states.append(state) }
        return states
    }

    /// The numbers of connects with which a backend's sweep was asked for.
    func sweeps(of backend: String) -> [Int64] {
        messages.compactMap { if case .sweep(backend, let connects) = $0 { connects } else { nil } }
    }

    /// What was last told of a backend's traffic.
    func traffic(of backend: String) -> BackendTraffic? {
        messages.reversed().lazy.compactMap { message -> BackendTraffic? in
            guard case .traffic(let all) = message else { return nil }
            return all.first { $0.backend == backend }
        }.first
    }

    func send(_ message: ControllerMessage) {
        guard let bytes = try? JSONEncoder().encode(message) else { return }
        socket?.send(String(decoding: bytes, as: UTF8.self))
    }

    /// Loses the connection.
    func cut() {
        socket?.close(.goingAway)
        socket = nil
    }

    /// As a controller that is killed: nobody listens there any more.
    func die() {
        server.close(grace: .zero)
        socket = nil
    }

    private func received(_ text: String) {
        guard let message = try? JSONDecoder().decode(DroneMessage.self, from: Data(text.utf8)) else { return }
        messages.append(message)
        switch message {
        case .hello(let hello):
            if silent.contains(.hello) { break }
            let kept = keep ?? hello.backends.map(\.backend)
            send(.welcome(controller: "co-test", session: session, lease: lease, keep: kept))
        case .renew(let sequence): if !silent.contains(.renewals) { send(.renewed(sequence: sequence)) }
        case .state(let backend, _, let state):
            if !silent.contains(.states) { send(.stateSaved(backend: backend, status: known ?? state.status)) }
        case .sweep(let backend, _):
            if !silent.contains(.sweeps) { send(.terminate(backend: backend, kind: .soft, reason: .swept)) }
        case .routeRequest, .traffic: break
        }
        onChange()
    }
}

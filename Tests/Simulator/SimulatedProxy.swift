import Drone
import Linux
import Model
import Proxy

/// The drone's proxy as far as routing goes: the commands of the real one, the fence of the real one, and requests that it
/// relays at once or refuses.
final class SimulatedProxy {
    private struct Backend {
        var gate = BackendGate.starting
        let activity: BackendActivity
        var isFenced = false
    }

    private let machine: Machine
    private let process: SimulatedProcess
    private var backends: [String: Backend] = [:]
    private var routes: [String: Route] = [:]
    /// Tokens of which this drone process was told that they are revoked.
    private var revoked: Set<String> = []
    var onEvent: ((ProxyEvent) -> Void)?
    /// Whether its threads run.
    var runs: () -> Bool = { false }
    private var world: World { machine.site.world }

    init(_ machine: Machine, _ process: SimulatedProcess) {
        self.machine = machine
        self.process = process
    }

    var port: ProxyPort {
        ProxyPort(send: { [unowned self] in take($0) }, giveSockets: { _, _, _ in })
    }

    /// Tokens that lead somewhere.
    func leads(_ token: String) -> Bool { routes[token] != nil }

    var backendCount: Int { backends.count }

    private func take(_ command: ProxyCommand) {
        switch command {
        case .addBackend(let id, let activity):
            if backends[id] == nil { backends[id] = Backend(activity: activity) }
        case .setGate(let id, let gate): backends[id]?.gate = gate
        case .removeBackend(let id):
            backends[id] = nil
            routes = routes.filter { $0.value.backend != id }
        case .setRoute(let route):
            routes[route.token] = route
            if revoked.contains(route.token) {
                world.violated(.revokedStaysRevoked, "\(machine.drone) has a route again for a token revoked before")
            }
        case .removeRoute(let token): routes[token] = nil
        case .cutToken(let token): routes[token] = nil
        case .routeUnknown, .setReadiness, .drain: break
        }
    }

    /// The drone was told, and has done what it does about it.
    func wasTold(ofRevoked tokens: [String]) {
        for token in tokens {
            revoked.insert(token)
            if routes[token] != nil {
                world.violated(
                    .revokedStaysRevoked, "\(machine.drone) was told of a revoked token and still has its route")
            }
        }
    }

    /// What becomes of a client's request.
    enum Outcome {
        case relayed
        case held
        case refused
    }

    /// A request with a token comes, or another byte of an old one.
    func request(_ token: String) -> Outcome {
        guard runs(), !machine.isAsleep else { return .held }
        guard let route = routes[token] else {
            process.deliver { [weak self] in self?.onEvent?(.needRoute(token: token)) }
            return .held
        }
        guard route.expiresAtNanoseconds > process.now.nanoseconds, let backend = backends[route.backend] else {
            return .refused
        }
        let isOver = backend.isFenced || backend.activity.leaseDeadline <= process.now.nanoseconds
        if isOver, !world.has(.noLeaseFence) {
            backends[route.backend]?.isFenced = true
            return .refused
        }
        guard case .ready = backend.gate else { return .refused }
        machine.site.checks.relayed(route.backend, on: machine)
        world.counts.requestsRelayed += 1
        return .relayed
    }
}

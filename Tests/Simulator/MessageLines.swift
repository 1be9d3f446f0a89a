import Model

extension DroneMessage {
    private static func list(_ items: [String]) -> String { items.joined(separator: ", ") }

    /// What it says, in a line.
    var line: String {
        switch self {
        case .hello(let hello):
            "hello of \(hello.machine) with [\(Self.list(hello.backends.map { "\($0.backend.suffix(4)) \($0.state.status)" }))]"
        case .renew(let sequence): "renew \(sequence)"
        case .state(let backend, let token, let state):
            "\(backend.suffix(4)) (token \(token)) is \(state.status)\(state.endReason.map { ", \($0)" } ?? "")"
        case .sweep(let backend, let connects): "may \(backend.suffix(4)) be swept? connects \(connects)"
        case .routeRequest(let token): "where does \(token.prefix(4)) lead?"
        case .traffic(let traffic): "traffic of \(traffic.count)"
        }
    }
}

extension ControllerMessage {
    /// What it says, in a line.
    var line: String {
        switch self {
        case .welcome(let controller, let session, _, let keep):
            "welcome of \(controller.suffix(4)), session \(session), keep "
                + "[\(keep.map { $0.suffix(4) }.joined(separator: ", "))]"
        case .renewed(let sequence): "renewed \(sequence)"
        case .spawn(let order):
            "spawn \(order.backend.suffix(4)), key \(order.keyName), token \(order.fencingToken), session \(order.session)"
        case .terminate(let backend, let kind, let reason): "terminate \(backend.suffix(4)) \(kind), \(reason)"
        case .inUse(let backend, let connects): "\(backend.suffix(4)) is in use, connects \(connects)"
        case .route(let grant): "route \(grant.token.prefix(4)) to \(grant.backend.suffix(4))"
        case .routeAnswer(let token, let grant):
            "\(token.prefix(4)) leads to \(grant.map { $0.backend.suffix(4) } ?? "nothing")"
        case .revoke(let tokens): "revoke [\(tokens.map { $0.prefix(4) }.joined(separator: ", "))]"
        case .stateSaved(let backend, let status): "saved: \(backend.suffix(4)) \(status)"
        }
    }
}

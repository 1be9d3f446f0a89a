import Linux
import Synchronization

/// How far a backend is, as far as requests are concerned.
public enum BackendGate: Sendable, Equatable {
    /// Requests are held until it is known how the start ends.
    case starting
    /// It answers on 127.0.0.1 at this port of its network namespace.
    case ready(port: UInt16)
    /// It has ended; the reason is a sentence for a person. Requests get 503 with it, open connections are cut.
    case gone(reason: String)
}

/// Whether `/ready` says that this proxy may be sent requests.
public enum ProxyReadiness: Sendable {
    /// 200
    case ready
    /// 503
    case notReady
}

/// What the owner tells the proxy. All threads get every command but sockets, in the order of sending.
public enum ProxyCommand: Sendable {
    /// Makes a backend known, as `starting`. Must precede its gate, its routes and its sockets.
    case addBackend(id: String, BackendActivity)
    /// Moves a backend on: wakes its held requests, or cuts its connections.
    case setGate(backend: String, BackendGate)
    /// Forgets a backend with its routes, cuts its connections and closes its unused sockets, which would keep its network
    /// namespace alive.
    case removeBackend(id: String)
    /// Adds or replaces the route of a token and wakes the requests that wait for it.
    case setRoute(Route)
    /// The token is to lead nowhere from now on. Running requests go on.
    case removeRoute(token: String)
    /// The token was revoked: it leads nowhere from now on, and every open connection whose present or last request came by
    /// it is cut. A token that is not known changes nothing.
    case cutToken(String)
    /// Nobody knows this token: waiting requests get 410, and the answer is kept for a second.
    case routeUnknown(token: String)
    /// What `/ready` answers; `notReady` at the start.
    case setReadiness(ProxyReadiness)
    /// Stops accepting and closes connections as their requests end. Tunnels stay until the stop.
    case drain
}

/// What the proxy needs from its owner.
public enum ProxyEvent: Sendable, Equatable {
    /// A request came for a token that is not known here. Answer with `setRoute` or `routeUnknown`.
    case needRoute(token: String)
    /// A thread runs low on sockets of a ready backend. Answer with ``Proxy/giveSockets(_:backend:thread:)``.
    case needSockets(backend: String, thread: Int, count: Int)
}

/// What reaches a thread from outside.
enum ThreadMessage: Sendable {
    case command(ProxyCommand)
    case sockets(backend: String, [Int32])
    case stop
}

/// A thread's mailbox.
final class Inbox: Sendable {
    private struct Contents: ~Copyable {
        let wakeup: EventDescriptor
        var messages: [ThreadMessage] = []
    }

    private let contents: Mutex<Contents>
    /// Readable while messages wait.
    let descriptor: Int32

    init() throws(SystemError) {
        let wakeup = try EventDescriptor()
        descriptor = wakeup.raw
        contents = Mutex(Contents(wakeup: wakeup))
    }

    func post(_ message: ThreadMessage) {
        contents.withLock { contents in
            contents.messages.append(message)
            if contents.messages.count == 1 { contents.wakeup.wake() }
        }
    }

    func take() -> [ThreadMessage] {
        contents.withLock { contents in
            contents.wakeup.drain()
            let messages = contents.messages
            contents.messages = []
            return messages
        }
    }
}

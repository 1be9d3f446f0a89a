import Glibc
import Linux
import Synchronization

@testable import HTTP
@testable import Proxy

/// A proxy with an owner that answers its questions: routes from a table, sockets of the host's own namespace.
final class TestSite: Sendable {
    let proxy: Proxy
    let activity = Mutex<[String: BackendActivity]>([:])
    private let events: Mailbox<ProxyEvent>
    private let routes = Mutex<[String: Route]>([:])
    private let asked = Mutex<[String]>([])
    private let answering = Atomic<Bool>(true)
    private let givesSockets = Atomic<Bool>(true)
    private let stopPipe: (reading: Int32, writing: Int32)
    private let owner = Mutex<pthread_t?>(nil)

    init(
        threadCount: Int = 1, deadlines: ProxyDeadlines = ProxyDeadlines(), rootRedirect: String? = nil,
        connectionLimit: Int = 1024
    ) throws {
        events = try Mailbox<ProxyEvent>()
        proxy = try Proxy(
            ProxyConfiguration(
                address: .loopback(0), threadCount: threadCount, connectionLimit: connectionLimit,
                serverName: "Plane/test", rootRedirect: rootRedirect, deadlines: deadlines),
            events: events)
        stopPipe = try Pipe().split()
        proxy.send(.setReadiness(.ready))
        let thread = startThread { [self] in serveEvents() }
        owner.withLock { $0 = thread }
    }

    /// Tokens that were asked for.
    var questions: [String] { asked.withLock { $0 } }

    /// From now on sockets are not handed out.
    func withholdSockets() { givesSockets.store(false, ordering: .sequentiallyConsistent) }

    /// From now on questions stay unanswered.
    func stopAnswering() { answering.store(false, ordering: .sequentiallyConsistent) }

    private func serveEvents() {
        var watched = [
            pollfd(fd: events.rawDescriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: stopPipe.reading, events: Int16(POLLIN), revents: 0),
        ]
        while true {
            _ = poll(&watched, 2, -1)
            if watched[1].revents != 0 { return }
            for event in events.takeAll() { answer(event) }
        }
    }

    private func answer(_ event: ProxyEvent) {
        switch event {
        case .needRoute(let token):
            asked.withLock { $0.append(token) }
            guard answering.load(ordering: .sequentiallyConsistent) else { return }
            if let route = routes.withLock({ $0[token] }) {
                proxy.send(.setRoute(route))
            } else {
                proxy.send(.routeUnknown(token: token))
            }
        case .needSockets(let backend, let thread, let count):
            guard givesSockets.load(ordering: .sequentiallyConsistent) else { return }
            let sockets = (0..<count).compactMap { _ in try? Socket.tcp().release() }
            proxy.giveSockets(sockets, backend: backend, thread: thread)
        }
    }

    /// Makes a backend known under its id, ready if a port is given.
    func add(_ backend: String, port: UInt16?, leaseDeadline: UInt64 = .max) {
        let counters = BackendActivity()
        counters.leaseDeadline = leaseDeadline
        activity.withLock { $0[backend] = counters }
        proxy.send(.addBackend(id: backend, counters))
        if let port { proxy.send(.setGate(backend: backend, .ready(port: port))) }
    }

    /// Moves a backend's lease without telling the threads, as an owner that is stopped right after.
    func setLease(_ backend: String, until deadline: UInt64) {
        activity.withLock { $0[backend]?.leaseDeadline = deadline }
    }

    func active(_ backend: String) -> Int { activity.withLock { $0[backend]?.active ?? -1 } }

    /// Makes a route known; the proxy asks for it at its first use.
    func route(
        _ token: String, to backend: String, kind: Route.Kind = .dynamic, cluster: String = "localhost:9090",
        subdomain: String? = nil, expiresAt: UInt64 = .max,
        identity: Route.Identity = Route.Identity(secret: "sesame")
    ) throws {
        let route = try Route(
            token: token, backend: backend, kind: kind, cluster: cluster, subdomain: subdomain,
            expiresAtNanoseconds: expiresAt, identity: identity)
        routes.withLock { $0[token] = route }
    }

    /// The owner forgets a token, so that a question about it is answered with no.
    func unroute(_ token: String) { routes.withLock { $0[token] = nil } }

    func client() -> RawSocket { RawSocket.connect(proxy.address) }

    /// One request on a connection of its own.
    func exchange(_ request: String, method: String = "GET") -> RawSocket.Response? {
        let client = client()
        client.send(request)
        return client.readResponse(to: method)
    }

    func stop() {
        close(stopPipe.writing)
        if let thread = owner.withLock({ $0 }) { pthread_join(thread, nil) }
        close(stopPipe.reading)
        proxy.stop()
    }

    /// Looks again and again until something holds, for at most ten seconds.
    func eventually(_ condition: () -> Bool) -> Bool {
        for _ in 0..<10_000 {
            if condition() { return true }
            usleep(1000)
        }
        return condition()
    }
}

/// A GET with the Host that routes accept.
func get(_ target: String, _ fields: String = "") -> String {
    "GET \(target) HTTP/1.1\r\nHost: localhost:9090\r\n\(fields)\r\n"
}

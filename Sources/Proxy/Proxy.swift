import CLinux
import Glibc
public import HTTP
public import Linux

/// The data path: accepts clients, finds the backend that a request's token names, and relays.
///
/// Every thread has its own listener on the shared port, its own connections and its own copy of the routes. The owner
/// feeds it with commands and answers its events; requests that need something from the owner wait meanwhile.
public final class Proxy: Sendable {
    /// Where it listens, with the port that the kernel chose if 0 was asked for.
    public let address: SocketAddress
    private let inboxes: [Inbox]
    private let counters: [ThreadCounters]
    private let threads: [pthread_t]

    /// Binds and starts the threads. Ignores SIGPIPE in the whole process: splice(2) cannot be told not to raise it.
    /// - Parameter events: what the proxy needs; to be attached to the owner's loop.
    /// - Throws: what socket(2), bind(2) or listen(2) say, for example that the port is taken.
    public init(_ configuration: ProxyConfiguration, events: Mailbox<ProxyEvent>) throws(SystemError) {
        precondition((1...64).contains(configuration.threadCount), "1 to 64 proxy threads")
        Signals.ignoreBrokenPipe()
        var address = configuration.address
        var inboxes: [Inbox] = []
        var counters: [ThreadCounters] = []
        var boxes: [ThreadBox] = []
        for number in 0..<configuration.threadCount {
            let listener = try Socket.tcpListener(
                address, backlog: 4096, sharing: configuration.threadCount > 1 ? .shared : .exclusive)
            address = SocketAddress(host: address.host, port: try Socket.localPort(listener.raw))
            Proxy.prepare(listener.raw, configuration.deadlines)
            let inbox = try Inbox()
            let counter = ThreadCounters()
            let thread = try ProxyThread(
                configuration, number: number, listener: listener, inbox: inbox, events: events, counters: counter)
            boxes.append(ThreadBox(thread))
            inboxes.append(inbox)
            counters.append(counter)
        }
        self.address = address
        self.inboxes = inboxes
        self.counters = counters
        threads = try boxes.map { box throws(SystemError) in try box.start() }
    }

    /// Accepted sockets inherit these, so that a connection costs no setsockopt(2).
    private static func prepare(_ listener: Int32, _ deadlines: ProxyDeadlines) {
        Socket.setNoDelay(listener)
        Socket.setKeepAlive(listener, idle: .seconds(30), timeout: deadlines.deadPeer)
        // A connection is reported when its first bytes are there; one that sends none, after a second.
        _ = plane_setsockopt_int(listener, Int32(IPPROTO_TCP), TCP_DEFER_ACCEPT, 1)
    }

    /// How many threads there are; they are numbered from 0 in events.
    public var threadCount: Int { inboxes.count }

    /// Tells all threads. Safe from any thread; never waits.
    public func send(_ command: ProxyCommand) {
        for inbox in inboxes { inbox.post(.command(command)) }
    }

    /// Hands over unconnected, nonblocking TCP sockets born in a backend's network namespace, as `needSockets` asked for.
    /// Their ownership passes with the call; what cannot be used is closed.
    public func giveSockets(_ descriptors: [Int32], backend: String, thread: Int) {
        inboxes[thread].post(.sockets(backend: backend, descriptors))
    }

    /// The sums of all threads' counters.
    public var totals: ProxyTotals {
        var totals = ProxyTotals()
        for counter in counters { counter.add(to: &totals) }
        return totals
    }

    /// Closes all connections and waits for the threads to end. To be called once, at last.
    public func stop() {
        for inbox in inboxes { inbox.post(.stop) }
        for thread in threads { pthread_join(thread, nil) }
    }
}

/// Carries a thread's state to the thread.
private final class ThreadBox {
    private var thread: ProxyThread

    init(_ thread: consuming ProxyThread) { self.thread = thread }

    func start() throws(SystemError) -> pthread_t {
        var handle = pthread_t()
        let argument = Unmanaged.passRetained(self)
        let code = pthread_create(
            &handle, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<ThreadBox>.fromOpaque(argument).takeRetainedValue().thread.run()
                return nil
            }, argument.toOpaque())
        if code != 0 {
            argument.release()
            throw SystemError(code, "pthread_create")
        }
        return handle
    }
}

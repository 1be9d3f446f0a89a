import CLinux
import Glibc
import HTTP
import Linux
import Synchronization

typealias ConnectionPointer = UnsafeMutablePointer<Connection>

/// One event loop with all that belongs to it. Nothing in it is shared with another thread but the mailbox, the event
/// queue and the counters; a connection stays here from accept to close.
struct ProxyThread: ~Copyable {
    let configuration: ProxyConfiguration
    let number: Int
    let inbox: Inbox
    let events: Mailbox<ProxyEvent>
    let counters: ThreadCounters
    let epoll: Epoll
    let responseFields: [UInt8]

    /// Owned; -1 once closed.
    var listener: Int32
    var accepting = Accepting.running
    var stage = Stage.serving
    var readiness = ProxyReadiness.notReady

    var slab: ConnectionSlab
    var deadlines: DeadlineQueues
    var buffers = BufferPool()
    var pipes: PipePool
    var routes = RouteTable()
    var backends: [String: UnsafeMutablePointer<BackendRecord>] = [:]
    var routeWaiters = ListHead()
    /// When the first lease may be over, as far as was known at the last look; never later than that.
    var nextLeaseLook = UInt64.max

    /// Of this turn of the loop, CLOCK_BOOTTIME nanoseconds.
    var now: UInt64 = 0
    /// What is being relayed belongs to this backend.
    var relayedFor: UnsafeMutablePointer<BackendActivity.Cells>?
    /// Of the head at hand. Behind pointers, because a layout is a kilobyte that must not be copied to be looked at.
    let requestLayout: UnsafeMutablePointer<RequestLayout>
    let responseLayout: UnsafeMutablePointer<ResponseLayout>
    let relayBuffer: UnsafeMutableRawBufferPointer
    /// Where heads are composed. Not longer than a pooled buffer, which must hold what a socket does not take of it.
    let composeBuffer: UnsafeMutableRawBufferPointer
    private let eventBuffer: UnsafeMutableBufferPointer<epoll_event>

    /// Whether new connections are taken.
    enum Accepting {
        case running
        /// For want of descriptors: until this moment.
        case pausedUntil(UInt64)
        /// For want of slots: until a connection ends.
        case pausedForRoom
        case ended
    }

    /// How far the thread is in its life.
    enum Stage {
        case serving
        case draining
        case stopped
    }

    init(
        _ configuration: ProxyConfiguration, number: Int, listener: consuming Descriptor, inbox: Inbox,
        events: Mailbox<ProxyEvent>, counters: ThreadCounters
    ) throws(SystemError) {
        let epoll = try Epoll()
        try epoll.add(listener.raw, .readable, token: EventToken.listener.rawValue)
        try epoll.add(inbox.descriptor, .readable, token: EventToken.inbox.rawValue)
        self.configuration = configuration
        self.number = number
        self.inbox = inbox
        self.events = events
        self.counters = counters
        self.epoll = epoll
        self.listener = listener.release()
        slab = ConnectionSlab(capacity: max(1, configuration.connectionLimit / configuration.threadCount))
        deadlines = DeadlineQueues(configuration.deadlines)
        pipes = PipePool(limit: configuration.pipeLimit / configuration.threadCount)
        responseFields = Array("server: \(configuration.serverName)\r\n".utf8)
        relayBuffer = .allocate(byteCount: BufferPool.size, alignment: 4096)
        composeBuffer = .allocate(byteCount: BufferPool.size, alignment: 64)
        eventBuffer = .allocate(capacity: 256)
        requestLayout = .allocate(capacity: 1)
        requestLayout.initialize(to: RequestLayout())
        responseLayout = .allocate(capacity: 1)
        responseLayout.initialize(to: ResponseLayout())
    }

    deinit {
        if listener >= 0 { _ = close(listener) }
        relayBuffer.deallocate()
        composeBuffer.deallocate()
        eventBuffer.deallocate()
        requestLayout.deallocate()
        responseLayout.deallocate()
    }

    /// Serves until told to stop, then closes everything.
    mutating func run() {
        now = BootInstant.now.nanoseconds
        while stage != .stopped {
            let count = waitForEvents()
            now = BootInstant.now.nanoseconds
            // Before anything is relayed: this thread may have been stopped for longer than a lease.
            fenceLeases()
            for index in 0..<count {
                handle(EventToken(rawValue: eventBuffer[index].token), eventBuffer[index].interest)
            }
            expireDeadlines()
            resumeAcceptingIfDue()
            counters.cells.pointee.pipes.store(UInt64(pipes.count), ordering: .relaxed)
        }
        closeEverything()
    }

    private func waitForEvents() -> Int {
        do {
            return try epoll.wait(into: eventBuffer, timeoutMilliseconds: timeout())
        } catch {
            // epoll_wait(2) fails for bad arguments only.
            preconditionFailure("\(error)")
        }
    }

    private func timeout() -> Int32 {
        var due = deadlines.next(slab)
        if case .pausedUntil(let moment) = accepting { due = min(due, moment) }
        due = min(due, nextLeaseLook)
        if due == .max { return -1 }
        let wait = due > now ? due - now : 0
        return Int32(clamping: (wait + 999_999) / 1_000_000)
    }

    private mutating func handle(_ token: EventToken, _ fired: Interest) {
        if token.isOwn {
            if token.rawValue == EventToken.inbox.rawValue { takeMessages() } else { acceptConnections() }
            return
        }
        // The connection may have ended, and its slot have a new tenant, by an earlier event of this turn.
        guard let connection = slab.connection(of: token) else { return }
        relayedFor = connection.pointee.backend?.pointee.counters
        if let backend = connection.pointee.backend, isLeaseOver(backend) { return fence(backend) }
        switch token.side {
        case .client: handleClient(connection, fired)
        case .upstream: handleUpstream(connection, fired)
        }
        guard slab.connection(of: token) != nil else { return }
        switch token.side {
        case .client:
            watch(connection, .client, fired: fired)
            watch(connection, .upstream, fired: [])
        case .upstream:
            watch(connection, .upstream, fired: fired)
            watch(connection, .client, fired: [])
        }
    }

    private mutating func handleClient(_ connection: ConnectionPointer, _ fired: Interest) {
        switch connection.pointee.phase {
        case .vacant: preconditionFailure("an event of a vacant slot passed the check of its generation")
        case .readingHead: readHead(connection)
        case .waitingRoute, .waitingStart, .waitingSocket:
            if fired.contains(.error) { closeConnection(connection) }
        case .exchanging: exchangeClientEvent(connection, fired)
        case .tunnelling: tunnelEvent(connection, .client, fired)
        case .flushing: flush(connection)
        case .lingering: lingerOn(connection)
        }
    }

    private mutating func handleUpstream(_ connection: ConnectionPointer, _ fired: Interest) {
        switch connection.pointee.phase {
        case .vacant: preconditionFailure("an event of a vacant slot passed the check of its generation")
        case .readingHead, .waitingRoute, .waitingStart, .waitingSocket, .flushing, .lingering:
            // Between requests a backend has nothing to say: it has closed, or it must not be trusted with the next one.
            closeUpstream(connection)
            leaveBackendIfUnused(connection)
        case .exchanging: exchangeUpstreamEvent(connection, fired)
        case .tunnelling: tunnelEvent(connection, .upstream, fired)
        }
    }

    func countCopied(_ count: Int) {
        counters.cells.pointee.bytesCopied.increase(by: UInt64(count))
        if let relayedFor { relayedFor.pointee.bytesCopied.wrappingAdd(UInt64(count), ordering: .relaxed) }
    }

    func countSpliced(_ count: Int) {
        counters.cells.pointee.bytesSpliced.increase(by: UInt64(count))
        if let relayedFor { relayedFor.pointee.bytesSpliced.wrappingAdd(UInt64(count), ordering: .relaxed) }
    }

    private mutating func expireDeadlines() {
        while let connection = deadlines.due(now: now, slab) {
            settled(connection) { $0.expire(connection) }
        }
    }

    /// Does something to a connection outside of its own events, and then watches for what it needs next, if it still is.
    mutating func settled(_ connection: ConnectionPointer, _ body: (inout ProxyThread) -> Void) {
        let token = EventToken(
            generation: connection.pointee.generation, index: slab.index(of: connection), side: .client)
        relayedFor = connection.pointee.backend?.pointee.counters
        body(&self)
        guard slab.connection(of: token) != nil else { return }
        watch(connection, .client, fired: [])
        watch(connection, .upstream, fired: [])
    }

    private mutating func closeEverything() {
        for index in 0..<slab.indexLimit where slab[index].pointee.phase != .vacant { closeConnection(slab[index]) }
        for backend in Array(backends.values) { forget(backend) }
        for message in inbox.take() { closeSockets(of: message) }
        closeListener()
    }
}

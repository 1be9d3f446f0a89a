import Glibc
import Synchronization

/// Hears what other controllers change in the database that they share, on a thread and a connection of its own.
///
/// Notices are hints: whatever is decided, is decided by what is read. Some are lost whenever the connection is, which is
/// told as `.missed`; so is that it was made for the first time. A server that is gone without a word is noticed by asking
/// it after a time of silence.
public final class PostgresListener: Sendable {
    /// Written to when the thread shall end.
    private let wakeUp: Int32
    /// Locked so that two may stop it at a time.
    private let thread = Mutex(OwnedThread())

    /// Starts to listen. Returns at once: a server that cannot be reached is tried again, more and more seldom, until it
    /// can.
    ///
    /// - Parameters:
    ///   - url: of the database.
    ///   - reader: whose own notices are passed over: the `writer` of the same controller's store.
    ///   - hear: takes what came together; called on the listener's thread, never after `stop` has returned.
    public convenience init(
        url: PostgresURL, reader: String, hear: @escaping @Sendable ([StoreNotice]) -> Void
    ) throws(StoreError) {
        try self.init(url: url, reader: reader, limits: PostgresLimits(), hear: hear)
    }

    /// The same with other limits.
    package init(
        url: PostgresURL, reader: String, limits: PostgresLimits, hear: @escaping @Sendable ([StoreNotice]) -> Void
    ) throws(StoreError) {
        var ends: [Int32] = [-1, -1]
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else {
            throw StoreError(.other, message: "cannot make the listener's socket: \(String(cString: strerror(errno)))")
        }
        wakeUp = ends[1]
        let ear = PostgresEar(url: url, reader: reader, limits: limits, stop: ends[0], hear: hear)
        do throws(StoreError) {
            try thread.withLock { thread throws(StoreError) in
                try thread.start(named: "plane-listener") { ear.listen() }
            }
        } catch {
            close(ends[1])
            throw error
        }
    }

    deinit {
        stop()
        close(wakeUp)
    }

    /// Ends the thread, whatever it waits for. The second call returns at once.
    public func stop() {
        var byte: UInt8 = 0
        // It fails only when the socket is full, and the thread will see that too.
        _ = send(wakeUp, &byte, 1, Int32(MSG_NOSIGNAL))
        thread.withLock { $0.join() }
    }
}

/// The listener's thread.
private final class PostgresEar: Sendable {
    private let url: PostgresURL
    private let reader: String
    private let limits: PostgresLimits
    /// Readable when the thread shall end; closed with this.
    private let stop: Int32
    private let hear: @Sendable ([StoreNotice]) -> Void

    init(
        url: PostgresURL, reader: String, limits: PostgresLimits, stop: Int32,
        hear: @escaping @Sendable ([StoreNotice]) -> Void
    ) {
        self.url = url
        self.reader = reader
        self.limits = limits
        self.stop = stop
        self.hear = hear
    }

    deinit { close(stop) }

    /// Runs until it is told to stop.
    func listen() {
        var pause = limits.pause
        while true {
            // Whatever breaks the connection has the same cure; jobs of the store say why.
            if let connection = try? connect() {
                pause = limits.pause
                guard (try? listen(on: connection)) == nil else { return }
            }
            if MonotonicTime.wait(for: Int16(POLLIN), on: stop, until: MonotonicTime.now + pause) { return }
            pause = min(2 * pause, 10 * limits.pause)
        }
    }

    private func connect() throws(StoreError) -> PostgresConnection {
        var limits = limits
        limits.answer = limits.ping
        let connection = try PostgresConnection.open(url, limits, interrupt: stop)
        _ = try connection.run("LISTEN \(PostgresNotices.channel)")
        // What came before is not heard any more.
        hear([.missed])
        return connection
    }

    /// Returns when it shall stop. - Throws: when the connection is lost.
    private func listen(on connection: PostgresConnection) throws(StoreError) {
        while true {
            let payloads = try connection.takeNotices()
            let notices = payloads.flatMap { PostgresNotices.parse($0, for: reader) }
            if !notices.isEmpty { hear(notices) }
            var waited = [
                pollfd(fd: stop, events: Int16(POLLIN), revents: 0),
                pollfd(fd: connection.descriptor, events: Int16(POLLIN), revents: 0),
            ]
            let count = poll(&waited, 2, Int32(clamping: limits.ping))
            if waited[0].revents != 0 { return }
            if count == 0 { _ = try connection.run("SELECT 1") }
        }
    }
}

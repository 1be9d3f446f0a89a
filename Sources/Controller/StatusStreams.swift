import HTTP
package import Model
package import Store

/// Whoever follows a backend's states.
package protocol StatusListener: AnyObject {
    /// A state is durable.
    func send(_ line: HistoryRow)
    /// Nothing has happened for a while.
    func keepAlive()
    /// Nothing can follow any more.
    func finish()
}

/// The open `status-stream`s: replay, then every state as it becomes durable.
///
/// A stream ends after `terminated`: nothing can follow. The reference's never ends, and leaves a connection per
/// viewer of every dead backend.
package final class StatusStreams {
    private final class Subscriber {
        let number: UInt64
        let listener: any StatusListener
        /// The furthest state that it was sent, or has from before.
        private var last: BackendStatus?

        init(_ number: UInt64, _ listener: any StatusListener, after last: BackendStatus?) {
            self.number = number
            self.listener = listener
            self.last = last
        }

        func send(_ line: HistoryRow) {
            let status = line.state.status
            if let last, status <= last { return }
            last = status
            listener.send(line)
            if status == .terminated { listener.finish() }
        }
    }

    private unowned let controller: Controller
    private var subscribers: [BackendID: [Subscriber]] = [:]
    private var lastNumber: UInt64 = 0

    init(_ controller: Controller) { self.controller = controller }

    func start() { keepAlive() }

    /// Names one listener for as long as it listens.
    package struct Subscription: Hashable, Sendable {
        fileprivate let backend: BackendID
        fileprivate let number: UInt64
    }

    /// Begins a stream with what is known, to be called from inside the completion of the job that read it: completions
    /// come in the order of their jobs, so a state that is not in `lines` is published after this.
    /// - Parameters:
    ///   - lines: the history until now.
    ///   - last: states up to it are not sent again.
    package func add(
        _ listener: any StatusListener, to backend: BackendID, _ lines: [HistoryRow], after last: BackendStatus?
    ) -> Subscription {
        lastNumber += 1
        let subscriber = Subscriber(lastNumber, listener, after: last)
        subscribers[backend, default: []].append(subscriber)
        for line in lines { subscriber.send(line) }
        return Subscription(backend: backend, number: lastNumber)
    }

    /// Ends a stream's listening. Twice does nothing.
    package func remove(_ subscription: Subscription) {
        subscribers[subscription.backend]?.removeAll { $0.number == subscription.number }
        if subscribers[subscription.backend]?.isEmpty == true { subscribers[subscription.backend] = nil }
    }

    /// A state is durable. One that is not further than the last is passed over.
    func publish(_ line: HistoryRow, of backend: BackendID) {
        for subscriber in subscribers[backend] ?? [] { subscriber.send(line) }
    }

    /// Backends that somebody follows.
    var watched: [BackendID] { Array(subscribers.keys) }

    private func keepAlive() {
        controller.after(ControllerConfiguration.keepAliveInterval) { [weak self] in
            guard let self else { return }
            for subscriber in subscribers.values.flatMap(\.self).sorted(by: { $0.number < $1.number }) {
                subscriber.listener.keepAlive()
            }
            keepAlive()
        }
    }
}

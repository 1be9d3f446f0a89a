import HTTP
import Model
import Store

/// The open `status-stream`s: replay, then every state as it becomes durable.
///
/// A stream ends after `terminated`: nothing can follow. The reference's never ends, and leaves a connection per
/// viewer of every dead backend. A client that comes back with `Last-Event-ID: terminated` is answered 204, which tells
/// an EventSource not to come again (HTML Standard, section 9.2.3). An unknown backend is 404 and not, as there, a
/// stream on which nothing ever comes.
final class StatusStreams {
    private final class Subscriber {
        let writer: StreamWriter
        var last: BackendStatus?

        init(_ writer: StreamWriter, last: BackendStatus?) {
            self.writer = writer
            self.last = last
        }
    }

    private unowned let controller: Controller
    private var subscribers: [BackendID: [ObjectIdentifier: Subscriber]] = [:]

    init(_ controller: Controller) {
        self.controller = controller
        keepAlive()
    }

    /// Answers a request for a stream. - Parameter last: of `Last-Event-ID`; states up to it are not sent again.
    func open(_ backend: BackendID, after last: BackendStatus?, _ caller: Caller) {
        controller.store.perform({ store throws(StoreError) -> [HistoryRow] in
            try store.history(of: backend, after: 0)
        }) { [self] result in
            switch result {
            case .failure(let error): caller.refuse(error)
            case .success(let lines) where lines.isEmpty:
                caller.refuse(.noBackend(backend.text))
            case .success(let lines):
                if last == .terminated, lines.last?.state.status == .terminated {
                    caller.answer(Response(status: 204))
                } else {
                    start(backend, lines, after: last, caller)
                }
            }
        }
    }

    /// No state falls between replay and what follows: completions of the store come in the order of their jobs, so a
    /// state that is not in `lines` is published after this.
    private func start(_ backend: BackendID, _ lines: [HistoryRow], after last: BackendStatus?, _ caller: Caller) {
        let key = Key()
        let head = Response(
            status: 200, fields: ["content-type": "text/event-stream", "cache-control": "no-store"])
        let writer = caller.stream(head) { [weak self] in
            self?.forget(backend, ObjectIdentifier(key))
        }
        guard writer.isOpen else { return }
        let subscriber = Subscriber(writer, last: last)
        subscribers[backend, default: [:]][ObjectIdentifier(key)] = subscriber
        for line in lines { send(line, to: subscriber) }
    }

    /// Identifies a stream for as long as its end may be told.
    private final class Key {}

    /// A state is durable.
    func publish(_ line: HistoryRow, of backend: BackendID) {
        for subscriber in (subscribers[backend] ?? [:]).values { send(line, to: subscriber) }
    }

    private func send(_ line: HistoryRow, to subscriber: Subscriber) {
        let status = line.state.status
        if let last = subscriber.last, status <= last { return }
        subscriber.last = status
        subscriber.writer.send(ServerSentEvent(id: status.rawValue, data: JSONText.text(of: line.entry)))
        if status == .terminated { subscriber.writer.close() }
    }

    private func forget(_ backend: BackendID, _ key: ObjectIdentifier) {
        subscribers[backend]?[key] = nil
        if subscribers[backend]?.isEmpty == true { subscribers[backend] = nil }
    }

    private func keepAlive() {
        controller.loop.schedule(after: ControllerConfiguration.keepAliveInterval) { [weak self] in
            guard let self else { return }
            for streams in Array(subscribers.values) {
                for subscriber in Array(streams.values) { subscriber.writer.sendKeepAlive() }
            }
            keepAlive()
        }
    }
}

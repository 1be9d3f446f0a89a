import HTTP
import Model
import Store

/// A status stream over HTTP, as server-sent events.
final class StatusStreamResponse: StatusListener {
    private var writer: StreamWriter?

    /// Answers with a stream that begins with what is known.
    static func start(
        _ streams: StatusStreams, _ backend: BackendID, _ lines: [HistoryRow], after last: BackendStatus?,
        _ caller: Caller
    ) {
        let response = StatusStreamResponse()
        var subscription: StatusStreams.Subscription?
        let head = Response(
            status: 200, fields: ["content-type": "text/event-stream", "cache-control": "no-store"])
        let writer = caller.stream(head) { [weak streams] in
            if let subscription { streams?.remove(subscription) }
        }
        guard writer.isOpen else { return }
        response.writer = writer
        subscription = streams.add(response, to: backend, lines, after: last)
        // What was sent may have ended the stream already, when nothing was there to be removed yet.
        if !writer.isOpen, let subscription { streams.remove(subscription) }
    }

    func send(_ line: HistoryRow) {
        writer?.send(ServerSentEvent(id: line.state.status.rawValue, data: JSONText.text(of: line.entry)))
    }

    func keepAlive() { writer?.sendKeepAlive() }

    func finish() { writer?.close() }
}

import Glibc
import HTTP
import Linux

/// One attempt to find out whether a backend's port speaks HTTP: connect, `HEAD /`, and five bytes of the answer.
/// Any status will do; what counts is that something answers.
final class ReadinessProbe {
    /// What came of it.
    enum Outcome: Equatable {
        /// It answered `HTTP/`.
        case answered
        /// It did not; the rest of a sentence that begins with "at the last attempt".
        case failed(String)
    }

    private let loop: EventLoop
    private let socket: OwnedDescriptor
    private var onOutcome: ((Outcome) -> Void)?
    private var registration: EventLoop.Registration?
    private var timer: TimerToken?
    private var answer: [UInt8] = []
    private var isSent = false

    /// How long one attempt may take, connect included. The reference's connect has no bound.
    static let limit = Duration.seconds(1)
    private static let request = Array("HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".utf8)
    private static let expected = Array("HTTP/".utf8)

    /// Starts at once.
    /// - Parameters:
    ///   - socket: a TCP socket born in the backend's network namespace.
    ///   - onOutcome: called once on the loop's thread, never from in here; not at all after `cancel`.
    init(
        _ socket: OwnedDescriptor, to address: SocketAddress, loop: EventLoop,
        onOutcome: @escaping (Outcome) -> Void
    ) {
        self.loop = loop
        self.socket = socket
        self.onOutcome = onOutcome
        timer = loop.schedule(after: Self.limit) { [weak self] in
            self?.finish(.failed("it did not answer within \(Self.limit.components.seconds) s"))
        }
        do throws(SystemError) {
            guard let raw = socket.raw else { throw SystemError(ENOTCONN, "connect") }
            // A socket from elsewhere may block, and a blocking connect would hold the whole drone up.
            try socket.setNonblocking()
            _ = try Socket.connect(raw, to: address)
            registration = try loop.add(raw, .writable) { [weak self] _ in self?.progress() }
        } catch {
            loop.post { [weak self] in self?.finish(.failed("connect failed: \(error)")) }
        }
    }

    deinit { cancel() }

    /// Ends it without an outcome.
    func cancel() {
        onOutcome = nil
        if let timer { loop.cancel(timer) }
        if let registration { loop.remove(registration) }
        timer = nil
        registration = nil
    }

    private func finish(_ outcome: Outcome) {
        let callback = onOutcome
        cancel()
        callback?(outcome)
    }

    private func progress() {
        guard let raw = socket.raw, let registration else { return }
        guard isSent else {
            let code = Socket.pendingError(raw)
            guard code == 0 else { return finish(.failed("connect failed: \(SystemError(code, "connect"))")) }
            let sent = Self.request.withUnsafeBytes {
                send(raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard sent == Self.request.count else { return finish(.failed("it took no request")) }
            isSent = true
            do throws(SystemError) { try loop.modify(registration, .readable) } catch {
                finish(.failed("\(error)"))
            }
            return
        }
        receive()
    }

    private func receive() {
        var chunk = [UInt8](repeating: 0, count: 64)
        guard let count = chunk.withUnsafeMutableBytes({ socket.read(into: $0) }) else { return }
        if count == 0 { return finish(.failed("it closed the connection without an HTTP answer")) }
        answer += chunk[..<count]
        let prefix = Array(answer.prefix(Self.expected.count))
        if prefix == Self.expected { return finish(.answered) }
        if !Self.expected.starts(with: prefix) { finish(.failed("its answer was not HTTP")) }
    }
}

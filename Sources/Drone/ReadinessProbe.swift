import Glibc
import HTTP
import Linux

/// One attempt to find out whether a backend is ready: connect, a request, and the beginning of the answer.
///
/// HEAD is asked with, and GET where HEAD is not taken. Where the policy names a path, its answer must have a status from 200 to 399; where it names none, any answer to
/// `HEAD /` will do: what counts is that something speaks HTTP.
final class ReadinessProbe {
    /// What came of it.
    enum Outcome: Equatable {
        /// It answered as it should.
        case answered
        /// It did not; the rest of a sentence that begins with "at the last attempt".
        case failed(String)
        /// It answered that it does not take HEAD; the same kind of sentence.
        case headRefused(String)
    }

    /// What is asked with.
    enum Method: String {
        /// First, for it costs the command least.
        case head = "HEAD"
        /// For a command that does not take HEAD.
        case get = "GET"
    }

    private let loop: EventLoop
    private let socket: OwnedDescriptor
    private var onOutcome: ((Outcome) -> Void)?
    private var registration: EventLoop.Registration?
    private var timer: TimerToken?
    private var answer: [UInt8] = []
    private var isSent = false
    /// What its answer must be.
    private let wanted: Wanted
    private let method: Method
    private let request: [UInt8]

    /// How long one attempt may take, connect included. The reference's connect has no bound.
    static let limit = Duration.seconds(1)
    private static let expected = Array("HTTP/".utf8)

    private enum Wanted {
        case anyAnswer
        /// A status from 200 to 399 for this path.
        case success(path: String)
    }

    /// Starts at once.
    /// - Parameters:
    ///   - socket: a TCP socket born in the backend's network namespace.
    ///   - path: what is asked for, as it stands in a request line; nil takes any answer to `/`.
    ///   - onOutcome: called once on the loop's thread, never from in here; not at all after `cancel`.
    init(
        _ socket: OwnedDescriptor, to address: SocketAddress, _ method: Method = .head, path: String?, loop: EventLoop,
        onOutcome: @escaping (Outcome) -> Void
    ) {
        wanted = path.map { .success(path: $0) } ?? .anyAnswer
        self.method = method
        request = Array(
            "\(method.rawValue) \(path ?? "/") HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".utf8)
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
            let sent = request.withUnsafeBytes {
                send(raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard sent == request.count else { return finish(.failed("it took no request")) }
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
        if !Self.expected.starts(with: prefix) { return finish(.failed("its answer was not HTTP")) }
        guard prefix == Self.expected else { return }
        switch wanted {
        case .anyAnswer: finish(.answered)
        case .success(let path): judgeStatus(of: path)
        }
    }

    /// `HTTP/1.1 200`: a version of three bytes, a space and three digits. RFC 9112 section 4.
    private func judgeStatus(of path: String) {
        guard answer.count >= 12 else { return }
        let digits = answer[9..<12]
        guard answer[8] == UInt8(ascii: " "), digits.allSatisfy((UInt8(ascii: "0")...UInt8(ascii: "9")).contains)
        else { return finish(.failed("its answer was not HTTP")) }
        let status = digits.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
        let problem = "\(method.rawValue) \(path) was answered with status \(status)"
        switch (method, status) {
        case (_, 200...399): finish(.answered)
        // Method not allowed, and not implemented. RFC 9110 sections 15.5.6 and 15.6.2.
        case (.head, 405), (.head, 501): finish(.headRefused(problem))
        case (_, _): finish(.failed(problem))
        }
    }
}

import Glibc
import HTTP
import Linux
import Model

/// Talks to the image python-repl over the WebSocket that its URL leads to.
struct ReplCommand: Subcommand {
    static let syntax = CommandSyntax(
        "repl", .words(1...1, "URL"),
        purpose: """
            type Python into a backend of the image python-repl

            URL is what plane connect printed. A line that ends with a colon begins a block, which an empty line ends.
            Ctrl-C interrupts what runs; Ctrl-D leaves, and the sandbox keeps its state while it lives.
            """,
        flags: [evaluate])

    private static let evaluate = Flag(
        "--evaluate", .value("CODE", default: nil), "evaluate this, print its output and value, and leave")

    private let url: HTTPURL
    private let source: ReplSession.Source

    init(_ arguments: Arguments) throws(UsageError) {
        do throws(HTTPURL.Malformed) {
            let given = try HTTPURL(arguments.operands[0])
            let path = given.path
            url = path.hasSuffix("/ws") ? given : given.replacingPath(path + (path.hasSuffix("/") ? "ws" : "/ws"))
        } catch {
            throw arguments.wrong("URL: \(error)")
        }
        source = arguments.text(Self.evaluate).map { .code($0) } ?? .standardInput
    }

    func run() throws -> Int32 {
        let loop = try EventLoop()
        let session = ReplSession(loop, url, source)
        try session.start()
        try loop.run()
        return try session.exitStatus()
    }
}

/// One conversation. JSON messages, one evaluation at a time; `Rootfs/python-repl/python_repl/session.py` is the other end.
final class ReplSession {
    enum Source {
        /// Evaluate this and leave.
        case code(String)
        /// Line by line.
        case standardInput
    }

    private let loop: EventLoop
    private let url: HTTPURL
    private let source: Source
    private var socket: WebSocketConnection?
    private var input = ReplInput()
    private var running: Int64?
    private var nextID: Int64 = 1
    private var hasFailed = false
    private var failure: CommandFailure?
    private let isTerminal = isatty(STDIN_FILENO) == 1
    private var reading: EventLoop.Registration?

    init(_ loop: EventLoop, _ url: HTTPURL, _ source: Source) {
        self.loop = loop
        self.url = url
        self.source = source
    }

    /// Opens the WebSocket. The first request of a backend waits until that is ready, hence the long deadline.
    func start() throws(SystemError) {
        try loop.onSignal([SIGINT]) { [self] _ in interrupt() }
        HTTPClient(loop: loop).webSocket(url, deadline: .seconds(330)) { [self] result in
            switch result {
            case .success(let socket): opened(socket)
            case .failure(let error): end(CommandFailure("\(error)"))
            }
        }
    }

    /// 0, or 1 when the code evaluated by `--evaluate` raised an exception.
    func exitStatus() throws -> Int32 {
        if let failure { throw failure }
        return hasFailed ? 1 : 0
    }

    private func opened(_ socket: WebSocketConnection) {
        self.socket = socket
        socket.onText = { [self] in received($0) }
        socket.onClose = { [self] end in self.end(CommandFailure("\(url) closed the connection. \(end)")) }
        switch source {
        case .code(let code): evaluate(code)
        case .standardInput: startReading()
        }
    }

    private func end(_ failure: CommandFailure?) {
        self.failure = self.failure ?? failure
        socket?.onClose = { [loop] _ in loop.stop() }
        if let socket, socket.isOpen { socket.close() } else { loop.stop() }
    }

    private func interrupt() {
        guard running != nil else { return end(nil) }
        send(["type": .string("interrupt")])
    }

    private func evaluate(_ code: String) {
        running = nextID
        send(["type": .string("evaluate"), "id": .integer(nextID), "code": .string(code)])
        nextID += 1
    }

    private func send(_ message: [String: JSONValue]) { socket?.send(JSONValue.object(message).text) }

    // MARK: Answers

    private func received(_ text: String) {
        do {
            var message = try JSONReader(JSONValue(parsing: Array(text.utf8)), path: "message")
            try show(&message)
        } catch {
            end(CommandFailure("\(url) speaks another protocol than python-repl's: \(error)"))
        }
    }

    private func show(_ message: inout JSONReader) throws(InvalidValue) {
        switch try message.string("type") {
        case "output":
            let text = try message.string("text") ?? ""
            if try message.string("stream") == "stderr" {
                StandardError.write(text)
            } else {
                StandardOutput.write(text)
            }
        case "result": StandardOutput.say(try message.string("value") ?? "")
        case "error": StandardError.write(try message.string("traceback") ?? "")
        case "refused":
            hasFailed = true
            StandardError.say("refused: \(try message.string("reason") ?? "")")
            evaluated()
        case "done":
            if try message.bool("ok") == false { hasFailed = true }
            evaluated()
        // A newer server may tell more than this one understands.
        case _: break
        }
    }

    private func evaluated() {
        running = nil
        switch source {
        case .code: end(nil)
        case .standardInput:
            hasFailed = false
            takeNext()
        }
    }

    // MARK: Typing

    private func startReading() {
        do throws(SystemError) {
            reading = try loop.add(STDIN_FILENO, .readable) { [self] _ in readInput() }
        } catch  where error.code == EPERM {
            // A regular file is always readable, and epoll does not take it.
            while !input.isAtEnd { readInput() }
        } catch {
            return end(CommandFailure("cannot read standard input: \(error)"))
        }
        takeNext()
    }

    private func readInput() {
        var buffer = [UInt8](repeating: 0, count: 16 * 1024)
        let count = read(STDIN_FILENO, &buffer, buffer.count)
        if count < 0, errno == EINTR || errno == EAGAIN { return }
        if count <= 0 {
            input.finish()
            if let reading { loop.remove(reading) }
        } else {
            input.append(buffer[..<count])
        }
        if running == nil { takeNext() }
    }

    private func takeNext() {
        guard socket != nil else { return }
        switch input.next() {
        case .code(let code): evaluate(code)
        case .wait(let prompt): if isTerminal { StandardError.write(prompt) }
        case .end:
            if isTerminal { StandardError.write("\n") }
            end(nil)
        }
    }
}

import Glibc
import HTTP
import Linux

/// The clients that a benchmark plays: each sends a connect on a connection of its own, and the next one when the answer
/// has come.
final class BenchClients {
    /// When to stop.
    enum Purpose {
        /// Each key once, in order.
        case untilEachIsHeld
        /// Keys drawn at random.
        case forTime(Duration)
    }

    /// What a phase came to.
    struct Result {
        let perSecond: Double
        /// From the request's sending to its answer's arrival, microseconds.
        let latencies: [Double]
    }

    private let loop: EventLoop
    private var callers: [BenchCaller] = []
    private var keys = 0..<0
    private var next: Int?
    private var end = BootInstant(nanoseconds: 0)
    private var latencies: [Double] = []
    private var underWay = 0
    private var failure: String?
    private var generator = SystemRandomNumberGenerator()

    init(loop: EventLoop, port: UInt16, count: Int) throws {
        self.loop = loop
        for _ in 0..<count {
            callers.append(try BenchCaller(loop: loop, port: port) { [unowned self] in answered($0, $1) })
        }
    }

    func connect(keys: Range<Int>, _ purpose: Purpose) throws -> Result {
        self.keys = keys
        latencies = []
        switch purpose {
        case .untilEachIsHeld: next = keys.lowerBound
        case .forTime(let duration):
            next = nil
            end = .now + duration
        }
        let start = BenchInstant.now
        for caller in callers { send(on: caller) }
        if underWay > 0 { try loop.run() }
        if let failure { throw CommandFailure(failure) }
        let seconds = BenchInstant.now.microseconds(since: start) / 1_000_000
        return Result(perSecond: Double(latencies.count) / seconds, latencies: latencies)
    }

    private func send(on caller: BenchCaller) {
        let key: Int
        if let next {
            guard next < keys.upperBound else { return }
            key = next
            self.next = next + 1
        } else {
            guard BootInstant.now < end else { return }
            key = Int.random(in: keys, using: &generator)
        }
        underWay += 1
        caller.connect(key: key)
    }

    private func answered(_ caller: BenchCaller, _ outcome: BenchCaller.Outcome) {
        underWay -= 1
        switch outcome {
        case .granted(let microseconds):
            latencies.append(microseconds)
            send(on: caller)
            if underWay == 0 { loop.stop() }
        case .failed(let sentence):
            failure = sentence
            loop.stop()
        }
    }
}

/// One connection, with one request under way at most. Lean, because it runs beside what is measured.
final class BenchCaller {
    enum Outcome {
        /// 200 came after so many microseconds.
        case granted(Double)
        case failed(String)
    }

    private let descriptor: Descriptor
    private let onAnswer: (BenchCaller, Outcome) -> Void
    private var received: [UInt8] = []
    private var sentAt = BenchInstant.now
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 16 * 1024, alignment: 16)

    init(loop: EventLoop, port: UInt16, onAnswer: @escaping (BenchCaller, Outcome) -> Void) throws {
        self.onAnswer = onAnswer
        let socket = try Socket.tcp()
        Socket.setNoDelay(socket.raw)
        _ = try Socket.connect(socket.raw, to: .loopback(port))
        var watch = pollfd(fd: socket.raw, events: Int16(POLLOUT), revents: 0)
        guard poll(&watch, 1, 5000) == 1, Socket.pendingError(socket.raw) == 0 else {
            throw CommandFailure("a client cannot connect to the controller")
        }
        descriptor = consume socket
        _ = try loop.add(descriptor.raw, .readable) { [unowned self] _ in receive() }
    }

    deinit { buffer.deallocate() }

    func connect(key: Int) {
        let body = "{\"key\":{\"name\":\"k\(key)\"},\"spawn_config\":{\"executable\":{\"image\":\"bench\"}}}"
        let text =
            "POST /ctrl/connect HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            + "Content-Length: \(body.utf8.count)\r\n\r\n" + body
        sentAt = .now
        do { try descriptor.writeAll(Array(text.utf8)) } catch {
            onAnswer(self, .failed("sending a connect: \(error)"))
        }
    }

    private func receive() {
        do {
            guard let count = try descriptor.read(into: buffer) else { return }
            guard count > 0 else { return onAnswer(self, .failed("the controller closed a client's connection")) }
            received += buffer[..<count]
        } catch { return onAnswer(self, .failed("reading an answer: \(error)")) }
        guard let length = answerLength, received.count >= length else { return }
        let isGranted = received.starts(with: Array("HTTP/1.1 200".utf8))
        let text = isGranted ? "" : String(decoding: received, as: UTF8.self)
        received.removeAll(keepingCapacity: true)
        let outcome: Outcome =
            isGranted
            ? .granted(BenchInstant.now.microseconds(since: sentAt)) : .failed("a connect was refused: \(text)")
        onAnswer(self, outcome)
    }

    /// Bytes of the whole answer; nil while its head is not all there.
    private var answerLength: Int? {
        guard let end = Self.position(of: Array("\r\n\r\n".utf8), in: received) else { return nil }
        let name = Array("ontent-length: ".utf8)
        guard let field = Self.position(of: name, in: received) else { return end + 4 }
        var length = 0
        for byte in received[(field + name.count)...] {
            guard (48...57).contains(byte) else { break }
            length = length * 10 + Int(byte - 48)
        }
        return end + 4 + length
    }

    private static func position(of part: [UInt8], in whole: [UInt8]) -> Int? {
        guard whole.count >= part.count else { return nil }
        return (0...(whole.count - part.count)).first { start in
            for index in part.indices where whole[start + index] != part[index] { return false }
            return true
        }
    }
}

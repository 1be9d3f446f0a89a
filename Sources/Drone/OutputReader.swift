import HTTP
import Linux

/// Reads one backend's standard output and error from its pipe, for the log and for the message about its end.
final class OutputReader: OutputPort {
    private let loop: EventLoop
    private let log: (String) -> Void
    private let name: String
    private var ring = OutputRing(now: .now)
    private var pipe: OwnedDescriptor?
    private var registration: EventLoop.Registration?

    /// Bytes read in one turn, so that a talkative command does not keep the loop from the others.
    private static let turnBytesMax = 64 * 1024

    /// - Parameter name: put before each line in the log.
    init(_ pipe: OwnedDescriptor, name: String, loop: EventLoop, log: @escaping (String) -> Void) throws(SystemError) {
        self.loop = loop
        self.log = log
        self.name = name
        guard let raw = pipe.raw else { return }
        try pipe.setNonblocking()
        self.pipe = pipe
        registration = try loop.add(raw, .readable) { [weak self] _ in self?.read(atMost: Self.turnBytesMax) }
    }

    deinit { close() }

    /// Reads what is left, when the backend has ended, and gives the last output.
    func finish() -> String {
        // Nobody writes any more, and a pipe holds at most 1 MiB (pipe-max-size, pipe(7)).
        read(atMost: 1 << 20)
        close()
        return ring.tail
    }

    private func read(atMost limit: Int) {
        var rest = limit
        var chunk = [UInt8](repeating: 0, count: 16 * 1024)
        while rest > 0, let pipe {
            guard let count = chunk.withUnsafeMutableBytes({ pipe.read(into: $0) }) else { return }
            if count == 0 { return close() }
            show(ring.append(chunk[..<count], now: .now))
            rest -= count
        }
    }

    private func close() {
        if let registration { loop.remove(registration) }
        registration = nil
        if pipe != nil { show(ring.finish(now: .now)) }
        pipe = nil
    }

    private func show(_ lines: [String]) {
        for line in lines { log("[\(name)] \(line)") }
    }
}

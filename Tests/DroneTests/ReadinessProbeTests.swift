import Glibc
import HTTP
import Linux
import Testing

@testable import Drone

@Suite("Readiness probe")
struct ReadinessProbeTests {
    struct Answer: Sendable, CustomTestStringConvertible {
        var bytes: String
        var outcome: ReadinessProbe.Outcome
        var testDescription: String { bytes.isEmpty ? "silence and an end" : bytes }
    }

    @Test(
        "Whatever begins with HTTP/ is an answer, and nothing else is",
        arguments: [
            Answer(bytes: "HTTP/1.1 500 Oops\r\n\r\n", outcome: .answered),
            Answer(bytes: "HTTP/", outcome: .answered),
            Answer(bytes: "SSH-2.0-OpenSSH\r\n", outcome: .failed("its answer was not HTTP")),
            Answer(bytes: "HT", outcome: .failed("it closed the connection without an HTTP answer")),
            Answer(bytes: "", outcome: .failed("it closed the connection without an HTTP answer")),
        ])
    func answers(answer: Answer) throws {
        let loop = try EventLoop()
        let listener = try Socket.tcpListener(.loopback(0))
        let port = try Socket.localPort(listener.raw)
        let raw = listener.raw
        let registration = try loop.add(raw, .readable) { _ in
            guard let accepted = try? Socket.accept(raw) else { return }
            let client = accepted.release()
            _ = Array(answer.bytes.utf8).withUnsafeBytes { write(client, $0.baseAddress, $0.count) }
            shutdown(client, Int32(SHUT_WR))
            // Read the request, so that the close below resets nothing that is still on its way.
            loop.schedule(after: .milliseconds(50)) {
                var buffer = [UInt8](repeating: 0, count: 1024)
                _ = read(client, &buffer, buffer.count)
                close(client)
            }
        }
        defer { loop.remove(registration) }
        #expect(try outcome(port, loop) == answer.outcome)
    }

    @Test("A port that nobody listens on, and one that never answers, fail within a second")
    func failures() throws {
        let loop = try EventLoop()
        let listener = try Socket.tcpListener(.loopback(0))
        let port = try Socket.localPort(listener.raw)
        #expect(try outcome(port, loop) == .failed("it did not answer within 1 s"))
        _ = consume listener
        guard case .failed(let problem) = try outcome(port, loop) else {
            Issue.record("it answered")
            return
        }
        #expect(problem.contains("ECONNREFUSED"))
    }

    private func outcome(_ port: UInt16, _ loop: EventLoop) throws -> ReadinessProbe.Outcome? {
        var outcome: ReadinessProbe.Outcome?
        let probe = ReadinessProbe(
            OwnedDescriptor(owning: try Socket.tcp().release()), to: .loopback(port), loop: loop
        ) {
            outcome = $0
            loop.stop()
        }
        try withExtendedLifetime(probe) { try loop.run() }
        return outcome
    }
}

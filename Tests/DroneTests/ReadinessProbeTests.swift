import Glibc
import HTTP
import Linux
import Testing

@testable import Drone

@Suite("Readiness probe")
struct ReadinessProbeTests {
    struct Answer: Sendable, CustomTestStringConvertible {
        var method = ReadinessProbe.Method.head
        var bytes: String
        var path: String?
        var outcome: ReadinessProbe.Outcome
        var testDescription: String {
            "\(method.rawValue) \(path ?? "any"): \(bytes.isEmpty ? "silence and an end" : bytes)"
        }
    }

    @Test(
        "Without a path whatever begins with HTTP/ is an answer; with one its status must be 200 to 399",
        arguments: [
            Answer(bytes: "HTTP/1.1 500 Oops\r\n\r\n", outcome: .answered),
            Answer(bytes: "HTTP/", outcome: .answered),
            Answer(bytes: "SSH-2.0-OpenSSH\r\n", outcome: .failed("its answer was not HTTP")),
            Answer(bytes: "HT", outcome: .failed("it closed the connection without an HTTP answer")),
            Answer(bytes: "", outcome: .failed("it closed the connection without an HTTP answer")),
            Answer(bytes: "HTTP/1.1 200 OK\r\n\r\n", path: "/up", outcome: .answered),
            Answer(bytes: "HTTP/1.0 399 Odd\r\n\r\n", path: "/up", outcome: .answered),
            Answer(
                bytes: "HTTP/1.1 400 Bad\r\n\r\n", path: "/up",
                outcome: .failed("HEAD /up was answered with status 400")),
            Answer(
                bytes: "HTTP/1.1 199 Odd\r\n\r\n", path: "/up",
                outcome: .failed("HEAD /up was answered with status 199")),
            Answer(
                bytes: "HTTP/1.1 405 No\r\n\r\n", path: "/up",
                outcome: .headRefused("HEAD /up was answered with status 405")),
            Answer(
                bytes: "HTTP/1.0 501 No\r\n\r\n", path: "/up",
                outcome: .headRefused("HEAD /up was answered with status 501")),
            Answer(
                method: .get, bytes: "HTTP/1.1 405 No\r\n\r\n", path: "/up",
                outcome: .failed("GET /up was answered with status 405")),
            Answer(method: .get, bytes: "HTTP/1.1 200 OK\r\n\r\n", path: "/up", outcome: .answered),
            Answer(bytes: "HTTP/1.1 +20 OK\r\n\r\n", path: "/up", outcome: .failed("its answer was not HTTP")),
            Answer(bytes: "HTTP/1.1200 OK\r\n\r\n", path: "/up", outcome: .failed("its answer was not HTTP")),
            Answer(
                bytes: "HTTP/1.1 20", path: "/up",
                outcome: .failed("it closed the connection without an HTTP answer")),
        ])
    func answers(answer: Answer) throws {
        let loop = try EventLoop()
        let listener = try Socket.tcpListener(.loopback(0))
        let port = try Socket.localPort(listener.raw)
        let raw = listener.raw
        var asked: String?
        let registration = try loop.add(raw, .readable) { _ in
            guard let accepted = try? Socket.accept(raw) else { return }
            let client = accepted.release()
            _ = Array(answer.bytes.utf8).withUnsafeBytes { write(client, $0.baseAddress, $0.count) }
            shutdown(client, Int32(SHUT_WR))
            // Read the request, so that the close below resets nothing that is still on its way.
            loop.schedule(after: .milliseconds(50)) {
                var buffer = [UInt8](repeating: 0, count: 1024)
                let count = read(client, &buffer, buffer.count)
                asked = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
                close(client)
                loop.stop()
            }
        }
        defer { loop.remove(registration) }
        #expect(try outcome(port, answer.method, path: answer.path, loop) == answer.outcome)
        while asked == nil { try loop.run() }
        #expect(try #require(asked).hasPrefix("\(answer.method.rawValue) \(answer.path ?? "/") HTTP/1.1\r\n"))
    }

    @Test("A port that nobody listens on, and one that never answers, fail within a second")
    func failures() throws {
        let loop = try EventLoop()
        let listener = try Socket.tcpListener(.loopback(0))
        let port = try Socket.localPort(listener.raw)
        #expect(try outcome(port, .head, loop) == .failed("it did not answer within 1 s"))
        _ = consume listener
        guard case .failed(let problem) = try outcome(port, .head, loop) else {
            Issue.record("it answered")
            return
        }
        #expect(problem.contains("ECONNREFUSED"))
    }

    private func outcome(
        _ port: UInt16, _ method: ReadinessProbe.Method, path: String? = nil, _ loop: EventLoop
    ) throws -> ReadinessProbe.Outcome? {
        var outcome: ReadinessProbe.Outcome?
        let probe = ReadinessProbe(
            OwnedDescriptor(owning: try Socket.tcp().release()), to: .loopback(port), method, path: path, loop: loop
        ) {
            outcome = $0
            loop.stop()
        }
        try withExtendedLifetime(probe) { while outcome == nil { try loop.run() } }
        return outcome
    }
}

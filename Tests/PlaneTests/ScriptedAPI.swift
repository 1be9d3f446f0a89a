import Glibc
import HTTP
import Linux
import Synchronization

/// A controller's API that answers what the test says and keeps what it was asked. On a thread of its own.
final class ScriptedAPI: Sendable {
    /// What was asked.
    struct Question: Equatable, Sendable {
        let path: String
        let query: String
        let body: String
        let token: String?
    }

    typealias Script = @Sendable (Question, _ number: Int) -> (status: Int, body: String)

    private let questions = Mutex<[Question]>([])
    private let stops: Mailbox<Void>
    private let script: Script
    private let opened = Mutex<UInt16>(0)
    private let ready: Pipe

    private struct Pipe: Sendable {
        let reading: Int32
        let writing: Int32
    }

    /// - Parameter script: the answer to each question, by its number from 0 among those of the same path.
    init(_ script: @escaping Script) throws {
        self.script = script
        stops = try Mailbox()
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw SystemError(errno, "pipe") }
        ready = Pipe(reading: ends[0], writing: ends[1])
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { argument in
                if let argument { Unmanaged<ScriptedAPI>.fromOpaque(argument).takeRetainedValue().serve() }
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
        guard code == 0 else { throw SystemError(code, "pthread_create") }
        pthread_detach(thread)
        var byte: UInt8 = 0
        _ = read(ready.reading, &byte, 1)
    }

    deinit {
        close(ready.reading)
        close(ready.writing)
    }

    func stop() { stops.send(()) }

    var port: UInt16 { opened.withLock { $0 } }
    var asked: [Question] { questions.withLock { $0 } }

    private func serve() {
        do {
            let loop = try EventLoop()
            let server = try HTTPServer(loop: loop, address: .loopback(0)) { [self] request, responder in
                responder.respond(answer(request))
            }
            try loop.attach(stops) { server.close(grace: .zero) { loop.stop() } }
            opened.withLock { $0 = server.address.port }
            _ = write(ready.writing, [1], 1)
            try loop.run()
        } catch {
            preconditionFailure("a test's server failed: \(error)")
        }
    }

    private func answer(_ request: Request) -> Response {
        let question = Question(
            path: request.path, query: request.query.encoded, body: String(decoding: request.body, as: UTF8.self),
            token: request.bearerToken)
        let number = questions.withLock { all in
            defer { all.append(question) }
            return all.count { $0.path == question.path }
        }
        let answer = script(question, number)
        return .json(answer.status, Array(answer.body.utf8))
    }
}

import HTTP
import Linux
import Testing

/// Another server that a controller asks about requests: it keeps what it was asked, and answers when the test says so.
final class TestAuthority: Sendable {
    private let thread: LoopThread
    let port: UInt16
    private let questions: AsyncStream<Request>

    /// What stays on the loop's thread.
    private final class Desk {
        var server: HTTPServer?
        var open: [Responder] = []
    }

    /// - Parameter status: of every answer; nil lets questions wait for ``answerAll(_:)``.
    init(_ status: Int?) async throws {
        thread = try LoopThread()
        let (questions, feed) = AsyncStream<Request>.makeStream()
        self.questions = questions
        port = try await thread.run { context in
            let desk = Desk()
            context.things["desk"] = desk
            let server = try HTTPServer(loop: context.loop, address: .loopback(0)) { request, responder in
                if let status { responder.respond(Response(status: status)) } else { desk.open.append(responder) }
                feed.yield(request)
            }
            desk.server = server
            return server.address.port
        }
    }

    func stop() { thread.stop() }

    var url: HTTPURL {
        get throws { try HTTPURL("http://127.0.0.1:\(port)/check") }
    }

    /// The next question.
    func next() async throws -> Request {
        for await question in questions { return question }
        throw Stopped()
    }

    struct Stopped: Error {}

    /// Answers every question that waits. - Returns: how many there were.
    @discardableResult
    func answerAll(_ status: Int) async throws -> Int {
        try await thread.run { context in
            guard let desk = context.things["desk"] as? Desk else { return 0 }
            let open = desk.open
            desk.open = []
            for responder in open { responder.respond(Response(status: status)) }
            return open.count
        }
    }
}

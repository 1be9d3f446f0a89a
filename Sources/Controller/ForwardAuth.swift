import HTTP
import Linux
import Model

/// Asks another server about requests, over bounded many connections, and never makes the loop wait.
///
/// At most `askingMax` questions are on their way and `waitingMax` wait for their turn; a question that has not got one
/// within the time limit is not asked any more. Who went away while waiting is not asked about.
final class ForwardAuth {
    /// Questions on their way at once.
    static let askingMax = 64
    /// Questions that wait for their turn; more are refused with 503.
    static let waitingMax = 1024
    /// From a question's arrival to the last byte of its answer.
    static let timeLimit = Duration.seconds(5)
    /// Bytes of an answer's body, which nobody reads.
    private static let answerBytesMax = 1 << 20

    private struct Waiting {
        let question: ForwardQuestion
        let arrived: BootInstant
        let isGone: () -> Bool
        let then: (ForwardQuestion.Verdict) -> Void
    }

    private let url: HTTPURL
    private let client: HTTPClient
    private let host: HostAddress
    private var asking = 0
    private var waiting: [Waiting] = []

    /// - Parameter url: whom to ask; every question goes to this very address.
    init(_ url: HTTPURL, loop: EventLoop) throws(SystemError) {
        self.url = url
        client = HTTPClient(loop: loop)
        host = try HostAddress(url, loop: loop)
    }

    /// Ends what happens by itself. Questions on their way are still answered.
    func stop() { host.stop() }

    /// Asks.
    /// - Parameters:
    ///   - isGone: whether nobody wants to know any more.
    ///   - then: called once.
    func ask(
        _ question: ForwardQuestion, isGone: @escaping () -> Bool,
        then: @escaping (ForwardQuestion.Verdict) -> Void
    ) {
        guard waiting.count < Self.waitingMax else {
            return then(
                .refuse(
                    Failure(
                        .other, status: 503, "Too many requests wait for the authority for this controller.",
                        retryAfterSeconds: 1)))
        }
        waiting.append(Waiting(question: question, arrived: .now, isGone: isGone, then: then))
        askNext()
    }

    private func askNext() {
        while asking < Self.askingMax, !waiting.isEmpty {
            let next = waiting.removeFirst()
            let left = Self.timeLimit - (BootInstant.now - next.arrived)
            // Whoever is gone is owed an answer all the same, which nobody reads.
            guard left > .zero, !next.isGone() else {
                next.then(Self.late)
                continue
            }
            start(next, within: left)
        }
    }

    private static let late = ForwardQuestion.Verdict.refuse(
        Failure(
            .other, status: 503, "The authority for this controller did not come to this request in time.",
            retryAfterSeconds: 1))

    private func start(_ next: Waiting, within limit: Duration) {
        let address: SocketAddress
        switch host.found {
        case .success(let found): address = found
        case .failure(let error): return next.then(ForwardQuestion.verdict(.failure(error)))
        }
        asking += 1
        client.send(
            next.question.method, url, at: address, fields: next.question.fields, deadline: limit,
            byteCountMax: Self.answerBytesMax
        ) { [weak self] result in
            next.then(ForwardQuestion.verdict(result))
            guard let self else { return }
            asking -= 1
            askNext()
        }
    }
}

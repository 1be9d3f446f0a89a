import HTTP
import Linux
import Model

/// Asks a backend's port again and again until it answers, soon at first, so that a quick start is noticed quickly.
final class ReadinessWatch: ReadinessPort {
    private enum Phase {
        case stopped
        /// A socket was asked for; if none comes, it is asked for again.
        case needsSocket(TimerToken)
        case probing(ReadinessProbe)
        case pausing(TimerToken)
    }

    private let loop: EventLoop
    private let readiness: SandboxPlan.Readiness
    private let askSocket: () -> Void
    private let onOutcome: (ReadinessOutcome) -> Void
    private var method = ReadinessProbe.Method.head
    private var phase = Phase.stopped
    private var pause = Backoff(first: .milliseconds(20), most: .milliseconds(100))

    /// - Parameters:
    ///   - readiness: which port is asked for what. Its timeout is the lifecycle's to keep.
    ///   - askSocket: asks for one socket of the backend's network namespace; `give` answers.
    ///   - onOutcome: each attempt's. After `answered` there are no more.
    init(
        loop: EventLoop, _ readiness: SandboxPlan.Readiness, askSocket: @escaping () -> Void,
        onOutcome: @escaping (ReadinessOutcome) -> Void
    ) {
        self.loop = loop
        self.readiness = readiness
        self.askSocket = askSocket
        self.onOutcome = onOutcome
    }

    deinit { stop() }

    /// Begins.
    func start() {
        guard case .stopped = phase else { return }
        next()
    }

    /// Ends it; nothing more is called.
    func stop() {
        switch phase {
        case .stopped: break
        case .needsSocket(let timer), .pausing(let timer): loop.cancel(timer)
        case .probing(let probe): probe.cancel()
        }
        phase = .stopped
    }

    /// A socket has come. One that nobody waits for is closed.
    func give(_ socket: OwnedDescriptor) {
        guard case .needsSocket(let timer) = phase else { return }
        loop.cancel(timer)
        phase = .probing(
            ReadinessProbe(socket, to: .loopback(readiness.port), method, path: readiness.path, loop: loop) {
                [weak self] outcome in self?.probed(outcome)
            })
    }

    private func next() {
        phase = .needsSocket(loop.schedule(after: .seconds(1)) { [weak self] in self?.next() })
        askSocket()
    }

    private func probed(_ outcome: ReadinessProbe.Outcome) {
        switch outcome {
        case .answered:
            phase = .stopped
            onOutcome(.answered)
        case .failed(let problem): failed(problem)
        case .headRefused(let problem):
            // Many a small server knows GET alone.
            method = .get
            failed(problem)
        }
    }

    private func failed(_ problem: String) {
        phase = .pausing(loop.schedule(after: pause.next(jitter: 0)) { [weak self] in self?.next() })
        onOutcome(.failed(problem))
    }
}

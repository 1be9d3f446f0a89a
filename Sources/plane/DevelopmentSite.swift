import Glibc
import HTTP
import Linux
import Model

/// The three processes of `plane dev`: started, watched and ended. On one event loop; this process has one thread, so that
/// it may clone itself.
final class DevelopmentSite {
    private enum Phase {
        /// The controller and the warden are coming up.
        case starting
        /// The drone too; its controller does not know it yet.
        case joining
        case ready
        /// They end one after the other; the reason becomes the exit status.
        case ending(Ending)
    }

    private enum Ending {
        case asked
        case failed(CommandFailure)
    }

    private let plan: DevelopmentPlan
    private let started: BootInstant
    private let loop: EventLoop
    private let client: HTTPClient
    private var children: [DevelopmentPlan.Role: DevelopmentChild] = [:]
    private var phase = Phase.starting
    private var endingRole: DevelopmentPlan.Role?
    /// Whether the warden was killed before it could remove its cgroups.
    private var wardenLeftRemains = false
    private var startTimer: TimerToken?
    /// Between two looks at what has no event.
    private var lookInterval = Duration.milliseconds(5)

    /// How long all of it may take to be ready. A controller's check of a large database is the longest part.
    private static let startLimit = Duration.seconds(30)

    init(_ plan: DevelopmentPlan, started: BootInstant) throws(SystemError) {
        self.plan = plan
        self.started = started
        loop = try EventLoop()
        client = HTTPClient(loop: loop)
    }

    /// Runs until a signal or the end of a child.
    /// - Returns: the exit status, once nothing of it is left.
    func run() throws -> Int32 {
        try clearSocket()
        try loop.onSignal([SIGINT, SIGTERM, SIGHUP]) { [self] _ in askedToEnd() }
        do {
            try start(.controller, with: try CurrentProcess.executablePath())
            try start(.warden, with: try ProgramCall.sibling("plane-warden", override: "PLANE_WARDEN"))
        } catch { end(.failed(CommandFailure("\(error)"))) }
        startTimer = loop.schedule(after: Self.startLimit) { [self] in
            end(
                .failed(
                    CommandFailure("not ready after \(Self.startLimit.components.seconds) s; see the messages above")))
        }
        look()
        try loop.run()
        unlink(plan.state.wardenSocket)
        if wardenLeftRemains { try cleanUpAfterWarden() }
        if case .ending(.failed(let failure)) = phase { throw failure }
        StandardError.say("plane: ended; nothing is left running")
        return 0
    }

    // MARK: Starting

    /// What a killed warden left would be taken for the new one's.
    private func clearSocket() throws {
        guard let lock = try File.lock(plan.state.wardenLock) else {
            throw CommandFailure(
                "a plane-warden already serves \(plan.state.path); stop it, or choose another --state DIR")
        }
        unlink(plan.state.wardenSocket)
        _ = consume lock
    }

    private func start(_ role: DevelopmentPlan.Role, with program: String) throws {
        let child = try DevelopmentChild(ProgramCall(program, plan.words(of: role)), loop) { [self] status in
            ended(role, status)
        }
        children[role] = child
    }

    /// Looks whether the next step can be taken, and looks again a little later if not.
    private func look() {
        switch phase {
        case .starting:
            ask("/pub/health") { [self] _ in
                guard case .starting = phase, wardenListens() else { return lookAgain() }
                do {
                    try start(.drone, with: try CurrentProcess.executablePath())
                    phase = .joining
                    look()
                } catch { end(.failed(CommandFailure("\(error)"))) }
            }
        case .joining:
            ask("/ctrl/c/\(plan.cluster)/state") { [self] state in
                guard case .joining = phase else { return }
                let drones = (try? ListedDrone.all(in: state)) ?? []
                if drones.contains(where: \.isReady) { becameReady() } else { lookAgain() }
            }
        case .ready, .ending: break
        }
    }

    /// Soon at first, since most starts take a few looks, and then ever later.
    private func lookAgain() {
        loop.schedule(after: lookInterval) { [self] in look() }
        lookInterval = min(lookInterval * 3 / 2, .milliseconds(250))
    }

    /// Calls back with the answer, or looks again later.
    private func ask(_ path: String, _ answer: @escaping (JSONValue) -> Void) {
        do throws(HTTPURL.Malformed) {
            let url = try HTTPURL(plan.controllerURL).replacingPath(path)
            client.send(.get, url, deadline: .seconds(5)) { [self] result in
                if case .success(let response) = result, response.status == 200,
                    let value = try? JSONValue(parsing: response.body)
                {
                    answer(value)
                } else {
                    lookAgain()
                }
            }
        } catch { end(.failed(CommandFailure("\(error)"))) }
    }

    /// Whether the socket is there. A connection would be taken for a drone's.
    private func wardenListens() -> Bool { File.status(plan.state.wardenSocket) != nil }

    private func becameReady() {
        if let startTimer { loop.cancel(startTimer) }
        phase = .ready
        let images = (try? ImageStore(state: plan.state).names()) ?? []
        StandardOutput.write(
            """
            Plane is ready after \(ElapsedTime.text(since: started)).
              controller  \(plan.controllerURL)
              proxy       \(plan.proxyURL)
              state       \(plan.state.path)
              images      \(images.isEmpty ? "none; build one: plane image build DIR" : images.joined(separator: ", "))
            Ctrl-C ends everything, backends too.

            """)
    }

    // MARK: Ending

    private func askedToEnd() {
        if case .ending = phase {
            // Asked twice: the one whose turn it is need not be gentle any more.
            children.keys.max().flatMap { children[$0] }?.kill()
            return
        }
        end(.asked)
    }

    private func ended(_ role: DevelopmentPlan.Role, _ status: ExitStatus) {
        children[role] = nil
        if role == .warden, status != .exited(code: 0) { wardenLeftRemains = true }
        if case .ending = phase {
            endNext()
        } else {
            end(.failed(CommandFailure("the \(role) \(status); its reason is above")))
        }
    }

    private func cleanUpAfterWarden() throws {
        let program = try ProgramCall.sibling("plane-warden", override: "PLANE_WARDEN")
        let cleaner = try ChildProgram.start(
            ProgramCall(program, ["clean", "--state", plan.state.path]),
            streams: ChildProgram.Streams(output: STDOUT_FILENO), .ownGroup)
        _ = try cleaner.reap()
    }

    private func end(_ ending: Ending) {
        if case .ending = phase { return }
        if let startTimer { loop.cancel(startTimer) }
        phase = .ending(ending)
        endNext()
    }

    /// Ends the last started that is left; when it has ended, it is the next one's turn.
    private func endNext() {
        guard let role = children.keys.max() else { return loop.stop() }
        guard endingRole != role else { return }
        endingRole = role
        children[role]?.end(within: role.patience)
    }
}

extension DevelopmentPlan.Role {
    /// How long it may take to end before it is killed. The drone's backends have their grace period within it.
    fileprivate var patience: Duration {
        switch self {
        case .drone: .seconds(12)
        case .warden: .seconds(8)
        case .controller: .seconds(5)
        }
    }
}

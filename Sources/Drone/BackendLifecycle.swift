package import Linux
package import Model
package import WardenProtocol

/// One backend's life on its drone: scheduled → loading → starting → waiting → ready → terminating → hard-terminating →
/// terminated, some skipped, none ever entered again.
///
/// The reference sets states from several tasks at once, so that a late step can turn `terminating` back into `ready`,
/// a soft termination never becomes a hard one, and an exit that nobody heard of leaves a backend for ever in its last
/// state. Here one value decides: every event is checked against the phase it finds, a soft termination escalates,
/// a hard one is asked for until the warden has answered, and what the warden does not know is over.
///
/// Pure: it never waits, reads a clock or touches the system.
package struct BackendLifecycle: Equatable, Sendable {
    /// What the drone does now, in this order.
    package enum Action: Equatable, Sendable {
        /// Tell the controller, and again until it has saved it.
        case report(BackendState)
        /// Requests wait for the backend.
        case holdRequests
        /// Requests go to the backend.
        case admitRequests
        /// Requests are answered that the backend is gone; connections that are open may go on.
        case refuseRequests(String)
        /// Every connection of the backend is cut, now.
        case cutConnections(String)
        /// Send the warden the spawn request.
        case askSpawn
        /// Send the warden a terminate request.
        case askTerminate(TerminationKind)
        /// Begin to ask the backend's port whether it speaks HTTP.
        case startProbing
        /// Stop asking.
        case stopProbing
        /// The controller has it all: the warden and the drone may drop the backend.
        case forget
    }

    /// What holds for the whole of its life.
    package struct Terms: Equatable, Sendable {
        /// The port its command listens on.
        package var port: UInt16
        /// How it is told that the command is ready; its timeout counts from the spawn request.
        package var readiness: SandboxPlan.Readiness
        /// From SIGTERM until it is killed.
        package var grace: Duration
        /// When it is swept, however busy; nil never.
        package var lifetimeEnd: BootInstant?

        /// From the spawn request until the command must be ready.
        package var startupTimeout: Duration { .seconds(Int64(readiness.timeoutSeconds)) }
    }

    private enum Phase: Equatable {
        case scheduled
        case loading(deadline: BootInstant)
        case starting(deadline: BootInstant)
        case waiting(deadline: BootInstant, lastProblem: String)
        /// Adopted after its startup's time: it was ready, unless the drone was away when that time ran out.
        case adopted(lastProblem: String)
        case ready
        case terminating(Ending, killAt: BootInstant)
        case hardTerminating(Ending, askAgainAt: BootInstant)
        case terminated(BackendState)
    }

    /// Why a backend that is being ended is being ended; the first cause stays.
    private struct Ending: Equatable {
        let reason: TerminationReason
        let message: String
    }

    /// How long a hard termination may stay unanswered before it is asked for again.
    package static let askAgainAfter = Duration.seconds(5)

    /// What holds for the whole of its life.
    package let terms: Terms
    private var phase: Phase
    private var saved: BackendStatus?

    /// Not yet known to anybody.
    package init(terms: Terms) {
        self.terms = terms
        phase = .scheduled
    }

    /// A sandbox that was running when this drone process started.
    ///
    /// It is asked again whether it is ready. Past its startup deadline it has all the time it wants until the controller says
    /// whether it ever was: one that was, and is too busy to answer just now, must not be killed for that.
    package init(adopting terms: Terms, startupDeadline: BootInstant, now: BootInstant) {
        self.terms = terms
        phase =
            now < startupDeadline
            ? .waiting(deadline: startupDeadline, lastProblem: Self.notTried) : .adopted(lastProblem: Self.notTried)
    }

    private static let notTried = "it was not tried yet"

    /// Where it is.
    package var status: BackendStatus { state.status }

    /// What the controller is told about it.
    package var state: BackendState {
        switch phase {
        case .scheduled: BackendState(.scheduled)
        case .loading: BackendState(.loading)
        case .starting: BackendState(.starting)
        case .waiting, .adopted: BackendState(.waiting)
        case .ready: BackendState(.ready)
        case .terminating(let ending, _):
            BackendState(.terminating, reason: ending.reason, kind: .soft, message: ending.message)
        case .hardTerminating(let ending, _):
            BackendState(.hardTerminating, reason: ending.reason, kind: .hard, message: ending.message)
        case .terminated(let state): state
        }
    }

    /// What the controller has not confirmed yet; nil when it knows all.
    package var unsavedState: BackendState? {
        if let saved, saved >= status { return nil }
        return state
    }

    /// When `tick` next has something to do.
    package var nextWake: BootInstant? {
        switch phase {
        case .scheduled, .adopted, .ready: terms.lifetimeEnd
        case .loading(let deadline), .starting(let deadline), .waiting(let deadline, _):
            min(deadline, terms.lifetimeEnd ?? deadline)
        case .terminating(_, let killAt): killAt
        case .hardTerminating(_, let askAgainAt): askAgainAt
        case .terminated: nil
        }
    }

    // MARK: Starting

    /// The controller ordered it. It stays loading until a warden is there to start it.
    package mutating func ordered(now: BootInstant) -> [Action] {
        guard case .scheduled = phase else { return [] }
        phase = .loading(deadline: now + terms.startupTimeout)
        return [.holdRequests, .report(state)]
    }

    /// It can never be started here. - Parameter message: a sentence that says why.
    package mutating func cannotStart(_ message: String) -> [Action] {
        guard case .scheduled = phase else { return [] }
        return end(
            BackendState(.terminated, reason: .internalError, kind: .hard, message: message, endReason: .startFailed))
    }

    /// A warden is there and the lease allows a start.
    package mutating func begin(now: BootInstant) -> [Action] {
        guard case .loading = phase else { return [] }
        phase = .starting(deadline: now + terms.startupTimeout)
        return [.report(state), .askSpawn]
    }

    /// What an adopted backend needs done once, after its drone was restarted.
    package func resumed() -> [Action] {
        switch phase {
        case .waiting, .adopted: [.holdRequests, .startProbing]
        case .scheduled, .loading, .starting, .ready, .terminating, .hardTerminating, .terminated: []
        }
    }

    /// The warden started its command.
    package mutating func spawned() -> [Action] {
        guard case .starting(let deadline) = phase else { return [] }
        phase = .waiting(deadline: deadline, lastProblem: Self.notTried)
        return [.report(state), .startProbing]
    }

    /// The warden did not start it, and nothing of it is left. It may have been in the warden's list before that, which does
    /// not tell what is being started from what runs. - Parameter message: the warden's sentence.
    package mutating func refused(_ message: String) -> [Action] {
        switch phase {
        case .starting, .waiting, .adopted, .ready:
            return end(
                BackendState(
                    .terminated, reason: .internalError, message: "The sandbox could not be started: \(message)",
                    endReason: .startFailed))
        case .terminating(let ending, _), .hardTerminating(let ending, _):
            return end(
                BackendState(
                    .terminated, reason: ending.reason, kind: state.kind,
                    message: "\(ending.message) It was never started: \(message)"))
        case .scheduled, .loading, .terminated: return []
        }
    }

    /// Its port answered HTTP.
    package mutating func answered() -> [Action] {
        switch phase {
        case .waiting, .adopted:
            phase = .ready
            return [.stopProbing, .admitRequests, .report(state)]
        case .scheduled, .loading, .starting, .ready, .terminating, .hardTerminating, .terminated: return []
        }
    }

    /// Its port did not. - Parameter problem: what happened, without a full stop.
    package mutating func probeFailed(_ problem: String) {
        switch phase {
        case .waiting(let deadline, _): phase = .waiting(deadline: deadline, lastProblem: problem)
        case .adopted: phase = .adopted(lastProblem: problem)
        case .scheduled, .loading, .starting, .ready, .terminating, .hardTerminating, .terminated: break
        }
    }

    // MARK: Ending

    /// It is to end. A second cause changes nothing, but hard may follow soft.
    /// - Parameter message: a sentence that says why, for a person.
    package mutating func terminate(
        _ kind: TerminationKind, _ reason: TerminationReason, message: String, now: BootInstant
    ) -> [Action] {
        let ending = Ending(reason: reason, message: message)
        switch phase {
        case .scheduled, .loading:
            return end(
                BackendState(.terminated, reason: reason, kind: kind, message: "\(message) It was never started."))
        case .starting, .waiting, .adopted, .ready:
            switch kind {
            case .soft:
                phase = .terminating(ending, killAt: now + terms.grace)
                return [.stopProbing, .refuseRequests(message), .report(state), .askTerminate(.soft)]
            case .hard: return kill(ending, now: now)
            }
        case .terminating(let first, _):
            switch kind {
            case .soft: return []
            case .hard: return kill(first, now: now)
            }
        case .hardTerminating, .terminated: return []
        }
    }

    /// Time has passed.
    package mutating func tick(now: BootInstant) -> [Action] {
        switch phase {
        case .loading(let deadline) where now >= deadline:
            return terminate(.hard, .startupTimeout, message: "The drone could not reach its warden.", now: now)
        case .starting(let deadline) where now >= deadline:
            return kill(startupTimeout("the sandbox was still being made"), now: now)
        case .waiting(let deadline, let lastProblem) where now >= deadline:
            return kill(startupTimeout("at the last attempt \(lastProblem)"), now: now)
        case .scheduled, .loading, .starting, .waiting, .adopted, .ready:
            guard let end = terms.lifetimeEnd, now >= end else { return [] }
            return terminate(.soft, .swept, message: "Its lifetime limit was reached.", now: now)
        case .terminating(let ending, let killAt):
            return now >= killAt ? kill(ending, now: now) : []
        case .hardTerminating(let ending, let askAgainAt):
            guard now >= askAgainAt else { return [] }
            phase = .hardTerminating(ending, askAgainAt: now + Self.askAgainAfter)
            return [.askTerminate(.hard)]
        case .terminated: return []
        }
    }

    /// The sandbox has ended and nothing of it is left.
    /// - Parameter lastOutput: what its command wrote last; empty when nothing.
    package mutating func exited(_ exit: SandboxExit, lastOutput: String) -> [Action] {
        guard let state = ExitReport(phase: reportPhase, port: terms.readiness.port).state(exit, lastOutput: lastOutput)
        else { return [] }
        return end(state)
    }

    // MARK: The warden's list

    /// A warden's list has it, running: what was asked of an earlier connection may not have been heard.
    package mutating func listed() -> [Action] {
        switch phase {
        case .starting: spawned()
        case .terminating: [.askTerminate(.soft)]
        case .hardTerminating: [.askTerminate(.hard)]
        case .scheduled, .loading, .waiting, .adopted, .ready, .terminated: []
        }
    }

    /// A warden's list does not have it: no process of it exists.
    package mutating func notListed() -> [Action] {
        switch phase {
        case .scheduled, .loading, .terminated: return []
        case .starting, .waiting, .adopted, .ready, .terminating, .hardTerminating:
            return end(
                BackendState(
                    .terminated, reason: state.reason ?? .lost, kind: state.kind,
                    message: "The warden ended or was restarted, and the sandbox with it."))
        }
    }

    // MARK: The controller's memory

    /// The controller has saved its state up to this one, which after a restart of the drone may be further than the drone
    /// itself remembers.
    package mutating func stateSaved(_ status: BackendStatus, now: BootInstant) -> [Action] {
        let actions = recalled(status, now: now)
        // Never more than there is: what is saved of the future is not what will have to be told then.
        let status = min(status, self.status)
        if let saved, saved >= status { return actions }
        saved = status
        return status == .terminated ? actions + [.forget] : actions
    }

    /// What the controller remembers says whether an adopted backend was ever ready.
    private mutating func recalled(_ status: BackendStatus, now: BootInstant) -> [Action] {
        switch (phase, status) {
        case (.waiting, .ready), (.adopted, .ready):
            phase = .ready
            return [.stopProbing, .admitRequests]
        case (.adopted(let lastProblem), .scheduled), (.adopted(let lastProblem), .loading),
            (.adopted(let lastProblem), .starting), (.adopted(let lastProblem), .waiting):
            phase = .waiting(deadline: now + terms.startupTimeout, lastProblem: lastProblem)
            return []
        case (.scheduled, _), (.loading, _), (.starting, _), (.waiting, _), (.adopted, _), (.ready, _),
            (.terminating, _), (.hardTerminating, _), (.terminated, _):
            return []
        }
    }

    // MARK: Inside

    private var reportPhase: ExitReport.Phase {
        switch phase {
        case .scheduled, .loading, .starting, .waiting: .unready
        case .adopted, .ready: .ready
        case .terminating(let ending, _): .ending(ending.reason, .soft, ending.message)
        case .hardTerminating(let ending, _): .ending(ending.reason, .hard, ending.message)
        case .terminated: .over
        }
    }

    private func startupTimeout(_ what: String) -> Ending {
        let wanted = terms.readiness.path.map { "HEAD \($0) with a status from 200 to 399" } ?? "HEAD / with HTTP"
        return Ending(
            reason: .startupTimeout,
            message: "Port \(terms.readiness.port) did not answer \(wanted) within "
                + "\(terms.readiness.timeoutSeconds) s; \(what).")
    }

    private mutating func kill(_ ending: Ending, now: BootInstant) -> [Action] {
        phase = .hardTerminating(ending, askAgainAt: now + Self.askAgainAfter)
        return [.stopProbing, .cutConnections(ending.message), .report(state), .askTerminate(.hard)]
    }

    private mutating func end(_ state: BackendState) -> [Action] {
        precondition(state.status == .terminated, "a backend ends terminated")
        phase = .terminated(state)
        return [.stopProbing, .cutConnections(state.message ?? "It has ended."), .report(state)]
    }
}

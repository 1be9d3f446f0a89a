package import Linux
package import Model
import Sandbox
package import WardenProtocol

/// What a warden knows of its sandboxes and owes its drone: which there are, how far each is, when each ends at the latest.
///
/// Pure: requests and what became of sandboxes go in with the time, and what is to be done comes out, in the order in which
/// it is to be done. The server does it to the kernel, the simulator to a simulated one.
///
/// Whoever drives it calls `launched` or `startFailed` in answer to `launch`, `measured` to `measure`, and tells of a start
/// that is decided (`started`, `startFailed`), of processes that have ended (`processEnded`) and of an ended sandbox of which
/// nothing is left (`cleared`). `tick` is to be called at `nextWake`.
package struct WardenLedger: Sendable {
    /// What is to be done.
    package enum Action: Hashable, Sendable {
        /// Begin to start this sandbox, its guard armed with the request's deadline before its command can run.
        case launch(SpawnRequest)
        /// The sandbox's guard, which ends it though nobody may be there to do so, is armed with a later deadline.
        case moveGuard(BackendID, to: BootInstant)
        /// SIGTERM to its command.
        case askToEnd(BackendID)
        /// End all its processes at once.
        case kill(BackendID)
        /// Read how much processor time it has used.
        case measure(BackendID)
        /// Make sockets in its network namespace, and answer with them or with why there are none.
        case makeSockets(BackendID, count: UInt8)
        /// Tell the drone, if there is one. `spawned`, and `listing` without an exit, take the output's descriptor along.
        case reply(WardenReply)
        /// Nobody will ask about it any more: let go of what is kept of it.
        case discard(BackendID)
        /// A line of the log about it.
        case log(BackendID, String)
    }

    /// Deliberate defects; always empty but in the simulator.
    package var defects: ProtocolDefects = []
    /// When something may be due; nil when nothing will be by itself. Never later than that.
    package private(set) var nextWake: BootInstant?
    /// Whether the warden ends: nothing is started any more.
    package private(set) var isEnding = false

    private var entries: [BackendID: LedgerEntry] = [:]
    /// What a start may take; then it is taken for failed.
    private let startPatience: Duration

    /// An empty one. - Parameter startPatience: how long a start may take.
    package init(startPatience: Duration = StartingSandbox.patience) { self.startPatience = startPatience }

    /// How many sandboxes have not ended.
    package var livingCount: Int { entries.values.count { $0.exit == nil } }

    // MARK: The drone's requests

    /// Everything that a drone may ask but `hello`, which only the server can answer.
    package mutating func requested(_ request: WardenRequest, now: BootInstant) -> [Action] {
        switch request {
        case .hello: []
        case .spawn(let request): spawn(request, now: now)
        case .extend(let deadlines): deadlines.flatMap { extend($0, now: now) }
        case .terminate(let backend, let kind): terminate(backend, kind, .terminated)
        case .sockets(let backend, let count): sockets(backend, count)
        case .list: list()
        case .forget(let backend): forget(backend)
        }
    }

    private mutating func spawn(_ request: SpawnRequest, now: BootInstant) -> [Action] {
        // A repeated request for what is there already changes nothing, as an id is never used twice.
        if entries[request.backend] != nil { return [] }
        if isEnding { return [.reply(.refused(request.backend, message: "the warden is ending"))] }
        guard request.hardDeadline > now else {
            return [
                .reply(.refused(request.backend, message: "its lease had ended before the sandbox was started"))
            ]
        }
        var bounded = request
        bounded.hardDeadline = self.bounded(request.hardDeadline, now: now)
        let entry = LedgerEntry(bounded, startDeadline: now + startPatience)
        entries[request.backend] = entry
        wake(by: entry.nextWake)
        return [.launch(bounded)]
    }

    /// A drone that has gone wild and then silent leaves no sandbox behind for longer.
    private func bounded(_ deadline: BootInstant, now: BootInstant) -> BootInstant {
        if defects.contains(.wardenKeepsNoDeadline) { return BootInstant(nanoseconds: .max) }
        return min(deadline, now + WardenRequest.deadlineAheadMax)
    }

    /// Forward only: an earlier deadline could come with an old message. What is being killed stays so.
    private mutating func extend(_ item: BackendDeadline, now: BootInstant) -> [Action] {
        let deadline = bounded(item.deadline, now: now)
        guard entries[item.backend]?.extend(to: deadline) == true else { return [] }
        return [.moveGuard(item.backend, to: deadline)]
    }

    private mutating func terminate(
        _ backend: BackendID, _ kind: TerminationKind, _ cause: SandboxExit.Cause
    ) -> [Action] {
        switch entries[backend]?.end(kind, cause) {
        case .soft: [.askToEnd(backend)]
        case .hard: [.kill(backend)]
        case nil: []
        }
    }

    private func sockets(_ backend: BackendID, _ count: UInt8) -> [Action] {
        switch entries[backend]?.phase {
        case nil: [.reply(.sockets(backend, message: "no such backend"))]
        case .starting: [.reply(.sockets(backend, message: "it is still being started"))]
        case .clearing, .ended: [.reply(.sockets(backend, message: "it has ended"))]
        case .running, .killed: [.makeSockets(backend, count: count)]
        }
    }

    private func list() -> [Action] {
        entries.values.sorted { $0.backend.text < $1.backend.text }.map { .reply(.listing($0.listing)) }
            + [.reply(.listed)]
    }

    private mutating func forget(_ backend: BackendID) -> [Action] {
        guard let entry = entries[backend], entry.exit != nil else { return [] }
        entries[backend] = nil
        return [.discard(backend)]
    }

    // MARK: What becomes of sandboxes

    /// Its start was begun. - Parameter budget: of processor time, if its policy has one.
    package mutating func launched(_ backend: BackendID, budget: ProcessorBudget?, now: BootInstant) {
        guard budget != nil else { return }
        entries[backend]?.budget = budget
        entries[backend]?.nextLook = now
        wake(by: now)
    }

    /// It could not be started, and nothing of it is left. - Parameter message: why, as a sentence.
    package mutating func startFailed(_ backend: BackendID, _ message: String) -> [Action] {
        guard entries[backend] != nil else { return [] }
        entries[backend] = nil
        return [.discard(backend), .log(backend, message), .reply(.refused(backend, message: message))]
    }

    /// Its command runs, or ran: whether it still does is told by `processEnded`.
    package mutating func started(_ backend: BackendID) -> [Action] {
        guard let asked = entries[backend]?.settle() else { return [] }
        let told: [Action] = [.reply(.spawned(backend))]
        switch asked {
        case .nothing: return told
        case .toEnd: return [.askToEnd(backend)] + told
        case .toBeKilled: return [.kill(backend)] + told
        }
    }

    /// None of its processes is left.
    package mutating func processEnded(_ backend: BackendID, _ end: SandboxEnd) -> [Action] {
        let wasRunning = entries[backend]?.phase == .running
        guard entries[backend]?.processEnded(end) == true, wasRunning, end.manner == .deadline else { return [] }
        return [.log(backend, "ended by its own guard: \(Self.deadlineHasCome)")]
    }

    /// Nothing is left of it, after its processes have ended.
    package mutating func cleared(_ backend: BackendID) -> [Action] {
        guard let exit = entries[backend]?.clear() else { return [] }
        return [.reply(.exited(backend, exit))]
    }

    /// What it has used so far, microseconds.
    package mutating func measured(_ backend: BackendID, used: UInt64, now: BootInstant) -> [Action] {
        guard let entry = entries[backend], entry.isGuarded, let budget = entry.budget else { return [] }
        switch budget.judge(used: used, now: now) {
        case .lookAgain(let instant):
            entries[backend]?.nextLook = instant
            wake(by: instant)
            return []
        case .exhausted:
            let why = "it has used the \(budget.limit / 1_000_000) s of processor time that it may"
            return kill(backend, .cpuTime, why)
        }
    }

    // MARK: Time, and the warden's own end

    private static let deadlineHasCome = "its lease's hard deadline has come"

    /// Does what is due: kills what has reached its hard deadline or did not start in time, without asking anybody, and
    /// looks at budgets.
    package mutating func tick(now: BootInstant) -> [Action] {
        let due = entries.values.filter { $0.nextWake.map { $0 <= now } ?? false }.map(\.backend)
        var actions: [Action] = []
        for backend in due.sorted(by: { $0.text < $1.text }) { actions += settleAccount(backend, now: now) }
        nextWake = entries.values.compactMap(\.nextWake).min()
        return actions
    }

    /// Whether a hard deadline has come that is not enforced yet.
    package func isDeadlineDue(now: BootInstant) -> Bool {
        guard let nextWake, nextWake <= now else { return false }
        return entries.values.contains { $0.isGuarded && $0.hardDeadline <= now }
    }

    private mutating func settleAccount(_ backend: BackendID, now: BootInstant) -> [Action] {
        guard let entry = entries[backend] else { return [] }
        if now >= entry.hardDeadline { return kill(backend, .deadline, Self.deadlineHasCome) }
        if let limit = entry.startDeadline, now >= limit {
            return kill(backend, .terminated, "it did not start in time")
        }
        entries[backend]?.nextLook = nil
        return [.measure(backend)]
    }

    private mutating func kill(_ backend: BackendID, _ cause: SandboxExit.Cause, _ why: String) -> [Action] {
        terminate(backend, .hard, cause) + [.log(backend, "killed: \(why)")]
    }

    private mutating func wake(by instant: BootInstant?) {
        guard let instant else { return }
        nextWake = min(nextWake ?? instant, instant)
    }

    /// The warden ends: everything is killed, and nothing is started any more.
    package mutating func stop() -> [Action] {
        isEnding = true
        return entries.keys.sorted { $0.text < $1.text }.flatMap { terminate($0, .hard, .terminated) }
    }
}

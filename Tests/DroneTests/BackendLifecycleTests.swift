import Linux
import Model
import Testing
import WardenProtocol

@testable import Drone

private func at(_ seconds: UInt64) -> BootInstant { BootInstant(nanoseconds: seconds * 1_000_000_000) }

private let terms = BackendLifecycle.Terms(
    port: 8080, readiness: SandboxPlan.Readiness(port: 8080, timeoutSeconds: 60), grace: .seconds(10), lifetimeEnd: nil)

private func ended(_ status: Linux.ExitStatus?, _ cause: SandboxExit.Cause = .ended, outOfMemory: Bool = false)
    -> SandboxExit
{
    SandboxExit(cause: cause, status: status, outOfMemory: outOfMemory, cpuMicroseconds: 0, memoryPeakBytes: 0)
}

/// A backend brought to a status at second 0, the way it gets there.
private func backend(_ status: BackendStatus, terms: BackendLifecycle.Terms = terms) -> BackendLifecycle {
    var backend = BackendLifecycle(terms: terms)
    if status >= .loading { _ = backend.ordered(now: at(0)) }
    if status >= .starting { _ = backend.begin(now: at(0)) }
    if status >= .waiting { _ = backend.spawned() }
    if status >= .ready { _ = backend.answered() }
    if status >= .terminating { _ = backend.terminate(.soft, .external, message: "Asked for.", now: at(0)) }
    if status >= .hardTerminating { _ = backend.tick(now: at(10)) }
    if status >= .terminated { _ = backend.exited(ended(.exited(code: 0), .terminated), lastOutput: "") }
    #expect(backend.status == status)
    return backend
}

@Suite("Backend lifecycle")
struct BackendLifecycleTests {
    @Test("From order to ready, each step is reported once")
    func happyPath() {
        var backend = BackendLifecycle(terms: terms)
        #expect(backend.ordered(now: at(0)) == [.holdRequests, .report(BackendState(.loading))])
        #expect(backend.ordered(now: at(0)) == [])
        #expect(backend.begin(now: at(1)) == [.report(BackendState(.starting)), .askSpawn])
        #expect(backend.begin(now: at(1)) == [])
        #expect(backend.spawned() == [.report(BackendState(.waiting)), .startProbing])
        #expect(backend.answered() == [.stopProbing, .admitRequests, .report(BackendState(.ready))])
        #expect(backend.answered() == [])
        #expect(backend.nextWake == nil)
    }

    @Test("A soft termination refuses new requests, and becomes a hard one after the grace period")
    func softEscalates() {
        var backend = backend(.ready)
        let soft = BackendState(.terminating, reason: .external, kind: .soft, message: "Asked for.")
        #expect(
            backend.terminate(.soft, .external, message: "Asked for.", now: at(100))
                == [.stopProbing, .refuseRequests("Asked for."), .report(soft), .askTerminate(.soft)])
        #expect(backend.tick(now: at(109)) == [])
        #expect(backend.nextWake == at(110))
        let hard = BackendState(.hardTerminating, reason: .external, kind: .hard, message: "Asked for.")
        #expect(
            backend.tick(now: at(110))
                == [.stopProbing, .cutConnections("Asked for."), .report(hard), .askTerminate(.hard)])
    }

    @Test("A hard termination is asked for again until the sandbox has ended")
    func hardIsRepeated() {
        var backend = backend(.ready)
        _ = backend.terminate(.hard, .external, message: "Asked for.", now: at(0))
        #expect(backend.tick(now: at(4)) == [])
        #expect(backend.tick(now: at(5)) == [.askTerminate(.hard)])
        #expect(backend.tick(now: at(10)) == [.askTerminate(.hard)])
        _ = backend.exited(ended(nil, .terminated), lastOutput: "")
        #expect(backend.tick(now: at(15)) == [])
    }

    @Test("The first cause of an end stays; hard may follow soft, soft never hard")
    func firstCauseStays() {
        var backend = backend(.ready)
        _ = backend.terminate(.soft, .swept, message: "Idle.", now: at(0))
        #expect(backend.terminate(.soft, .external, message: "Asked for.", now: at(1)) == [])
        _ = backend.terminate(.hard, .keyExpired, message: "Lease lost.", now: at(2))
        #expect(backend.state == BackendState(.hardTerminating, reason: .swept, kind: .hard, message: "Idle."))
        #expect(backend.terminate(.soft, .external, message: "Asked for.", now: at(3)) == [])
        #expect(backend.status == .hardTerminating)
    }

    @Test(
        "What was never started ends at once, without asking the warden",
        arguments: [BackendStatus.scheduled, .loading])
    func endsBeforeStart(status: BackendStatus) {
        var backend = backend(status)
        let actions = backend.terminate(.soft, .external, message: "Asked for.", now: at(0))
        #expect(!actions.contains(.askTerminate(.soft)))
        #expect(backend.status == .terminated)
        #expect(backend.begin(now: at(1)) == [])
    }

    @Test("Ended while the warden still makes it: terminate follows spawn, and either answer ends it")
    func terminateOvertakesSpawn() {
        var started = backend(.starting)
        #expect(started.terminate(.hard, .external, message: "Asked for.", now: at(0)).contains(.askTerminate(.hard)))
        #expect(started.spawned() == [])
        #expect(started.answered() == [])
        _ = started.exited(ended(nil, .terminated), lastOutput: "")
        #expect(started.state.reason == .external)

        var refused = backend(.starting)
        _ = refused.terminate(.hard, .external, message: "Asked for.", now: at(0))
        _ = refused.refused("no memory")
        #expect(refused.state.reason == .external)
        #expect(refused.status == .terminated)
    }

    @Test("A startup that takes too long is killed, and the message says what was tried")
    func startupTimeout() throws {
        var backend = backend(.waiting)
        backend.probeFailed("connect was refused (ECONNREFUSED)")
        #expect(backend.tick(now: at(59)) == [])
        #expect(backend.tick(now: at(60)).contains(.askTerminate(.hard)))
        _ = backend.exited(ended(.signaled(signal: 9), .terminated), lastOutput: "loading model…\n")
        #expect(backend.state.reason == .startupTimeout)
        let message = try #require(backend.state.message)
        #expect(message.contains("Port 8080 did not answer HEAD / with HTTP within 60 s"))
        #expect(message.contains("ECONNREFUSED"))
        #expect(message.hasSuffix("Its last output: loading model…"))
    }

    @Test("What no warden was there to start ends too")
    func loadingTimeout() {
        var backend = backend(.loading)
        #expect(backend.tick(now: at(59)) == [])
        _ = backend.tick(now: at(60))
        #expect(backend.state.reason == .startupTimeout)
        #expect(backend.state.message == "The drone could not reach its warden. It was never started.")
    }

    @Test("A lifetime that is over sweeps softly")
    func lifetime() {
        var limited = terms
        limited.lifetimeEnd = at(30)
        var backend = backend(.ready, terms: limited)
        #expect(backend.nextWake == at(30))
        #expect(backend.tick(now: at(29)) == [])
        #expect(backend.tick(now: at(30)).contains(.askTerminate(.soft)))
        #expect(backend.state.reason == .swept)
    }

    struct EndCase: Sendable {
        var status: BackendStatus
        var exit: SandboxExit
        var reason: TerminationReason?
        var endReason: EndReason
        var failed: Bool
        var says: String
    }

    @Test(
        "The final message says how it ended",
        arguments: [
            EndCase(
                status: .waiting, exit: ended(.exited(code: 1)), reason: nil, endReason: .exited, failed: true,
                says: "The command exited with status 1 before it answered on port 8080. Its last output: bye"),
            EndCase(
                status: .ready, exit: ended(.exited(code: 0)), reason: nil, endReason: .exited, failed: false,
                says: "The command exited with status 0."),
            EndCase(
                status: .ready, exit: ended(.signaled(signal: 11)), reason: nil, endReason: .signaled, failed: true,
                says: "The command was ended by signal 11. Its last output: bye"),
            EndCase(
                status: .ready, exit: ended(.signaled(signal: 9), outOfMemory: true), reason: nil,
                endReason: .outOfMemory, failed: true,
                says: "The kernel killed it at its memory limit (memory.max). Its last output: bye"),
            EndCase(
                status: .ready, exit: ended(nil, .deadline), reason: .keyExpired, endReason: .leaseExpired,
                failed: true,
                says: "The warden killed it at its lease's deadline: the drone had no word from its controller in time."
            ),
            EndCase(
                status: .terminating, exit: ended(.exited(code: 0), .terminated), reason: .external,
                endReason: .external, failed: false,
                says: "Asked for. The command exited with status 0."),
            EndCase(
                status: .ready, exit: ended(nil, .cpuTime), reason: nil, endReason: .cpuTime, failed: true,
                says: "The warden killed it at its limit of total processor time."),
            EndCase(
                status: .waiting, exit: ended(nil, .cpuTime), reason: nil, endReason: .cpuTime, failed: true,
                says: "The warden killed it at its limit of total processor time before it answered on port 8080. "
                    + "Its last output: bye"),
            EndCase(
                status: .ready, exit: ended(.signaled(signal: 24)), reason: nil, endReason: .cpuTime, failed: true,
                says: "A process of it used up its processor time (RLIMIT_CPU), and the kernel ended it. "
                    + "Its last output: bye"),
            EndCase(
                status: .ready, exit: ended(nil), reason: nil, endReason: .killed, failed: true,
                says: "The sandbox's first process was killed. Its last output: bye"),
            EndCase(
                status: .ready, exit: ended(nil, .terminated), reason: nil, endReason: .endedByDrone, failed: false,
                says: "It was killed at the request of an earlier drone process."),
            EndCase(
                status: .terminating, exit: ended(nil, .cpuTime, outOfMemory: true), reason: .external,
                endReason: .external, failed: true,
                says: "Asked for. The kernel killed it at its memory limit (memory.max)."),
        ])
    func finalMessage(c: EndCase) {
        var backend = backend(c.status)
        _ = backend.exited(c.exit, lastOutput: "bye\n")
        #expect(backend.state.message == c.says)
        #expect(backend.state.reason == c.reason)
        #expect(backend.state.endReason == c.endReason)
        let entry = StatusEntry(backend.state, time: 0)
        #expect(entry.exitError == (c.failed || c.reason == .keyExpired))
    }

    @Test("The final state tells what the backend used; a peak that the kernel does not count is not told")
    func usage() {
        for (peak, told) in [(1 << 30, 1 << 30), (0, nil)] as [(UInt64, Int64?)] {
            var backend = backend(.ready)
            let exit = SandboxExit(
                cause: .ended, status: .exited(code: 0), outOfMemory: false, cpuMicroseconds: 1_500,
                memoryPeakBytes: peak)
            _ = backend.exited(exit, lastOutput: "")
            #expect(backend.state.usage == BackendUsage(cpuMicroseconds: 1_500, memoryPeakBytes: told))
        }
        var never = backend(.loading)
        _ = never.terminate(.hard, .external, message: "Asked for.", now: at(0))
        #expect(never.state.usage == nil)
    }

    @Test("What the warden refuses, and what cannot be started here at all, failed to start")
    func startFailed() {
        var refused = backend(.starting)
        _ = refused.refused("overlay: no space left")
        #expect(refused.state.reason == .internalError && refused.state.endReason == .startFailed)
        #expect(refused.state.message == "The sandbox could not be started: overlay: no space left")
        var unknown = BackendLifecycle(terms: terms)
        _ = unknown.cannotStart("There is no such image.")
        #expect(unknown.state.reason == .internalError && unknown.state.endReason == .startFailed)
        #expect(unknown.cannotStart("There is no such image.") == [])
    }

    @Test("A startup timeout names the port, path and statuses that were waited for")
    func startupTimeoutOfPath() throws {
        var asked = terms
        asked.readiness = SandboxPlan.Readiness(port: 9000, path: "/api", timeoutSeconds: 5)
        var backend = backend(.waiting, terms: asked)
        #expect(backend.tick(now: at(4)) == [])
        _ = backend.tick(now: at(5))
        #expect(backend.state.endReason == .startupTimeout)
        #expect(
            try #require(backend.state.message).hasPrefix(
                "Port 9000 did not answer HEAD /api with a status from 200 to 399 within 5 s;"))
    }

    @Test("A long last output is cut at a character")
    func longOutputIsCut() throws {
        var backend = backend(.waiting)
        _ = backend.exited(ended(.exited(code: 3)), lastOutput: String(repeating: "é", count: 5_000) + "x")
        let message = try #require(backend.state.message)
        #expect(message.utf8.count < ExitReport.outputBytesMax + 200)
        #expect(!message.contains("\u{FFFD}"))
    }

    @Test("A state is unsaved until the controller has saved it, and forgotten when the last one is")
    func savedThenForgotten() {
        var backend = backend(.ready)
        #expect(backend.unsavedState == BackendState(.ready))
        #expect(backend.stateSaved(.waiting, now: at(0)) == [])
        #expect(backend.unsavedState == BackendState(.ready))
        #expect(backend.stateSaved(.ready, now: at(0)) == [])
        #expect(backend.unsavedState == nil)
        _ = backend.exited(ended(.exited(code: 0)), lastOutput: "")
        #expect(backend.unsavedState == backend.state)
        #expect(backend.stateSaved(.ready, now: at(0)) == [])
        #expect(backend.stateSaved(.terminated, now: at(0)) == [.forget])
        #expect(backend.stateSaved(.terminated, now: at(0)) == [])
    }

    @Test("A controller that has saved more than there is, is told the end all the same")
    func savedTooMuch() {
        var backend = backend(.ready)
        #expect(backend.stateSaved(.terminated, now: at(0)) == [])
        #expect(backend.unsavedState == nil)
        _ = backend.exited(ended(.exited(code: 0)), lastOutput: "")
        #expect(backend.unsavedState == backend.state)
        #expect(backend.stateSaved(.terminated, now: at(0)) == [.forget])
    }

    @Test("What a warden's list does not have is over; what it has is asked to end again")
    func reconcilesWithList() {
        for status in [BackendStatus.starting, .waiting, .ready] {
            var missing = backend(status)
            _ = missing.notListed()
            #expect(missing.state.status == .terminated)
            #expect(missing.state.reason == .lost)
        }
        var soft = backend(.terminating)
        #expect(soft.listed() == [.askTerminate(.soft)])
        var hard = backend(.hardTerminating)
        #expect(hard.listed() == [.askTerminate(.hard)])
        var starting = backend(.starting)
        #expect(starting.listed().contains(.startProbing))
        var loading = backend(.loading)
        #expect(loading.notListed() == [])
        #expect(loading.status == .loading)
    }

    @Test(
        "Whatever happens in whatever order, no status is entered twice and the end is reported once",
        arguments: 0..<8)
    func randomEvents(batch: Int) {
        for seed in batch * 100..<(batch + 1) * 100 { randomLife(seed: UInt64(seed)) }
    }

    private func randomLife(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var limited = terms
        if Bool.random(using: &random) { limited.lifetimeEnd = at(UInt64.random(in: 0...200, using: &random)) }
        var backend = BackendLifecycle(terms: limited)
        var now: UInt64 = 0
        var reached = backend.status
        var reportedEnds = 0
        var asked = false
        var admitted = false
        for _ in 0..<80 {
            now += UInt64.random(in: 0...15, using: &random)
            let before = backend
            let actions = randomEvent(on: &backend, now: at(now), using: &random)
            #expect(backend.status >= reached, "seed \(seed)")
            if before.status == .terminated { #expect(actions.allSatisfy { $0 == .forget }) }
            for action in actions {
                switch action {
                case .report(let state):
                    #expect(state.status > reached)
                    #expect(state == backend.state || state.status < backend.status)
                    if state.status == .terminated { reportedEnds += 1 }
                    reached = max(reached, state.status)
                case .askSpawn:
                    #expect(!asked)
                    asked = true
                case .askTerminate: #expect(asked)
                case .admitRequests:
                    #expect(backend.status == .ready)
                    admitted = true
                case .refuseRequests, .cutConnections: admitted = false
                case .forget: #expect(backend.status == .terminated && backend.unsavedState == nil)
                case .holdRequests, .startProbing, .stopProbing: break
                }
            }
            #expect(admitted == (backend.status == .ready))
            #expect(reportedEnds == (backend.status == .terminated ? 1 : 0))
            if backend.status != .terminated, backend.status >= .loading, backend.status != .ready {
                #expect(backend.nextWake != nil, "something must end it")
            }
        }
    }

    private func randomEvent(
        on backend: inout BackendLifecycle, now: BootInstant, using random: inout SeededRandom
    ) -> [BackendLifecycle.Action] {
        switch Int.random(in: 0..<14, using: &random) {
        case 0, 1: return backend.ordered(now: now)
        case 2, 3: return backend.begin(now: now)
        case 4, 5: return backend.spawned()
        case 6: return backend.answered()
        case 7: return Int.random(in: 0..<8, using: &random) == 0 ? backend.refused("no") : []
        case 8:
            guard Int.random(in: 0..<4, using: &random) == 0 else { return [] }
            let kind = TerminationKind.allCases.randomElement(using: &random) ?? .soft
            let reason = TerminationReason.allCases.randomElement(using: &random) ?? .external
            return backend.terminate(kind, reason, message: "Because.", now: now)
        case 9:
            // An exit can only be told of what was asked for.
            guard backend.status >= .starting, Int.random(in: 0..<6, using: &random) == 0 else { return [] }
            return backend.exited(ended(.exited(code: 0)), lastOutput: "")
        case 10: return backend.listed()
        case 11: return Int.random(in: 0..<8, using: &random) == 0 ? backend.notListed() : []
        case 12:
            return backend.stateSaved(
                BackendStatus.allCases.filter { $0 <= backend.status }.randomElement(using: &random) ?? .scheduled,
                now: now)
        default: return backend.tick(now: now)
        }
    }
}

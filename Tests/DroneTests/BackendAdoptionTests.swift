import Linux
import Model
import Testing

@testable import Drone

private func at(_ seconds: UInt64) -> BootInstant { BootInstant(nanoseconds: seconds * 1_000_000_000) }

private let terms = BackendLifecycle.Terms(
    port: 8080, readiness: SandboxPlan.Readiness(port: 8080, timeoutSeconds: 60), grace: .seconds(10), lifetimeEnd: nil)

/// One whose start was asked of the warden.
private func begun() -> BackendLifecycle {
    var backend = BackendLifecycle(terms: terms)
    _ = backend.ordered(now: at(0))
    _ = backend.begin(now: at(0))
    return backend
}

@Suite("Backends that a restarted drone finds")
struct BackendAdoptionTests {
    @Test("After a restart of the drone a backend is asked again, for as long as its start may take")
    func adoptionInTime() {
        var backend = BackendLifecycle(adopting: terms, startupDeadline: at(60), now: at(30))
        #expect(backend.status == .waiting)
        #expect(backend.resumed() == [.holdRequests, .startProbing])
        _ = backend.stateSaved(.waiting, now: at(31))
        #expect(backend.nextWake == at(60))
        #expect(backend.tick(now: at(60)).contains(.askTerminate(.hard)))
    }

    @Test("Past its startup deadline an adopted backend has time until the controller says whether it ever was ready")
    func adoptionAfterDeadline() {
        var backend = BackendLifecycle(adopting: terms, startupDeadline: at(60), now: at(61))
        #expect(backend.status == .waiting)
        #expect(backend.resumed() == [.holdRequests, .startProbing])
        #expect(backend.nextWake == nil)
        #expect(backend.tick(now: at(9_999)) == [])
        var answering = backend
        #expect(answering.answered() == [.stopProbing, .admitRequests, .report(BackendState(.ready))])

        var busy = backend
        #expect(busy.stateSaved(.ready, now: at(100)) == [.stopProbing, .admitRequests])
        #expect(busy.status == .ready && busy.unsavedState == nil)

        backend.probeFailed("connect was refused")
        #expect(backend.stateSaved(.waiting, now: at(100)) == [])
        #expect(backend.nextWake == at(160))
        #expect(backend.tick(now: at(160)).contains(.askTerminate(.hard)))
        #expect(backend.state.reason == .startupTimeout)
        #expect(backend.state.message?.contains("connect was refused") == true)
    }

    @Test("What a warden lists while it still makes it, and then refuses, is over", arguments: [true, false])
    func refusedAfterListing(adopted: Bool) {
        var late =
            adopted
            ? BackendLifecycle(adopting: terms, startupDeadline: at(60), now: at(61)) : begun()
        _ = late.listed()
        #expect(late.status == .waiting)
        _ = late.refused("its lease had ended")
        #expect(late.status == .terminated && late.state.endReason == .startFailed)
    }
}

import Model
import Store
import Testing

@testable import Controller

/// Sessions of one controller: how they go on, and how they end.
@Suite struct SessionEndTests {
    private let site = VirtualSite(.exclusive)

    private func report(_ row: BackendRow, _ status: BackendStatus = .ready) -> BackendReport {
        BackendReport(backend: row.id.text, fencingToken: row.fencingToken.value, state: BackendState(status))
    }

    private func placed(_ one: VirtualController, _ key: String = "k") throws -> BackendRow {
        let backend = try #require(one.connect(key).backend)
        return try #require(try one.row(backend))
    }

    @Test("With a store of its own a controller acknowledges renewals without it")
    func renewalsCostNoWrite() {
        let one = site.controller()
        let drone = one.drone()
        let jobs = one.store.jobs
        one.store.behaviour = .failing
        for _ in 0..<100 { #expect(drone.renew()) }
        #expect(one.store.jobs == jobs)
    }

    @Test("A full disk kills nobody: sessions go on, and one that is over ends when the disk takes it")
    func fullDisk() throws {
        let one = site.controller()
        let (living, silent) = (one.drone("dr-1"), one.drone("dr-2", machine: "m2"))
        one.store.behaviour = .failing
        living.live(for: .seconds(120))
        #expect(living.closeReason == nil)
        #expect(try one.store.now { store throws(StoreError) in try store.drone(silent.name) }?.session != nil)
        #expect(!silent.renew())
        one.store.behaviour = .normal
        site.clock.advance(by: .seconds(1))
        #expect(try one.store.now { store throws(StoreError) in try store.drone(silent.name) }?.session == nil)
        #expect(try one.store.now { store throws(StoreError) in try store.drone(living.name) }?.session != nil)
    }

    @Test("A controller that starts gives every session its whole time, and the drone may return within it")
    func restart() throws {
        let old = site.controller()
        let drone = old.drone()
        let row = try placed(old)
        drone.report(row, BackendState(.ready))
        old.store.behaviour = .held
        site.clock.advance(by: .seconds(50))
        let new = site.controller()
        site.clock.advance(by: .seconds(55))
        #expect(try new.row(row.id)?.state.status == .ready)
        let returned = new.drone(backends: [report(row)])
        #expect(returned.session == drone.session && returned.kept == [row.id.text])
        site.clock.advance(by: .seconds(61))
        #expect(try new.row(row.id)?.state.reason == .lost)
    }

    @Test("A controller that forgets sessions gives a key away while its backend may run")
    func restartForgets() throws {
        let old = site.controller()
        let drone = old.drone()
        let row = try placed(old)
        drone.report(row, BackendState(.ready))
        old.store.behaviour = .held
        let new = site.controller(.restartForgetsSessions)
        site.clock.advance(by: .seconds(1))
        #expect(try new.row(row.id)?.state.status == .terminated)
    }

    @Test("Another machine is refused with the time that is left, and let in when the session is over")
    func otherMachine() throws {
        let one = site.controller()
        let drone = one.drone(machine: "m1")
        let row = try placed(one)
        drone.report(row, BackendState(.ready))
        drone.vanish()
        site.clock.advance(by: .seconds(20))
        let other = one.drone(machine: "m2")
        #expect(other.session == nil)
        #expect(other.closeReason?.contains("41 s") == true, "\(other.closeReason ?? "")")
        #expect(try one.row(row.id)?.state.status == .ready)
        site.clock.advance(by: .seconds(41))
        let later = one.drone(machine: "m2")
        #expect(later.session != nil && later.session != drone.session)
        #expect(try one.row(row.id)?.state.reason == .lost)
        // The first one comes back to a name that is not its own any more.
        #expect(one.drone(machine: "m1", backends: [report(row)]).session == nil)
        #expect(later.closeReason == nil && later.renew())
    }

    @Test("Another machine would free keys of sandboxes that it cannot see")
    func otherMachineUnchecked() throws {
        let one = site.controller(.machineUnchecked)
        let drone = one.drone(machine: "m1")
        let row = try placed(one)
        drone.report(row, BackendState(.ready))
        let other = one.drone(machine: "m2")
        #expect(other.session == drone.session)
        // It is asked about what runs on the other machine, and says truly that it has nothing of it.
        #expect(other.ends == [row.id.text])
        other.report(row, BackendState(.terminated, reason: .lost))
        #expect(try one.row(row.id)?.state.status == .terminated)
    }

    @Test("Where nothing was promised, another machine need not wait for a drone that is gone")
    func idleTakeover() {
        let one = site.controller()
        let drone = one.drone(machine: "m1")
        #expect(one.drone(machine: "m2").session == nil)
        drone.vanish()
        let other = one.drone(machine: "m2")
        #expect(other.session != nil && other.session != drone.session)
    }

    @Test("A hello on a new connection replaces the old one; an order in between is carried over by it")
    func replaced() throws {
        let one = site.controller()
        let old = one.drone()
        let new = one.drone()
        #expect(old.closeReason != nil && new.session == old.session)
        let row = try placed(one)
        #expect(old.orders.isEmpty && new.orders.map(\.backend) == [row.id.text])
        #expect(new.renew())
        old.report(row, BackendState(.ready))
        #expect(try one.row(row.id)?.state.status == .scheduled)
    }

    @Test("What a reported end leaves is assumed over only when it is")
    func endAssumed() throws {
        for (defects, expected) in [
            (ProtocolDefects(), BackendStatus.terminating), (.endAssumed, .terminated),
        ] {
            let one = VirtualSite(.exclusive).controller(defects)
            let drone = one.drone()
            let row = try placed(one)
            drone.report(row, BackendState(.terminating, reason: .swept, kind: .soft))
            #expect(try one.row(row.id)?.state.status == expected)
            #expect(drone.messages.last == .stateSaved(backend: row.id.text, status: .terminating))
        }
    }
}

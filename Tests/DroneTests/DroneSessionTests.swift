import HTTP
import Linux
import Model
import Proxy
import Testing
import WardenProtocol

@testable import Drone

@Suite("A drone's session")
struct DroneSessionTests {
    @Test("The hello says whose sandboxes the drone speaks for and what it has for promises")
    func hello() throws {
        let site = try VirtualSite()
        site.drone.start()
        try site.wardenConnects()
        site.link(tells: .opened)
        let hello = try #require(
            site.take().compactMap { if case .told(.hello(let hello)) = $0 { hello } else { nil } }.first)
        #expect(hello.machine == "machine-1")
        #expect(hello.capacity == ResourceAmount(memoryBytes: 1 << 30, cpuMillis: 2_500))
    }

    @Test("An order of another session is not carried out, one of the present session is")
    func ordersOfOtherSessions() throws {
        let site = try VirtualSite()
        try site.start()
        site.order("old", session: 0)
        site.order("present")
        #expect(site.take().spawned == ["present"])
        site.link(tells: .closed(cause: "lost"))
        site.welcomes(session: 2, keep: ["present"])
        site.order("late", session: 1)
        site.order("next", session: 2)
        #expect(site.take().spawned == ["next"])
    }

    @Test("A new session's welcome that keeps nothing cuts and kills what ran under the one before")
    func newSession() throws {
        let site = try VirtualSite()
        try site.start()
        try site.runs("demo1")
        site.link(tells: .closed(cause: "lost"))
        _ = site.take()
        site.welcomes(session: 2)
        let deeds = site.take()
        let cut = deeds.firstIndex {
            if case .gate("demo1", .gone) = $0 { true } else { false }
        }
        let kill = deeds.firstIndex(of: .asked(.terminate(try BackendID("demo1"), .hard)))
        #expect(try #require(cut) < #require(kill))
        let extended = deeds.contains { if case .asked(.extend) = $0 { true } else { false } }
        #expect(!extended, "what is not kept gets no more time")
    }

    @Test("What has ended is not started again by a late order, and a later backend of the same id is another one")
    func endedIsRemembered() throws {
        let site = try VirtualSite()
        try site.start()
        try site.runs("demo1")
        let exit = SandboxExit(
            cause: .ended, status: .exited(code: 3), outOfMemory: false, cpuMicroseconds: 0, memoryPeakBytes: 0)
        site.warden(says: .exited(try BackendID("demo1"), exit))
        #expect(site.take().states(of: "demo1").last?.token == 7)
        site.controller(says: .stateSaved(backend: "demo1", status: .terminated))
        site.order("demo1")
        #expect(site.take().spawned == [])
        site.controller(says: .terminate(backend: "demo1", kind: .hard, reason: .external))
        #expect(site.take().states(of: "demo1").map(\.token) == [7])
        site.order("demo1", fencingToken: 8)
        #expect(site.take().spawned == ["demo1"])
    }

    @Test("What was told to be unknown here stays so: its order, if it comes late, is answered and not carried out")
    func endBeforeStart() throws {
        let site = try VirtualSite()
        try site.start()
        site.controller(says: .terminate(backend: "demo1", kind: .hard, reason: .external))
        let unknown = try #require(site.take().states(of: "demo1").last)
        #expect(unknown.state.status == .terminated && unknown.state.reason == .lost)
        site.order("demo1")
        let deeds = site.take()
        #expect(deeds.spawned == [])
        #expect(deeds.states(of: "demo1").map(\.token) == [7])
        site.order("demo1", fencingToken: 9)
        #expect(site.take().spawned == ["demo1"], "a later one of the id is not held up")
    }

    @Test("When the lease is lost all connections are cut before anything is killed, and before the warden's deadline")
    func fence() throws {
        let site = try VirtualSite()
        try site.start(lease: try LeaseTimes(renew: 200, soft: 1_000, hard: 1_500, expiry: 2_000))
        for name in ["demo1", "demo2", "demo3"] { try site.runs(name) }
        let promised = site.clock.now + .milliseconds(1_500)
        #expect(site.activities.values.allSatisfy { $0.leaseDeadline == promised.nanoseconds })
        _ = site.take()
        // 125 ms before the hard deadline: a quarter of what lies between soft and hard.
        site.clock.advance(.milliseconds(1_374))
        func isCut(_ deed: VirtualSite.Deed) -> Bool { if case .gate(_, .gone) = deed { true } else { false } }
        #expect(!site.take().contains(where: isCut))
        site.clock.advance(.milliseconds(1))
        let deeds = site.take()
        let cuts = deeds.indices.filter { isCut(deeds[$0]) }
        let kills = deeds.indices.filter { if case .asked(.terminate(_, .hard)) = deeds[$0] { true } else { false } }
        #expect(cuts.count >= 3 && kills.count == 3)
        #expect(cuts.prefix(3).allSatisfy { $0 < kills[0] })
        #expect(site.clock.now < promised)
    }

    @Test("An order that a paused drone finds when its lease is over is answered and not carried out")
    func orderWithoutLease() throws {
        let site = try VirtualSite()
        try site.start()
        _ = site.take()
        site.clock.jump(.seconds(45))
        site.order("demo1")
        let deeds = site.take()
        #expect(deeds.spawned == [])
        #expect(deeds.states(of: "demo1").last?.state.reason == .keyExpired)
    }

    @Test("Each renewal moves the deadline that the proxy's threads keep on their own, and an adopted backend has one")
    func proxyDeadline() throws {
        let site = try VirtualSite()
        site.drone.start()
        let adopted = site.clock.now + .seconds(7)
        try site.wardenConnects([
            SandboxListing(
                backend: try BackendID("demo1"), image: site.offer.image, fencingToken: FencingToken(7),
                hardDeadline: adopted, note: [], exit: nil)
        ])
        let activity = try #require(site.activities["demo1"])
        #expect(activity.leaseDeadline == adopted.nanoseconds)
        let hello = site.clock.now
        site.welcomes(keep: ["demo1"])
        #expect(activity.leaseDeadline == (hello + .seconds(50)).nanoseconds)
        site.clock.advance(.seconds(10))
        site.controller(says: .renewed(sequence: 1))
        #expect(activity.leaseDeadline == (hello + .seconds(60)).nanoseconds)
    }

    @Test("A controller that answers nothing but pings is left for another one while the lease still holds")
    func wedgedController() throws {
        let site = try VirtualSite()
        try site.start()
        try site.runs("demo1")
        _ = site.take()
        site.clock.advance(.seconds(24))
        var deeds = site.take()
        #expect(deeds.filter { $0 == .redialled }.count == 1)
        #expect(deeds.contains(.told(.renew(sequence: 2))))
        site.link(tells: .opened)
        site.clock.advance(.seconds(15))
        deeds = site.take()
        #expect(deeds.filter { $0 == .redialled }.count == 1, "a hello is not waited for for ever either")
        site.welcomes(keep: ["demo1"])
        site.clock.advance(.seconds(9))
        #expect(!site.take().contains(.asked(.terminate(try BackendID("demo1"), .soft))))
    }

    @Test("Revoked tokens are cut in the proxy, and lead nowhere even if their grant comes after")
    func revoke() throws {
        let site = try VirtualSite()
        try site.start()
        try site.runs("demo1")
        _ = site.take()
        site.controller(says: .revoke(tokens: ["one", "two"]))
        #expect(site.take() == [.cut(token: "one"), .cut(token: "two")])
        site.drone.take(ProxyEvent.needRoute(token: "one"))
        #expect(site.take() == [], "nobody has to be asked")
    }

    @Test(
        "A backend that was ready before the drone was restarted lives on, however busy it is",
        arguments: [true, false])
    func adoptedAfterItsDeadline(wasReady: Bool) throws {
        let site = try VirtualSite()
        site.drone.start()
        let terms = BackendLifecycle.Terms(site.offer, lifetimeEnd: nil)
        let note = BackendNote(
            keyName: "demo", terms: terms, startupDeadline: site.clock.now + .seconds(-1), maxIdleSeconds: nil)
        try site.wardenConnects([
            SandboxListing(
                backend: try BackendID("demo1"), image: site.offer.image, fencingToken: FencingToken(7),
                hardDeadline: site.clock.now + .seconds(500), note: note.encoded(), exit: nil)
        ])
        let long = try LeaseTimes(renew: 100_000, soft: 300_000, hard: 400_000, expiry: 500_000)
        site.welcomes(lease: long, keep: ["demo1"])
        site.clock.advance(.seconds(60))
        let kill = VirtualSite.Deed.asked(.terminate(try BackendID("demo1"), .hard))
        #expect(!site.take().contains(kill), "nobody has said yet whether it ever was ready")
        site.controller(says: .stateSaved(backend: "demo1", status: wasReady ? .ready : .waiting))
        let admitted = VirtualSite.Deed.gate(backend: "demo1", .ready(port: 8080))
        #expect(site.take().contains(admitted) == wasReady)
        site.clock.advance(.seconds(31))
        #expect(site.take().contains(kill) == !wasReady)
    }

    @Test("Without a word from the controller an idle backend is not swept")
    func sweepIsAsked() throws {
        let site = try VirtualSite()
        try site.start()
        site.order("demo1", maxIdleSeconds: 1)
        site.warden(says: .spawned(try BackendID("demo1"), output: nil))
        site.probes[0].onOutcome(.answered)
        site.clock.advance(.seconds(5))
        let deeds = site.take()
        #expect(deeds.contains(.told(.sweep(backend: "demo1", connects: 0))))
        #expect(!deeds.contains(.asked(.terminate(try BackendID("demo1"), .soft))))
    }

    @Test("What the drone does depends on nothing but what its ports tell")
    func replays() throws {
        func run() throws -> [VirtualSite.Deed] {
            let site = try VirtualSite()
            try site.start(lease: try LeaseTimes(renew: 200, soft: 1_000, hard: 1_500, expiry: 2_000))
            for number in 0..<40 { try site.runs("demo\(number)") }
            site.controller(says: .renewed(sequence: 1))
            site.clock.advance(.seconds(3))
            return site.take()
        }
        // Dictionaries of one process are seeded alike, but their order depends on how they came to be.
        let ids = try run().compactMap { deed -> String? in
            if case .asked(.terminate(let backend, .hard)) = deed { backend.text } else { nil }
        }
        #expect(ids == ids.sorted())
    }
}

import Model
import Store
import Testing

@testable import Controller

/// Two controllers on one store: what one does the other one's drones hear of, and nobody gives up what the other one has.
@Suite struct SharedStoreTests {
    private let site = VirtualSite(.shared)

    @Test("A renewal is acknowledged when it is recorded, not before")
    func acknowledgedWhenRecorded() {
        let one = site.controller()
        let drone = one.drone()
        one.store.behaviour = .held
        #expect(!drone.renew())
        one.store.behaviour = .normal
        site.clock.settle()
        #expect(drone.messages.contains(.renewed(sequence: 1)))
        one.store.behaviour = .failing
        #expect(!drone.renew())
    }

    @Test("A connect through either controller finds the backend; its order reaches the drone of the other")
    func connectThroughEither() throws {
        let (one, two) = (site.controller(), site.controller())
        let drone = one.drone()
        site.clock.advance(by: .seconds(3))
        let first = two.connect()
        let backend = try #require(first.backend)
        #expect(first.response?.drone == "dr-1")
        // Without a notice the order comes with the next reading, and once.
        #expect(drone.orders.isEmpty)
        site.clock.advance(by: .seconds(1))
        #expect(drone.orders.map(\.backend) == [backend.text])
        #expect(drone.orders.first?.session == drone.session)
        site.clock.advance(by: .seconds(5))
        #expect(drone.orders.count == 1)
        let second = one.connect()
        #expect(second.backend == backend && second.response?.spawned == false)
        #expect(drone.routes == [second.response?.token])
        two.terminate(backend)
        #expect(drone.ends.isEmpty)
        one.core.noticed([.drone(Values.drone("dr-1"))])
        site.clock.settle()
        #expect(drone.ends == [backend.text])
    }

    @Test("Orders of both controllers reach the drone, in whatever order their words come")
    func ordersOfBoth() throws {
        let (one, two) = (site.controller(), site.controller())
        let drone = one.drone()
        site.clock.advance(by: .seconds(3))
        let theirs = try #require(two.connect("theirs").backend)
        let ours = try #require(one.connect("ours").backend)
        // Its own at once; the gap before it made it read the other.
        #expect(Set(drone.orders.map(\.backend)) == [theirs.text, ours.text])
        site.clock.advance(by: .seconds(2))
        let count = drone.orders.count
        site.clock.advance(by: .seconds(5))
        #expect(drone.orders.count == count)
    }

    @Test("A silent drone is concluded once, by whichever controller; its key is free for a greater token")
    func concluded() throws {
        let (one, two) = (site.controller(), site.controller())
        let (drone, other) = (one.drone("dr-1"), two.drone("dr-2", capacity: .zero))
        site.clock.advance(by: .seconds(3))
        let first = try #require(one.connect().backend)
        let row = try #require(try one.row(first))
        drone.report(row, BackendState(.ready))
        let next = two.drone("dr-3")
        for _ in 0..<11 {
            site.clock.advance(by: .seconds(5))
            other.renew()
            next.renew()
        }
        #expect(try one.row(first)?.state.status == .ready)
        for _ in 0..<2 {
            site.clock.advance(by: .seconds(5))
            other.renew()
            next.renew()
        }
        let lines = try one.store.now { store throws(StoreError) in try store.history(of: first, after: 0) }
        #expect(lines.map(\.state.status) == [.scheduled, .ready, .terminated])
        #expect(lines.last?.state.reason == .lost)
        #expect(drone.closeReason != nil)
        let successor = two.connect()
        #expect(successor.response?.drone == "dr-3")
        #expect((successor.response?.fencingToken ?? 0) > row.fencingToken.value)
        // Whatever the drone has when it returns is not to be kept.
        let report = BackendReport(
            backend: first.text, fencingToken: row.fencingToken.value, state: BackendState(.ready))
        #expect(one.drone("dr-1", backends: [report]).kept == [])
    }

    @Test("A session that is renewed at one controller is not given up by the other")
    func renewedElsewhere() throws {
        let (one, two) = (site.controller(), site.controller())
        let drone = one.drone()
        let first = try #require(one.connect().backend)
        drone.live(for: .seconds(200))
        #expect(try two.row(first)?.state.status == .scheduled)
        #expect(drone.closeReason == nil)
    }

    @Test("A controller that saw nothing for long gives nobody up on what it knew before")
    func pausedController() throws {
        let (one, two) = (site.controller(), site.controller())
        let drone = one.drone()
        let first = try #require(one.connect().backend)
        site.clock.advance(by: .seconds(2))
        two.store.behaviour = .held
        drone.live(for: .seconds(70))
        two.store.behaviour = .normal
        site.clock.settle()
        site.clock.advance(by: .seconds(1))
        #expect(try two.row(first)?.state.status == .scheduled)
    }

    @Test("A session is ended though it was renewed when that is not asked again")
    func pausedControllerWithoutTheCheck() throws {
        let (one, two) = (site.controller(), site.controller(.expiryUnchecked))
        let drone = one.drone()
        let first = try #require(one.connect().backend)
        site.clock.advance(by: .seconds(2))
        two.store.behaviour = .held
        drone.live(for: .seconds(70))
        two.store.behaviour = .normal
        site.clock.settle()
        #expect(try two.row(first)?.state.status == .terminated)
    }

    @Test("A drone that went to the other controller is let go by the first, and a renewal there is not taken")
    func moved() {
        let (one, two) = (site.controller(), site.controller())
        let old = one.drone()
        site.clock.advance(by: .seconds(1))
        one.store.behaviour = .held
        let new = two.drone()
        #expect(new.session == old.session)
        #expect(!old.renew())
        one.store.behaviour = .normal
        site.clock.settle()
        #expect(old.closeReason != nil)
        #expect(!old.messages.contains(.renewed(sequence: 1)))
        site.clock.advance(by: .seconds(2))
        #expect(new.renew() && new.closeReason == nil)
    }

    @Test("A drone that went to the other controller is let go without a word of its own, too")
    func movedSilently() {
        let (one, two) = (site.controller(), site.controller())
        let old = one.drone()
        let new = two.drone()
        #expect(old.closeReason == nil)
        site.clock.advance(by: .seconds(1))
        #expect(old.closeReason == "it is connected to another controller")
        #expect(new.closeReason == nil && new.renew())
    }

    @Test("Nothing is placed on a session that has ended, however late a controller hears of it")
    func placementIsChecked() throws {
        let (one, two) = (site.controller(), site.controller())
        _ = one.drone()
        site.clock.advance(by: .seconds(3))
        // Behind both controllers' backs.
        let ended = try one.store.now { store throws(StoreError) -> Bool in
            guard let row = try store.drone(Values.drone("dr-1")), let session = row.session else { return false }
            return try store.endSession(of: row.name, session, renewals: row.renewals)
        }
        #expect(ended)
        let caller = two.connect()
        #expect(caller.failure?.kind == .noDroneAvailable)
        #expect(caller.failure?.message.contains("1 not connected") == true)
        #expect(
            try one.store.now { store throws(StoreError) in try store.backends(.all, after: nil, limit: 10) }.isEmpty)
    }

    @Test("No drone is promised more than it has, however many controllers place on it")
    func neverOvershot() throws {
        let (one, two) = (site.controller(), site.controller())
        let capacity = ResourceAmount(memoryBytes: 3 << 30, cpuMillis: 100_000)
        let drone = one.drone(capacity: capacity)
        site.clock.advance(by: .seconds(3))
        one.store.behaviour = .held
        two.store.behaviour = .held
        let callers = (0..<6).map { ($0 % 2 == 0 ? one : two).connect("k\($0)") }
        one.store.behaviour = .normal
        two.store.behaviour = .normal
        site.clock.settle()
        #expect(callers.count { $0.response != nil } == 3)
        #expect(
            callers.last?.failure?.message
                == "No drone can take the backend: of 1 known, 1 full (it needs 1 GiB of memory and 2 processors).")
        let row = try one.store.now { store throws(StoreError) in try store.drone(drone.name) }
        #expect(row?.promised.memoryBytes == 3 << 30)
        // What ends makes room again.
        let ended = try #require(callers.compactMap(\.backend).first)
        drone.report(try #require(try one.row(ended)), BackendState(.terminated))
        #expect(one.connect("next").response != nil)
    }

    @Test("Who follows a backend through one controller sees what its drone tells the other")
    func streams() throws {
        final class Listener: StatusListener {
            var states: [BackendStatus] = []
            var isFinished = false
            func send(_ line: HistoryRow) { states.append(line.state.status) }
            func keepAlive() {}
            func finish() { isFinished = true }
        }
        let (one, two) = (site.controller(), site.controller())
        let drone = one.drone()
        let backend = try #require(one.connect().backend)
        let row = try #require(try one.row(backend))
        let listener = Listener()
        _ = two.core.streams.add(listener, to: backend, [], after: .scheduled)
        drone.report(row, BackendState(.starting))
        two.core.noticed([.backend(backend)])
        site.clock.settle()
        #expect(listener.states == [.starting])
        drone.report(row, BackendState(.ready))
        drone.report(row, BackendState(.terminated))
        site.clock.advance(by: .seconds(1))
        #expect(listener.states == [.starting, .ready, .terminated])
        #expect(listener.isFinished)
    }

    @Test("Controllers say that they are there, and are forgotten when they stop or do not say it any more")
    func beats() throws {
        let (one, two) = (site.controller(), site.controller())
        site.clock.advance(by: .seconds(5))
        #expect(try one.store.now { store throws(StoreError) in try store.controllers() }.count == 2)
        let drone = one.drone()
        one.core.stop()
        site.clock.settle()
        #expect(
            try two.store.now { store throws(StoreError) in try store.controllers() }.map(\.name) == [two.core.name])
        #expect(try two.store.now { store throws(StoreError) in try store.drone(drone.name) }?.controller == nil)
        two.store.behaviour = .failing
        site.clock.advance(by: .seconds(300))
        let three = site.controller()
        site.clock.advance(by: .seconds(400))
        #expect(
            try three.store.now { store throws(StoreError) in try store.controllers() }.map(\.name) == [three.core.name]
        )
    }
}

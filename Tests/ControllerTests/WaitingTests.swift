import Model
import Store
import Testing

@testable import Controller

/// Connects that are not answered at once.
@Suite struct WaitingTests {
    private func placed(_ controller: VirtualController, _ caller: VirtualCaller) throws -> BackendRow {
        let backend = try #require(caller.backend)
        return try #require(try controller.row(backend))
    }

    @Test("wait=ready: the answer comes when the backend is ready, and says so", arguments: [true, false])
    func ready(_ isThroughOther: Bool) throws {
        let site = VirtualSite(.shared)
        let (one, two) = (site.controller(), site.controller())
        let drone = one.drone()
        site.clock.advance(by: .seconds(3))
        let caller = (isThroughOther ? two : one).connect(wait: .ready)
        site.clock.advance(by: .seconds(1))
        #expect(!caller.isAnswered)
        let order = try #require(drone.orders.first)
        let row = try #require(try one.row(Values.backend(order.backend)))
        drone.report(row, BackendState(.waiting))
        site.clock.advance(by: .seconds(1))
        #expect(!caller.isAnswered)
        drone.report(row, BackendState(.ready))
        site.clock.advance(by: .seconds(1))
        #expect(caller.response?.status == .ready)
        #expect(caller.response?.backendID == order.backend)
        #expect(caller.response?.spawned == true)
        #expect(one.connect(wait: .ready).response?.status == .ready)
    }

    @Test("wait=ready: a backend that ends before is an error that says why")
    func endedBeforeReady() throws {
        let site = VirtualSite(.exclusive)
        let one = site.controller()
        let drone = one.drone()
        let caller = one.connect(wait: .ready)
        let order = try #require(drone.orders.first)
        let row = try #require(try one.row(Values.backend(order.backend)))
        drone.report(row, BackendState(.terminated, message: "Its command is not there.", endReason: .startFailed))
        #expect(caller.failure?.message == "Backend \(row.id) ended before it was ready: Its command is not there.")
        #expect(caller.failure?.status == 500)
    }

    @Test("wait=ready: two minutes at most")
    func neverReady() {
        let site = VirtualSite(.exclusive)
        let one = site.controller()
        let drone = one.drone()
        let caller = one.connect(wait: .ready)
        drone.live(for: .seconds(115))
        #expect(!caller.isAnswered)
        drone.live(for: .seconds(10))
        #expect(caller.failure?.status == 503)
        #expect(caller.failure?.retryAfterSeconds == 5)
    }

    @Test("A connect to an ending backend starts its successor when the end is reported to the other controller")
    func successorThroughOther() throws {
        let site = VirtualSite(.shared)
        let (one, two) = (site.controller(), site.controller())
        let drone = one.drone()
        site.clock.advance(by: .seconds(3))
        let first = try placed(one, one.connect())
        drone.report(first, BackendState(.ready))
        one.terminate(first.id)
        let caller = two.connect()
        #expect(!caller.isAnswered)
        site.clock.advance(by: .seconds(2))
        #expect(!caller.isAnswered)
        drone.report(first, BackendState(.terminated, reason: .external))
        site.clock.advance(by: .seconds(1))
        #expect(caller.response?.spawned == true)
        #expect((caller.response?.fencingToken ?? 0) > first.fencingToken.value)
    }

    @Test("A backend that does not end in time: the connect is refused with a time to try again")
    func stillEnding() throws {
        let site = VirtualSite(.exclusive)
        let one = site.controller()
        let drone = one.drone()
        let first = try placed(one, one.connect())
        one.terminate(first.id)
        let caller = one.connect()
        drone.live(for: .seconds(10))
        #expect(!caller.isAnswered)
        drone.live(for: .seconds(10))
        #expect(caller.failure?.kind == .keyHeldUnhealthy && caller.failure?.status == 503)
    }

    @Test("Freed on request, a key would be given away while its backend runs")
    func freedOnRequest() throws {
        let site = VirtualSite(.exclusive)
        let one = site.controller(.keyFreedOnRequest)
        _ = one.drone()
        let first = try placed(one, one.connect())
        one.terminate(first.id)
        #expect(one.connect().response?.spawned == true)
    }

    @Test("A backend whose lifetime is over is not handed out")
    func overdue() throws {
        let site = VirtualSite(.exclusive)
        let one = site.controller()
        let drone = one.drone()
        var spawn = Values.spawn()
        spawn.lifetimeLimitSeconds = 20
        let request = ConnectRequest(key: Values.key("k"), spawn: spawn)
        let first = try placed(one, one.connect(request))
        drone.report(first, BackendState(.ready))
        drone.live(for: .seconds(15))
        #expect(one.connect(request).response?.backendID == first.id.text)
        drone.live(for: .seconds(5))
        let caller = one.connect(request)
        #expect(!caller.isAnswered)
        drone.report(first, BackendState(.terminated, reason: .swept))
        #expect(caller.response?.spawned == true)
    }

    @Test("A key whose drone is silent is refused after a wait; when the drone returns, those who wait go on")
    func silentHolder() throws {
        let site = VirtualSite(.exclusive)
        let one = site.controller()
        let drone = one.drone()
        let first = try placed(one, one.connect())
        drone.report(first, BackendState(.ready))
        drone.vanish()
        let early = one.connect()
        site.clock.advance(by: .seconds(3))
        let late = one.connect()
        site.clock.advance(by: .seconds(3))
        #expect(early.failure?.kind == .keyHeldUnhealthy && early.failure?.retryAfterSeconds == 5)
        #expect(!late.isAnswered)
        let report = BackendReport(
            backend: first.id.text, fencingToken: first.fencingToken.value, state: BackendState(.ready))
        let returned = one.drone(backends: [report])
        #expect(returned.session == drone.session && returned.kept == [first.id.text])
        #expect(late.backend == first.id && late.response?.spawned == false)
    }

    @Test("A caller that has gone away gets no backend")
    func gone() throws {
        let site = VirtualSite(.exclusive)
        let one = site.controller()
        let drone = one.drone()
        let first = try placed(one, one.connect())
        one.terminate(first.id)
        let caller = one.connect()
        caller.isGone = true
        drone.report(first, BackendState(.terminated))
        #expect(caller.response == nil && drone.orders.count == 1)
    }
}

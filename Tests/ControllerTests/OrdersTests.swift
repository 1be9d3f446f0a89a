import Model
import Store
import Testing

@testable import Controller

/// Orders: what is written reaches the drone, whoever wrote it and whatever was lost on the way.
@Suite struct OrdersTests {
    @Test("A connect whose job was told to have failed, and had not, still starts its backend")
    func uncertainConnect() throws {
        let site = VirtualSite(.shared)
        let one = site.controller()
        let drone = one.drone()
        one.store.behaviour = .uncertain
        let caller = one.connect()
        #expect(caller.failure != nil)
        one.store.behaviour = .normal
        site.clock.advance(by: .seconds(2))
        #expect(drone.orders.count == 1)
        #expect(one.connect().response?.backendID == drone.orders.first?.backend)
    }

    @Test("Revoked tokens reach the drone at once, in messages of at most 500, and again when it returns")
    func revoke() throws {
        let site = VirtualSite(.exclusive)
        let one = site.controller()
        let drone = one.drone()
        let first = try #require(one.connect(user: "ada").backend)
        for _ in 0..<700 { one.connect(user: "ada") }
        let kept = try #require(one.connect(user: "bob").response?.token)
        var count: Int?
        one.core.revoke("ada", of: first) { result in count = (try? result.get())?.tokens.count }
        site.clock.settle()
        #expect(count == 701)
        #expect(drone.revoked.count == 701 && !drone.revoked.contains(kept))
        #expect(drone.messages.allSatisfy { if case .revoke(let tokens) = $0 { tokens.count <= 500 } else { true } })
        let row = try #require(try one.row(first))
        drone.report(row, BackendState(.ready))
        let returned = one.drone(backends: [
            BackendReport(backend: first.text, fencingToken: row.fencingToken.value, state: BackendState(.ready))
        ])
        #expect(returned.revoked.count == 701)
        one.core.revoke("ada", of: Values.backend("nobody")) { result in
            #expect((try? result.get()) == .some(nil))
        }
        site.clock.settle()
    }

    @Test("Tokens that are revoked through one controller are cut at the drone of the other")
    func revokeThroughOther() throws {
        let site = VirtualSite(.shared)
        let (one, two) = (site.controller(), site.controller())
        let drone = one.drone()
        let caller = one.connect(user: "ada")
        two.core.revoke("ada", of: try #require(caller.backend)) { _ in }
        site.clock.settle()
        #expect(drone.revoked.isEmpty)
        site.clock.advance(by: .seconds(1))
        #expect(drone.revoked == [caller.response?.token])
    }

    @Test("A draining drone takes no new backends, also through the other controller, until it is undrained")
    func drain() throws {
        let site = VirtualSite(.shared)
        let (one, two) = (site.controller(), site.controller())
        let drone = one.drone()
        site.clock.advance(by: .seconds(3))
        let kept = try #require(one.connect("kept").backend)
        func change(_ change: (@escaping (Result<Controller.WillingnessChange, StoreError>) -> Void) -> Void)
            -> Controller.WillingnessChange?
        {
            var outcome: Controller.WillingnessChange?
            change { outcome = try? $0.get() }
            site.clock.settle()
            return outcome
        }
        #expect(change { two.core.drain(drone.name, in: Values.cluster(), then: $0) } == .changed)
        #expect(change { two.core.drain(drone.name, in: Values.cluster(), then: $0) } == .asItWas)
        #expect(change { two.core.drain(drone.name, in: Values.cluster("x"), then: $0) } == .unknownDrone)
        // The first has not heard of it, and reads it in the transaction that places.
        #expect(one.connect("new").failure?.message.contains("1 draining") == true)
        #expect(one.connect("kept").backend == kept)
        #expect(drone.ends.isEmpty)
        #expect(change { one.core.undrain(drone.name, in: Values.cluster(), then: $0) } == .changed)
        #expect(one.connect("new").response != nil)
        let drain = Controller.Drain(isEndingNow: true)
        #expect(change { one.core.drain(drone.name, in: Values.cluster(), drain, then: $0) } == .changed)
        #expect(drone.ends.count == 2 && drone.ends.contains(kept.text))
    }

    @Test(
        "What is left on a draining drone at its deadline is asked to end, once",
        arguments: [SessionTable.Sharing.exclusive, .shared])
    func drainDeadline(_ sharing: SessionTable.Sharing) throws {
        let site = VirtualSite(sharing)
        let one = site.controller()
        let two = sharing == .shared ? site.controller() : one
        let drone = one.drone()
        site.clock.advance(by: .seconds(3))
        let backend = try #require(one.connect().backend)
        let drain = Controller.Drain(endAfterMilliseconds: 90_000)
        two.core.drain(drone.name, in: Values.cluster(), drain) { _ in }
        site.clock.settle()
        drone.live(for: .seconds(85))
        #expect(drone.ends.isEmpty)
        drone.live(for: .seconds(10))
        #expect(drone.ends == [backend.text])
        drone.live(for: .seconds(100))
        #expect(drone.ends == [backend.text])
        #expect(try one.row(backend)?.desiredEnd == DesiredEnd(kind: .soft, reason: .external))
    }

    @Test("A secret opens a link for its own drone only")
    func owner() {
        let site = VirtualSite(.exclusive)
        let one = site.controller()
        final class Socket: DroneSocket {
            var reason: String?
            func send(_ message: ControllerMessage) {}
            func close(_ reason: String) { self.reason = reason }
        }
        let socket = Socket()
        let link = one.core.linkOpened(Values.cluster(), socket, owner: Values.drone("dr-2"))
        one.core.linkReceived(
            link,
            .hello(
                DroneHello(
                    name: "dr-1", version: "1", cluster: Values.cluster().text, pool: "", process: "p", machine: "m",
                    images: [], backends: [])))
        #expect(socket.reason?.contains("dr-2") == true)
    }
}

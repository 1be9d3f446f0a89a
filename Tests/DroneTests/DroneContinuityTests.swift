import HTTP
import Linux
import Model
import Testing
import WardenProtocol

@testable import Drone

@Suite("What a drone keeps when something else is lost")
struct DroneContinuityTests {
    @Test("A drone whose controller is killed goes to the next one, and its backends live on")
    func nextController() throws {
        let site = try TestSite()
        defer { site.end() }
        let other = try ScriptedController(loop: site.loop) { [loop = site.loop] in loop.stop() }
        defer { other.server.close(grace: .zero) }
        // Nobody listens at the first one from the start.
        let unused = try Socket.tcpListener(.loopback(0))
        let refusing = try HTTPURL("http://127.0.0.1:\(Socket.localPort(unused.raw))/")
        _ = consume unused
        let urls = try [site.controller, other].map { try HTTPURL("http://\($0.server.address)/") }
        try site.startDrone { $0.controllerURLs = [refusing] + urls }
        try site.wait(for: "welcome") { site.drone?.isWelcomed == true }
        site.order("demo1")
        try site.wait(for: "ready") { site.controller.states(of: "demo1").last?.status == .ready }
        site.controller.die()
        try site.wait(for: "a hello elsewhere") { !other.hellos.isEmpty }
        #expect(other.hellos.first?.backends.map(\.state.status) == [.ready])
        try site.wait(for: "welcome") { site.drone?.isWelcomed == true }
        other.send(.route(site.grant("token", "demo1")))
        #expect(try site.get("/token/").status == 200)
        #expect(!site.warden.requests.contains { if case .terminate = $0 { true } else { false } })
    }

    @Test("A drone whose controller still answers pings, and nothing else, goes to the next one before its lease ends")
    func wedgedController() throws {
        let site = try TestSite()
        defer { site.end() }
        let other = try ScriptedController(loop: site.loop) { [loop = site.loop] in loop.stop() }
        defer { other.server.close(grace: .zero) }
        site.controller.lease = try LeaseTimes(renew: 1_000, soft: 6_000, hard: 9_000, expiry: 12_000)
        other.lease = site.controller.lease
        let urls = try [site.controller, other].map { try HTTPURL("http://\($0.server.address)/") }
        try site.startDrone { $0.controllerURLs = urls }
        try site.wait(for: "welcome") { site.drone?.isWelcomed == true }
        site.order("demo1")
        try site.wait(for: "ready") { site.controller.states(of: "demo1").last?.status == .ready }
        let backend = try BackendID("demo1")
        site.controller.silent = [.hello, .renewals, .states]
        let before = try #require(site.warden.sandboxes[backend]?.hardDeadline)
        try site.wait(for: "a later deadline from the other one") {
            !other.hellos.isEmpty && site.warden.sandboxes[backend].map { $0.hardDeadline > before } == true
        }
        #expect(!site.warden.requests.contains { if case .terminate = $0 { true } else { false } })
    }

    @Test("The drone's secret is shown to the controller instead of the URL's user, which is shown without one")
    func secret() throws {
        let site = try TestSite()
        defer { site.end() }
        let url = try HTTPURL("http://ada@\(site.controller.server.address)/")
        try site.startDrone { $0.controllerURLs = [url] }
        try site.wait(for: "welcome") { site.drone?.isWelcomed == true }
        #expect(site.controller.authorization == "Bearer ada")
        try site.startDrone {
            $0.controllerURLs = [url]
            $0.secret = "0123456789abcdef"
        }
        try site.wait(for: "welcome") { site.drone?.isWelcomed == true }
        #expect(site.controller.authorization == "Bearer 0123456789abcdef")
        #expect(!site.logged.text.contains("0123456789abcdef"))
    }

    @Test("A revoked token's request is cut where it stands; another one's goes on")
    func revoke() throws {
        let site = try TestSite()
        defer { site.end() }
        try site.startDrone()
        try site.wait(for: "welcome") { site.drone?.isWelcomed == true }
        site.order("demo1")
        for token in ["revoked", "other"] { site.controller.send(.route(site.grant(token, "demo1"))) }
        var answers: [String: Result<Response, HTTPClientError>] = [:]
        for token in ["revoked", "other"] { try site.start("/\(token)/held") { answers[token] = $0 } }
        try site.wait(for: "requests") { site.held.count == 2 }
        site.controller.send(.revoke(tokens: ["revoked"]))
        try site.wait(for: "cut") { answers["revoked"] != nil }
        #expect((try? answers["revoked"]?.get())?.status != 200)
        #expect(try site.get("/revoked/").status == 410)
        #expect(answers["other"] == nil)
        site.answerHeld()
        try site.wait(for: "the other's answer") { answers["other"] != nil }
        #expect(try answers["other"]?.get().status == 200)
        #expect(!site.controller.messages.contains(.routeRequest(token: "revoked")))
    }

    @Test("A command that does not take HEAD is asked with GET")
    func getFallback() throws {
        let site = try TestSite()
        defer { site.end() }
        site.warden.offers[0].readiness.path = "/up"
        site.probeStatus = 405
        site.getProbeStatus = 200
        try site.startDrone()
        try site.wait(for: "welcome") { site.drone?.isWelcomed == true }
        site.order("demo1")
        try site.wait(for: "ready") { site.controller.states(of: "demo1").last?.status == .ready }
        #expect(site.probed == ["/up"], "HEAD once")
    }

    @Test("An end that was not yet told when the drone was restarted is told by the next one, with its exit code")
    func untoldExit() throws {
        let site = try TestSite()
        defer { site.end() }
        try site.startDrone()
        try site.wait(for: "welcome") { site.drone?.isWelcomed == true }
        site.order("demo1")
        try site.wait(for: "ready") { site.controller.states(of: "demo1").last?.status == .ready }
        site.drone?.close()
        site.warden.cut()
        site.warden.end(
            try BackendID("demo1"),
            SandboxExit(
                cause: .ended, status: .exited(code: 3), outOfMemory: false, cpuMicroseconds: 5, memoryPeakBytes: 6))
        try site.startDrone()
        try site.wait(for: "hello") { site.controller.hellos.count == 2 }
        let report = try #require(site.controller.hellos[1].backends.first)
        #expect(report.fencingToken == 7 && report.state.status == .terminated && report.state.exit?.code == 3)
        site.controller.send(.stateSaved(backend: "demo1", status: .terminated))
        let backend = try BackendID("demo1")
        try site.wait(for: "forget") { site.warden.requests.contains(.forget(backend)) }
    }

    @Test("A restarted drone finds its backends, and ends those that the controller does not keep")
    func adoption() throws {
        let site = try TestSite()
        defer { site.end() }
        try site.startDrone()
        try site.wait(for: "welcome") { site.drone?.welcome == .received }
        for name in ["demo1", "demo2"] { site.order(name) }
        try site.wait(for: "ready") {
            ["demo1", "demo2"].allSatisfy { site.controller.states(of: $0).last?.status == .ready }
        }
        site.controller.keep = ["demo1"]
        try site.startDrone()
        try site.wait(for: "second hello") { site.controller.hellos.count == 2 }
        #expect(site.controller.hellos[1].backends.map(\.backend) == ["demo1", "demo2"])
        #expect(site.controller.hellos[1].backends.allSatisfy { $0.fencingToken == 7 })
        #expect(site.controller.hellos[0].process != site.controller.hellos[1].process)
        let second = try BackendID("demo2")
        try site.wait(for: "the second's end") { site.warden.requests.contains(.forget(second)) }
        #expect(site.controller.states(of: "demo2").last?.reason == .lost)

        site.controller.send(.route(site.grant("token", "demo1")))
        #expect(try site.get("/token/").status == 200)
        #expect(site.warden.sandboxes.count == 1)
    }

    @Test("States that were not confirmed are told again, also over a new connection")
    func statesAreToldAgain() throws {
        let site = try TestSite()
        defer { site.end() }
        try site.startDrone()
        try site.wait(for: "welcome") { site.drone?.welcome == .received }
        site.controller.silent = [.states]
        site.order("demo1")
        try site.wait(for: "ready") { site.controller.states(of: "demo1").last?.status == .ready }
        func told() -> Int {
            site.controller.messages.count {
                $0 == .state(backend: "demo1", fencingToken: 7, state: BackendState(.ready))
            }
        }
        try site.wait(for: "told twice") { told() >= 2 }
        site.controller.cut()
        let before = told()
        try site.wait(for: "told over the next connection") { told() > before }
        #expect(site.controller.hellos.last?.backends.first?.state.status == .ready)
        site.controller.silent = []
        site.controller.send(.terminate(backend: "demo1", kind: .hard, reason: .external))
        let backend = try BackendID("demo1")
        try site.wait(for: "forget") { site.warden.requests.contains(.forget(backend)) }
    }
}

import HTTP
import Linux
import Model
import Testing
import WardenProtocol

@testable import Drone

@Suite("A drone between real sockets")
struct DroneStoryTests {
    @Test("From order to ready, through the proxy, to its end, and nothing is left")
    func wholeStory() throws {
        let site = try TestSite()
        defer { site.end() }
        try site.startDrone()
        try site.wait(for: "hello") { site.drone?.welcome == .received }
        let hello = try #require(site.controller.hellos.first)
        #expect(hello.name == "dr-test" && hello.pool == "blue" && hello.images.map(\.name) == [TestSite.image])
        #expect(site.controller.path == "/ctrl/c/localhost/drone-socket?pool=blue")

        let backend = try BackendID("demo1")
        site.order("demo1")
        site.order("demo1")
        site.controller.send(.route(site.grant("token", "demo1")))
        let response = try site.get("/token/a/b?c=d")
        #expect(response.status == 200)
        #expect(String(decoding: response.body, as: UTF8.self).contains("hello from the sandbox"))

        let request = try #require(site.received.first)
        #expect(request.path == "/a/b")
        #expect(request.fields["x-verified-username"] == "ada")
        #expect(request.fields["x-verified-user-data"] == "{\"a\":1}")
        #expect(request.fields["x-verified-secret"] == "secret")
        #expect(request.fields["x-verified-backend"] == "demo1")
        #expect(request.fields["x-plane-fencing-token"] == "7")

        try site.wait(for: "traffic") { site.controller.traffic(of: "demo1")?.requests == 1 }

        let spawns = site.warden.requests.compactMap { if case .spawn(let spawn) = $0 { spawn } else { nil } }
        #expect(spawns.count == 1, "an order that comes twice starts one")
        let spawn = try #require(spawns.first)
        let port = site.upstream.address.port
        #expect(
            spawn.environment == [
                "GREETING=hello", "PORT=\(port)", "SESSION_BACKEND_FENCING_TOKEN=7", "SESSION_BACKEND_ID=demo1",
                "SESSION_BACKEND_KEY=demo",
            ])
        let limit = BootInstant.now + .milliseconds(LeaseTimes.standard.hardMilliseconds)
        #expect(spawn.hardDeadline <= limit && spawn.hardDeadline > .now)

        site.controller.send(.terminate(backend: "demo1", kind: .soft, reason: .external))
        try site.wait(for: "forget") { site.warden.requests.contains(.forget(backend)) }
        #expect(
            site.controller.states(of: "demo1").map(\.status)
                == [.loading, .starting, .waiting, .ready, .terminating, .terminated])
        let end = try #require(site.controller.states(of: "demo1").last)
        #expect(end.reason == .external && end.kind == .soft && end.exit?.code == 0)
        #expect(site.drone?.backends.isEmpty == true)
        #expect(site.warden.sandboxes.isEmpty)

        // A late copy of the order does not start it again.
        site.order("demo1")
        site.controller.send(.terminate(backend: "unknown1", kind: .hard, reason: .external))
        try site.wait(for: "answer about the unknown") { !site.controller.states(of: "unknown1").isEmpty }
        #expect(site.controller.states(of: "unknown1").first?.reason == .lost)
        #expect(site.warden.sandboxes.isEmpty)

        // A later backend of the same id is another one.
        site.order("demo1") { $0.fencingToken = 8 }
        try site.wait(for: "its successor") { site.warden.sandboxes[backend] != nil }
    }

    @Test("A command that ends before it answers is reported with its last output")
    func diesBeforeReady() throws {
        let site = try TestSite()
        defer { site.end() }
        // A port that nothing listens on.
        let unused = try Socket.tcpListener(.loopback(0))
        let port = try Socket.localPort(unused.raw)
        _ = consume unused
        (site.warden.offers[0].port, site.warden.offers[0].readiness.port) = (port, port)
        try site.startDrone()
        try site.wait(for: "welcome") { site.drone?.welcome == .received }
        site.order("demo1")
        let backend = try BackendID("demo1")
        // More than one probe, so that it was asked again after it was refused.
        try site.wait(for: "probes") { site.warden.requests.count { $0 == .sockets(backend, count: 1) } >= 3 }
        site.warden.write("Traceback: no module named app\n", by: backend)
        site.warden.end(
            backend,
            SandboxExit(
                cause: .ended, status: .exited(code: 1), outOfMemory: false, cpuMicroseconds: 0, memoryPeakBytes: 0))
        try site.wait(for: "end") { site.controller.states(of: "demo1").last?.status == .terminated }
        let end = try #require(site.controller.states(of: "demo1").last)
        #expect(end.exit?.code == 1 && end.endReason == .exited)
        #expect(
            end.message
                == "The command exited with status 1 before it answered on port \(port). "
                + "Its last output: Traceback: no module named app")
        #expect(site.logged.text.contains("[demo1] Traceback"))
    }

    @Test("A backend whose policy names a path is ready when that answers well, also for a drone that was restarted")
    func readinessPath() throws {
        let site = try TestSite()
        defer { site.end() }
        site.warden.offers[0].readiness.path = "/up?deep=1"
        site.probeStatus = 503
        try site.startDrone()
        try site.wait(for: "welcome") { site.drone?.welcome == .received }
        site.order("demo1")
        let backend = try BackendID("demo1")
        func probes() -> Int { site.warden.requests.count { $0 == .sockets(backend, count: 1) } }
        // Each probe after the first follows an answer that was not good enough.
        try site.wait(for: "probes") { probes() >= 3 }
        #expect(site.controller.states(of: "demo1").last?.status == .waiting)
        site.controller.keep = ["demo1"]
        try site.startDrone()
        let before = probes()
        try site.wait(for: "probes of the next drone") { probes() >= before + 3 }
        #expect(site.controller.hellos.last?.backends.first?.state.status == .waiting)
        site.probeStatus = 204
        try site.wait(for: "ready") { site.controller.states(of: "demo1").last?.status == .ready }
        #expect(Set(site.probed) == ["/up"])
    }

    @Test("A sandbox that its warden ends at a limit of its own is reported with that limit and what it used")
    func processorTime() throws {
        let site = try TestSite()
        defer { site.end() }
        try site.startDrone()
        try site.wait(for: "welcome") { site.drone?.welcome == .received }
        site.order("demo1")
        try site.wait(for: "ready") { site.controller.states(of: "demo1").last?.status == .ready }
        site.warden.end(
            try BackendID("demo1"),
            SandboxExit(
                cause: .cpuTime, status: nil, outOfMemory: false, cpuMicroseconds: 60_000_001,
                memoryPeakBytes: 5 << 20))
        try site.wait(for: "end") { site.controller.states(of: "demo1").last?.status == .terminated }
        let end = try #require(site.controller.states(of: "demo1").last)
        #expect(end.endReason == .cpuTime && end.reason == nil && end.kind == .hard && end.exit == nil)
        #expect(end.usage == BackendUsage(cpuMicroseconds: 60_000_001, memoryPeakBytes: 5 << 20))
        #expect(end.message == "The warden killed it at its limit of total processor time.")
    }

    @Test("A policy's lifetime and idle time end backends that asked for none, or for more")
    func policyEnds() throws {
        let site = try TestSite()
        defer { site.end() }
        site.warden.offers[0].ceilings.lifetimeSeconds = 1
        var idle = site.warden.offers[0]
        idle.image = try ImageName("idle")
        (idle.ceilings.lifetimeSeconds, idle.ceilings.idleSeconds) = (nil, 1)
        site.warden.offers.append(idle)
        try site.startDrone()
        try site.wait(for: "welcome") { site.drone?.welcome == .received }
        site.order("demo1")
        site.order("demo2") { $0.lifetimeLimitSeconds = 1_000 }
        site.order("demo3") { $0.image = "idle" }
        site.order("demo4") {
            $0.image = "idle"
            $0.maxIdleSeconds = 1_000
        }
        for name in ["demo1", "demo2", "demo3", "demo4"] {
            try site.wait(for: "the end of \(name)") {
                site.controller.states(of: name).last?.status == .terminated
            }
            let end = try #require(site.controller.states(of: name).last)
            #expect(end.reason == .swept && end.endReason == .swept)
            let why =
                ["demo1", "demo2"].contains(name)
                ? "Its lifetime limit was reached." : "Nobody had a connection or sent a request for 1 s."
            #expect(end.message?.hasPrefix(why) == true)
        }
    }

    @Test("A token that was not pushed is asked for, once, and both answers reach the client")
    func tokensAreAskedFor() throws {
        let site = try TestSite()
        defer { site.end() }
        try site.startDrone()
        try site.wait(for: "welcome") { site.drone?.welcome == .received }
        site.order("demo1")
        var statuses: [String: Int] = [:]
        for token in ["good", "bad", "elsewhere"] {
            try site.start("/\(token)/") { statuses[token] = (try? $0.get())?.status ?? 0 }
        }
        func asked(_ token: String) -> Int { site.controller.messages.count { $0 == .routeRequest(token: token) } }
        try site.wait(for: "questions") { ["good", "bad", "elsewhere"].allSatisfy { asked($0) > 0 } }
        site.controller.send(.routeAnswer(token: "good", grant: site.grant("good", "demo1")))
        site.controller.send(.routeAnswer(token: "bad", grant: nil))
        site.controller.send(.routeAnswer(token: "elsewhere", grant: site.grant("elsewhere", "demo2")))
        try site.wait(for: "answers") { statuses.count == 3 }
        #expect(statuses == ["good": 200, "bad": 410, "elsewhere": 410])
        #expect(asked("good") == 1)
    }

    @Test("Without an answer to any renewal backends are asked to end, then killed, and their connections are cut")
    func leaseIsLost() throws {
        let site = try TestSite()
        defer { site.end() }
        site.controller.lease = try LeaseTimes(renew: 200, soft: 1_000, hard: 1_500, expiry: 2_000)
        site.warden.offers[0].gracePeriodSeconds = 30
        site.warden.endsOn = []
        try site.startDrone()
        try site.wait(for: "welcome") { site.drone?.welcome == .received }
        site.order("demo1")
        try site.wait(for: "ready") { site.controller.states(of: "demo1").last?.status == .ready }
        let backend = try BackendID("demo1")
        let first = try #require(site.warden.sandboxes[backend]?.hardDeadline)
        try site.wait(for: "a later deadline") {
            site.warden.sandboxes[backend].map { $0.hardDeadline > first } ?? false
        }

        site.controller.send(.route(site.grant("token", "demo1")))
        var answer: Result<Response, HTTPClientError>?
        try site.start("/token/held") { answer = $0 }
        try site.wait(for: "the request") { !site.held.isEmpty }

        site.controller.silent = [.hello, .renewals]
        try site.wait(for: "soft") { site.warden.requests.contains(.terminate(backend, .soft)) }
        #expect(answer == nil, "what is under way may end by itself")
        #expect(try site.get("/token/").status == 410, "nothing new is let in")
        try site.wait(for: "hard") { site.warden.requests.contains(.terminate(backend, .hard)) }
        // The sandbox has not ended yet, and is cut off already.
        try site.wait(for: "cut", within: .seconds(5)) { answer != nil }
        #expect((try? answer?.get())?.status != 200)
        #expect(site.controller.hellos.count >= 2, "it kept trying, on other connections too")
        site.warden.endsOn = [.hard]
        site.controller.silent = []
        try site.wait(for: "end") { site.controller.states(of: "demo1").last?.status == .terminated }
        #expect(site.controller.states(of: "demo1").last?.reason == .keyExpired)
    }

    @Test("An idle backend is swept; one with a request in flight is not")
    func idleSweep() throws {
        let site = try TestSite()
        defer { site.end() }
        try site.startDrone()
        try site.wait(for: "welcome") { site.drone?.welcome == .received }
        site.order("demo1") { $0.maxIdleSeconds = 1 }
        site.controller.send(.route(site.grant("token", "demo1")))
        var answer: Int?
        try site.start("/token/held") { answer = (try? $0.get())?.status ?? 0 }
        try site.wait(for: "the request") { !site.held.isEmpty }
        try site.pass(.milliseconds(3_500))
        #expect(site.controller.states(of: "demo1").last?.status == .ready)
        site.answerHeld()
        try site.wait(for: "answer") { answer != nil }
        #expect(answer == 200)
        try site.wait(for: "end") { site.controller.states(of: "demo1").last?.status == .terminated }
        let end = try #require(site.controller.states(of: "demo1").last)
        #expect(end.reason == .swept && end.kind == .soft)
        #expect(end.message?.hasPrefix("Nobody had a connection or sent a request for 1 s.") == true)
    }

    @Test("An idle backend stays while the controller says that it was promised to somebody, or says nothing")
    func sweepIsAskedFor() throws {
        let site = try TestSite()
        defer { site.end() }
        site.controller.silent = [.sweeps]
        try site.startDrone()
        try site.wait(for: "welcome") { site.drone?.welcome == .received }
        site.order("demo1") { $0.maxIdleSeconds = 1 }
        site.controller.send(.route(site.grant("token", "demo1", connects: 3)))
        try site.wait(for: "question") { site.controller.sweeps(of: "demo1") == [3] }
        site.controller.send(.inUse(backend: "demo1", connects: 4))
        try site.wait(for: "a question with what it was told") { site.controller.sweeps(of: "demo1") == [3, 4] }
        // Unanswered, it is asked again, and nothing ends.
        try site.wait(for: "the same question") { site.controller.sweeps(of: "demo1") == [3, 4, 4] }
        #expect(site.controller.states(of: "demo1").last?.status == .ready)
        #expect(try site.get("/token/").status == 200)
        site.controller.send(.terminate(backend: "demo1", kind: .soft, reason: .swept))
        try site.wait(for: "end") { site.controller.states(of: "demo1").last?.status == .terminated }
    }

    @Test("A warden that went away took its sandboxes along, and the next one is used")
    func wardenRestarts() throws {
        let site = try TestSite()
        defer { site.end() }
        try site.startDrone()
        try site.wait(for: "welcome") { site.drone?.welcome == .received }
        site.order("demo1")
        try site.wait(for: "ready") { site.controller.states(of: "demo1").last?.status == .ready }
        site.warden.sandboxes = [:]
        site.warden.cut()
        try site.wait(for: "lost") { site.controller.states(of: "demo1").last?.status == .terminated }
        #expect(site.controller.states(of: "demo1").last?.reason == .lost)
        site.order("demo2")
        try site.wait(for: "ready again") { site.controller.states(of: "demo2").last?.status == .ready }
    }

    @Test("Missing cgroup controllers are refused by name, or said loudly when that is allowed")
    func missingControllers() throws {
        let site = try TestSite()
        defer { site.end() }
        site.warden.missingControllers = ["memory", "pids"]
        try site.startDrone()
        try site.wait(for: "refusal") { site.refusal != nil }
        #expect(site.refusal?.description.contains("memory, pids") == true)
        #expect(site.controller.hellos.isEmpty)
        try site.startDrone { $0.controllers = .optional }
        try site.wait(for: "welcome") { site.drone?.welcome == .received }
        #expect(site.logged.text.contains("NOT ENFORCED: memory, pids"))
    }

    @Test("A warden of another build, or one that talks nonsense, is named and tried again")
    func strangeWarden() throws {
        let site = try TestSite()
        defer { site.end() }
        site.warden.version = 99
        try site.startDrone()
        try site.wait(for: "complaint") { site.logged.text.contains("speaks version 99, not") }
        #expect(site.controller.hellos.isEmpty, "nothing is promised before the warden is known")
        site.warden.version = WardenRequest.version
        try site.wait(for: "welcome") { site.drone?.welcome == .received }
        site.order("demo1")
        try site.wait(for: "ready") { site.controller.states(of: "demo1").last?.status == .ready }
        site.warden.sendGarbage()
        try site.wait(for: "complaint") { site.logged.text.contains("reply 255 does not exist") }
        site.order("demo2")
        try site.wait(for: "ready") { site.controller.states(of: "demo2").last?.status == .ready }
        #expect(site.controller.states(of: "demo1").last?.status == .ready, "the first one lives on")
    }

    @Test("An image that is added is told to the controller without a restart")
    func newImage() throws {
        let site = try TestSite()
        defer { site.end() }
        try site.startDrone()
        try site.wait(for: "welcome") { site.drone?.welcome == .received }
        site.order("demo1")
        try site.wait(for: "ready") { site.controller.states(of: "demo1").last?.status == .ready }
        var added = site.warden.offers[0]
        added.image = try ImageName("added")
        site.warden.offers.append(added)
        try site.wait(for: "a hello with it") {
            site.controller.hellos.last?.images.map(\.name) == ["added", TestSite.image]
        }
        #expect(site.controller.hellos.last?.backends.first?.state.status == .ready)
        site.order("demo2") { $0.image = "missing" }
        try site.wait(for: "refusal") { site.controller.states(of: "demo2").last?.status == .terminated }
        let end = try #require(site.controller.states(of: "demo2").last)
        #expect(end.reason == .internalError && end.endReason == .startFailed)
        #expect(end.message?.hasPrefix("There is no image missing on drone dr-test.") == true)
    }

    @Test("Stopped with its backends, a drone ends them and reports it first")
    func stopsBackends() throws {
        let site = try TestSite()
        defer { site.end() }
        try site.startDrone()
        try site.wait(for: "welcome") { site.drone?.welcome == .received }
        site.order("demo1")
        try site.wait(for: "ready") { site.controller.states(of: "demo1").last?.status == .ready }
        var stopped = false
        site.drone?.stop(.stopBackends) { [loop = site.loop] in
            stopped = true
            loop.stop()
        }
        try site.wait(for: "stop") { stopped }
        #expect(site.controller.states(of: "demo1").last?.status == .terminated)
        let backend = try BackendID("demo1")
        try site.wait(for: "forget") { site.warden.requests.contains(.forget(backend)) }
    }

    @Test("Stopped without its backends, a drone leaves them to the next one")
    func keepsBackends() throws {
        let site = try TestSite()
        defer { site.end() }
        try site.startDrone()
        try site.wait(for: "welcome") { site.drone?.welcome == .received }
        site.order("demo1")
        try site.wait(for: "ready") { site.controller.states(of: "demo1").last?.status == .ready }
        var stopped = false
        site.drone?.stop(.keepBackends) { [loop = site.loop] in
            stopped = true
            loop.stop()
        }
        try site.wait(for: "stop") { stopped }
        #expect(site.warden.sandboxes.count == 1)
        #expect(!site.warden.requests.contains { if case .terminate = $0 { true } else { false } })
    }
}

import HTTP
import Model
import Testing

@testable import Controller

/// The drone link over a real WebSocket: hello, lease, states, routes, and what outlives a controller.
@Suite(.timeLimit(.minutes(2))) struct DroneLinkTests {
    private func report(_ response: ConnectResponse, _ status: BackendStatus) -> BackendReport {
        BackendReport(
            backend: response.backendID, fencingToken: response.fencingToken, state: BackendState(status))
    }

    private func status(_ site: TestSite, _ backend: String) async throws -> JSONValue? {
        try await site.get("/pub/b/\(backend)/status").json.members?["status"]
    }

    @Test("A drone that returns keeps what both know; the rest is killed, lost or started again")
    func reconciliation() async throws {
        let site = try await TestSite()
        let drone = try await TestDrone(site)
        _ = try await drone.welcomed()
        var backends: [ConnectResponse] = []
        for key in ["kept", "lost", "unheard"] { backends.append(try await site.connect(key: key).connected()) }
        let (kept, lost, unheard) = (backends[0], backends[1], backends[2])
        for backend in [kept, lost] { try await drone.report(backend, BackendState(.ready)) }
        drone.close()
        let stranger = BackendReport(backend: "stranger", fencingToken: 99, state: BackendState(.ready))
        let returned = try await TestDrone(site, backends: [report(kept, .ready), stranger])
        #expect(try await returned.welcomed() == [kept.backendID])
        // What it did not list it is asked to end; that it has nothing of it is for it to say.
        try await returned.next { if case .terminate(lost.backendID, .hard, .lost) = $0 { () } else { nil } }
        #expect(try await returned.order().backend == unheard.backendID)
        #expect(try await status(site, lost.backendID) == .string("ready"))
        try await returned.report(lost, BackendState(.terminated, reason: .lost))
        let entry = try await site.get("/pub/b/\(lost.backendID)/status").json.members
        #expect(entry?["termination_reason"] == .string("lost"))
        #expect(entry?["exit_error"] == .bool(true))
        #expect(try await site.connect(key: "kept").connected().backendID == kept.backendID)
        let successor = try await site.connect(key: "lost").connected()
        #expect(successor.spawned && successor.fencingToken > lost.fencingToken)
        try await site.stop()
    }

    @Test("Keys, tokens and the fencing sequence survive a restart of the controller")
    func controllerRestart() async throws {
        let folder = TemporaryFolder()
        var site = try await TestSite(folder: folder)
        var drone = try await TestDrone(site)
        _ = try await drone.welcomed()
        let first = try await site.connect(
            #"{"key":{"name":"k"},"user":"ada","spawn_config":{"executable":{"image":"python-repl"}}}"#
        ).connected()
        try await drone.report(first, BackendState(.ready))
        let gone = try await site.connect(key: "gone").connected()
        try await drone.report(gone, BackendState(.terminated))
        try await site.stop()

        site = try await TestSite(folder: folder)
        drone = try await TestDrone(site, backends: [report(first, .ready)])
        #expect(try await drone.welcomed() == [first.backendID])
        let again = try await site.connect(#"{"key":{"name":"k"}}"#).connected()
        #expect(again.backendID == first.backendID && !again.spawned && again.status == .ready)
        #expect(again.fencingToken == first.fencingToken)
        drone.send(.routeRequest(token: first.token))
        let grant = try await drone.next {
            if case .routeAnswer(first.token, let grant) = $0 { grant } else { nil }
        }
        #expect(grant.user == "ada" && grant.backend == first.backendID)
        let next = try await site.connect(key: "gone").connected()
        #expect(next.fencingToken > gone.fencingToken)
        try await site.stop()
    }

    @Test("An end that was asked for while the drone was away reaches it when it returns")
    func durableTermination() async throws {
        let site = try await TestSite()
        let drone = try await TestDrone(site)
        _ = try await drone.welcomed()
        let backend = try await site.connect(key: "k").connected()
        try await drone.report(backend, BackendState(.ready))
        drone.close()
        while await drone.next() != nil {}
        #expect(try await site.post("/ctrl/b/\(backend.backendID)/hard-terminate").status == 200)
        let returned = try await TestDrone(site, backends: [report(backend, .ready)])
        #expect(try await returned.welcomed() == [backend.backendID])
        try await returned.next {
            if case .terminate(backend.backendID, .hard, .external) = $0 { () } else { nil }
        }
        try await site.stop()
    }

    @Test("A drone that stops renewing is given up: its backends are lost, its key is free, its link is closed")
    func sessionExpiry() async throws {
        let lease = try LeaseTimes(renew: 500, soft: 1500, hard: 2500, expiry: 3000)
        let site = try await TestSite(lease: lease)
        let silent = try await TestDrone(site)
        _ = try await silent.welcomed()
        let first = try await site.connect(key: "k").connected()
        try await silent.report(first, BackendState(.ready))
        let stream = try StatusStreamTests.Listener(site, first.backendID)
        #expect(try await stream.rest() == ["scheduled", "ready", "terminated"])
        while await silent.next() != nil {}
        let entry = try await site.get("/pub/b/\(first.backendID)/status").json.members
        #expect(entry?["termination_reason"] == .string("lost"))
        #expect(entry?["message"] == .string("Its drone dr-1 did not renew its lease in time."))
        #expect(entry?["end_reason"] == .string("lost"))
        // Whatever the drone says when it comes back, the old backend is not to be kept.
        let returned = try await TestDrone(site, backends: [report(first, .ready)])
        #expect(try await returned.welcomed() == [])
        let second = try await site.connect(key: "k").connected()
        #expect(second.spawned && second.fencingToken > first.fencingToken)
        try await site.stop()
    }

    @Test("A drone that renews keeps its lease")
    func renewal() async throws {
        let lease = try LeaseTimes(renew: 500, soft: 1500, hard: 2500, expiry: 3000)
        let site = try await TestSite(lease: lease)
        let drone = try await TestDrone(site)
        _ = try await drone.welcomed()
        let backend = try await site.connect(key: "k").connected()
        try await drone.report(backend, BackendState(.ready))
        let clock = ContinuousClock()
        let start = clock.now
        while clock.now - start < .milliseconds(4500) { _ = try await drone.all() }
        #expect(try await status(site, backend.backendID) == .string("ready"))
        try await site.stop()
    }

    @Test("A connect to a key whose drone is away waits for it, and goes on when it is back")
    func waitsForDrone() async throws {
        let site = try await TestSite()
        let drone = try await TestDrone(site)
        _ = try await drone.welcomed()
        let first = try await site.connect(key: "k").connected()
        try await drone.report(first, BackendState(.ready))
        drone.close()
        while await drone.next() != nil {}
        async let waiting = site.connect(key: "k").connected()
        let returned = try await TestDrone(site, backends: [report(first, .ready)])
        _ = try await returned.welcomed()
        #expect(try await waiting.backendID == first.backendID)
        try await site.stop()
    }

    @Test("A connect to a key whose drone stays away is refused as unhealthy, with a time to try again")
    func unhealthy() async throws {
        let site = try await TestSite()
        let drone = try await TestDrone(site)
        _ = try await drone.welcomed()
        _ = try await site.connect(key: "k").connected()
        drone.close()
        while await drone.next() != nil {}
        let answer = try await site.connect(key: "k")
        #expect(answer.status == 503)
        #expect(try answer.error().kind == .keyHeldUnhealthy)
        #expect(answer.fields["retry-after"] == "5")
        try await site.stop()
    }

    @Test("Routes: a live token is granted; unknown, expired-looking and ended ones lead nowhere")
    func routes() async throws {
        let site = try await TestSite()
        let drone = try await TestDrone(site)
        _ = try await drone.welcomed()
        let backend = try await site.connect(key: "k").connected()
        func ask(_ token: String) async throws -> RouteGrant? {
            drone.send(.routeRequest(token: token))
            return try await drone.next {
                if case .routeAnswer(token, let grant) = $0 { Optional.some(grant) } else { nil }
            }
        }
        #expect(try await ask(backend.token)?.backend == backend.backendID)
        #expect(try await ask("nonsense") == nil)
        #expect(try await ask("../../etc") == nil)
        let other = try await TestDrone(site, "dr-2")
        _ = try await other.welcomed()
        other.send(.routeRequest(token: backend.token))
        let answer = try await other.next {
            if case .routeAnswer(backend.token, let grant) = $0 { Optional.some(grant) } else { nil }
        }
        #expect(answer == nil)
        try await drone.report(backend, BackendState(.terminated))
        #expect(try await ask(backend.token) == nil)
        try await site.stop()
    }

    @Test("A backend is not swept when a connect was answered with it that the drone had not heard of")
    func sweep() async throws {
        let site = try await TestSite()
        let (drone, other) = (try await TestDrone(site), try await TestDrone(site, "dr-2", images: []))
        _ = try await drone.welcomed()
        _ = try await other.welcomed()
        func ask(_ backend: String, _ connects: Int64, _ asker: TestDrone) async throws -> ControllerMessage {
            asker.send(.sweep(backend: backend, connects: connects))
            return try await asker.next { message in
                switch message {
                case .terminate, .inUse: message
                default: nil
                }
            }
        }
        let first = try await site.connect(key: "k").connected()
        try await drone.report(first, BackendState(.ready))
        let again = try await site.connect(key: "k").connected()
        #expect(again.backendID == first.backendID)
        #expect(try await ask(first.backendID, 1, drone) == .inUse(backend: first.backendID, connects: 2))
        // Another drone's backend is none of its own.
        #expect(
            try await ask(first.backendID, 2, other)
                == .terminate(backend: first.backendID, kind: .hard, reason: .lost))
        #expect(try await site.connect(key: "k").connected().backendID == first.backendID)
        let end = ControllerMessage.terminate(backend: first.backendID, kind: .soft, reason: .swept)
        #expect(try await ask(first.backendID, 3, drone) == end)
        // From here on connects wait for the successor, and asking again changes nothing.
        async let waiting = site.connect(key: "k").connected()
        #expect(try await ask(first.backendID, 0, drone) == end)
        try await drone.report(first, BackendState(.terminated, reason: .swept, kind: .soft))
        let successor = try await waiting
        #expect(successor.spawned && successor.backendID != first.backendID)
        try await site.stop()
    }

    @Test("A drone may speak of its own backends alone")
    func foreignState() async throws {
        let site = try await TestSite()
        let (owner, other) = (try await TestDrone(site), try await TestDrone(site, "dr-2", images: []))
        _ = try await owner.welcomed()
        _ = try await other.welcomed()
        let backend = try await site.connect(key: "k").connected()
        other.send(.state(backend: backend.backendID, fencingToken: backend.fencingToken, state: BackendState(.ready)))
        try await other.next { if case .terminate(backend.backendID, .hard, .lost) = $0 { () } else { nil } }
        #expect(try await status(site, backend.backendID) == .string("scheduled"))
        try await site.stop()
    }

    @Test(
        "Whoever does not speak the protocol is turned away",
        arguments: ["nonsense", "{}", "[]", #"{"renew":{"sequence":"x"}}"#, secondHello])
    func badFrames(_ text: String) async throws {
        let site = try await TestSite()
        let drone = try await TestDrone(site)
        _ = try await drone.welcomed()
        drone.send(raw: text)
        #expect(await drone.next() == nil)
        try await site.stop()
    }

    private static let secondHello = JSONText.text(
        of: DroneMessage.hello(
            DroneHello(
                name: "dr-1", version: "1", cluster: "localhost:9090", pool: "", process: "p1", machine: "m1",
                images: [],
                backends: [])))

    @Test("A hello with a bad name, image or cluster is turned away, and nothing is recorded")
    func badHello() async throws {
        let site = try await TestSite()
        for drone in [
            try await TestDrone(site, "px-1"), try await TestDrone(site, images: ["../etc"]),
            try await TestDrone(site, cluster: "elsewhere"),
        ] {
            #expect(await drone.next() == nil)
        }
        #expect(try site.rowCounts()["drone"] == 0)
        let plain = try await site.get("/ctrl/c/localhost:9090/drone-socket")
        #expect(plain.status == 426)
        try await site.stop()
    }

    @Test("A drone of another machine is turned away while the first one's session lives; the first stays")
    func sameName() async throws {
        let site = try await TestSite()
        let first = try await TestDrone(site, machine: "m1")
        _ = try await first.welcomed()
        let second = try await TestDrone(site, machine: "m2")
        #expect(await second.next() == nil)
        _ = try await first.all()
        try await site.stop()
    }
}

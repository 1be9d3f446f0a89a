import HTTP
import Model
import Testing

@testable import Controller

/// POST /ctrl/connect against a real controller, database and sockets.
@Suite(.timeLimit(.minutes(2))) struct ConnectTests {
    @Test("A hundred concurrent connects to one new key: one backend, one order, a hundred tokens")
    func crowd() async throws {
        let site = try await TestSite()
        let drone = try await TestDrone(site)
        _ = try await drone.welcomed()
        let answers = try await withThrowingTaskGroup(of: ConnectResponse.self) { group in
            for _ in 0..<100 { group.addTask { try await site.connect(key: "demo").connected() } }
            return try await group.reduce(into: [ConnectResponse]()) { $0.append($1) }
        }
        #expect(answers.count { $0.spawned } == 1)
        #expect(Set(answers.map(\.backendID)).count == 1)
        #expect(Set(answers.map(\.token)).count == 100)
        #expect(Set(answers.map(\.fencingToken)).count == 1)
        #expect(answers.allSatisfy { $0.spawned == ($0.drone == "dr-1") })
        let messages = try await drone.all()
        let orders = messages.filter { if case .spawn = $0 { true } else { false } }
        let routes = messages.compactMap { if case .route(let grant) = $0 { grant.token } else { nil } }
        #expect(orders.count == 1)
        #expect(Set(routes) == Set(answers.map(\.token)))
        try await site.stop()
    }

    @Test("A request that is beyond the policy of the image is refused at once, and nothing is written")
    func beyondPolicy() async throws {
        let site = try await TestSite()
        let drone = try await TestDrone(site)
        _ = try await drone.welcomed()
        let answer = try await site.connect(
            """
            {"key":{"name":"k"},"spawn_config":{"executable":{"image":"python-repl",
             "resource_limits":{"memory_limit_bytes":1073741825}}}}
            """)
        #expect(answer.status == 400)
        let error = try answer.error()
        #expect(error.kind == .invalidRequest)
        #expect(
            error.message
                == "spawn_config.executable.resource_limits.memory_limit_bytes: 1073741825 was asked for, but the "
                + "image's policy allows 1 to 1073741824.")
        #expect(try site.rowCounts()["backend"] == 0)
        #expect(try await drone.all().isEmpty)
        try await site.stop()
    }

    @Test("The order and the token are at the drone before the answer is at the caller")
    func droneFirst() async throws {
        let site = try await TestSite()
        let drone = try await TestDrone(site)
        _ = try await drone.welcomed()
        let answer = try await site.connect(
            """
            {"key":{"name":"k","namespace":"n"},"user":"ada","auth":{"role":"ädmin"},"spawn_config":{"max_idle_seconds":5,
             "subdomain":"sub","executable":{"image":"python-repl","env":{"A":"b"},
             "resource_limits":{"memory_limit_bytes":1000000}}}}
            """)
        let response = try answer.connected()
        // Both were sent before the answer on the same loop; the drone's renewal that reads them comes after it.
        let messages = try await drone.all()
        guard messages.count == 2, case .spawn(let order) = messages[0], case .route(let grant) = messages[1] else {
            Issue.record("not order and route: \(messages)")
            return
        }
        #expect(order.backend == response.backendID)
        #expect(order.image == "python-repl")
        #expect(order.environment == ["A": "b"])
        #expect(order.limits.memoryBytes == 1_000_000)
        #expect(order.keyName == "k")
        #expect(order.fencingToken == response.fencingToken)
        #expect(order.maxIdleSeconds == 5)
        #expect(grant.token == response.token)
        #expect(grant.user == "ada")
        #expect(grant.userData == #"{"role":"\u00e4dmin"}"#)
        #expect(grant.secretToken == response.secretToken)
        #expect(grant.lifetimeMilliseconds == 3_600_000)
        #expect(response.url == "http://sub.localhost:9090/\(response.token)/")
        #expect(response.statusURL == "http://controller.test/pub/b/\(response.backendID)/status")
        #expect(response.status == .scheduled)
        // Every key is there, as null where there is nothing.
        let again = try await site.connect(#"{"key":{"name":"k","namespace":"n"}}"#)
        #expect(again.json.members?["drone"] == .null)
        #expect(try again.connected().spawned == false)
        try await site.stop()
    }

    @Test("A static token is the same for every connect, and carries no identity")
    func staticToken() async throws {
        let site = try await TestSite()
        let drone = try await TestDrone(site)
        _ = try await drone.welcomed()
        let body =
            #"{"key":{"name":"k"},"spawn_config":{"use_static_token":true,"executable":{"image":"python-repl"}}}"#
        let (first, second) = (try await site.connect(body).connected(), try await site.connect(body).connected())
        #expect(first.token == second.token)
        #expect(first.token.hasPrefix("s.") && first.token.utf8.count == 45)
        #expect(first.secretToken == nil && second.secretToken == nil)
        let refused = try await site.connect(#"{"key":{"name":"k"},"user":"ada"}"#)
        #expect(refused.status == 400)
        #expect(try refused.error().message.hasPrefix("user:"))
        drone.send(.routeRequest(token: first.token))
        let grant = try await drone.next { if case .routeAnswer(_, let grant) = $0 { grant } else { nil } }
        #expect(grant.backend == first.backendID)
        #expect(grant.lifetimeMilliseconds == nil && grant.userData == nil && grant.secretToken.isEmpty)
        try await site.stop()
    }

    @Test("Without a key every connect starts a backend of its own")
    func withoutKey() async throws {
        let site = try await TestSite()
        let drone = try await TestDrone(site)
        _ = try await drone.welcomed()
        let body = #"{"spawn_config":{"executable":{"image":"python-repl"}}}"#
        let (first, second) = (try await site.connect(body).connected(), try await site.connect(body).connected())
        #expect(first.spawned && second.spawned)
        #expect(first.backendID != second.backendID)
        #expect(second.fencingToken > first.fencingToken)
        #expect(try await drone.order().keyName.hasPrefix("lk-"))
        try await site.stop()
    }

    @Test("A connect to an ending backend waits for its end and starts a successor")
    func successor() async throws {
        let site = try await TestSite()
        let drone = try await TestDrone(site)
        _ = try await drone.welcomed()
        let first = try await site.connect(key: "k").connected()
        try await drone.report(first, BackendState(.ready))
        #expect(try await site.post("/ctrl/b/\(first.backendID)/soft-terminate").body == Array("null".utf8))
        try await drone.next {
            if case .terminate(first.backendID, .soft, .external) = $0 { () } else { nil }
        }
        // Without something to start there is nothing to wait for.
        let refused = try await site.connect(#"{"key":{"name":"k"}}"#)
        #expect(refused.status == 409)
        #expect(try refused.error().kind == .keyUnheldNoSpawnConfig)
        async let waiting = site.connect(key: "k").connected()
        try await drone.report(first, BackendState(.terminating, reason: .external, kind: .soft))
        try await drone.report(first, BackendState(.terminated, reason: .external, kind: .soft))
        let second = try await waiting
        #expect(second.spawned)
        #expect(second.backendID != first.backendID)
        #expect(second.fencingToken > first.fencingToken)
        try await site.stop()
    }

    @Test("The least loaded of two drones takes the next backend")
    func leastLoaded() async throws {
        let site = try await TestSite()
        let drones = [try await TestDrone(site, "dr-1"), try await TestDrone(site, "dr-2")]
        for drone in drones { _ = try await drone.welcomed() }
        var counts: [String: Int] = [:]
        for number in 0..<20 {
            counts[try await site.connect(key: "k\(number)").connected().drone ?? "", default: 0] += 1
        }
        #expect(counts == ["dr-1": 10, "dr-2": 10])
        try await site.stop()
    }

    @Test("No drone, an unknown image and a draining drone are told apart")
    func nowhere() async throws {
        let site = try await TestSite()
        let none = try await site.connect(key: "k")
        #expect(none.status == 500)
        #expect(try none.error().kind == .noDroneAvailable)
        let drone = try await TestDrone(site)
        _ = try await drone.welcomed()
        let unknown = try await site.connect(key: "k", image: "nope")
        #expect(unknown.status == 400)
        #expect(try unknown.error().kind == .invalidRequest)
        #expect(try unknown.error().message.contains("python-repl"))
        let drain = try await site.post("/ctrl/c/localhost:9090/d/dr-1/drain")
        #expect(drain.json == .object(["updated": .bool(true)]))
        let draining = try await site.connect(key: "k")
        #expect(try draining.error().message.contains("1 draining"))
        #expect(try await site.get("/ctrl/backends?state=all").json.members?["backends"] == .array([]))
        try await site.stop()
    }

    /// One bad request: what is sent, and what comes back.
    struct Bad: Sendable, CustomTestStringConvertible {
        var body: String
        var status: Int
        var text: String
        var type: String? = "application/json"
        var testDescription: String { "\(status) \(text)" }
    }

    @Test("Bad input gets one clear sentence with the field in it, and writes nothing")
    func badInput() async throws {
        let site = try await TestSite()
        let drone = try await TestDrone(site)
        _ = try await drone.welcomed()
        _ = try await site.connect(
            #"{"key":{"name":"held","tag":"a"},"spawn_config":{"id":"used","executable":{"image":"python-repl"}}}"#)
        let before = try site.rowCounts()
        let long = String(repeating: "k", count: 300)
        let executable = #""executable":{"image":"python-repl"}"#
        for bad in [
            Bad(body: "{", status: 400, text: "line 1, column 2"), Bad(body: "", status: 400, text: "empty"),
            Bad(body: "[]", status: 422, text: "object"), Bad(body: "{}", status: 415, text: "content-type", type: nil),
            Bad(body: "{}", status: 415, text: "text/plain", type: "text/plain"),
            Bad(body: "{}", status: 409, text: "spawn_config"),
            Bad(body: #"{"key":{"name":"\#(long)"},"spawn_config":{\#(executable)}}"#, status: 400, text: "key.name"),
            Bad(body: #"{"key":{"name":""},"spawn_config":{\#(executable)}}"#, status: 400, text: "key.name"),
            Bad(body: #"{"key":{},"spawn_config":{\#(executable)}}"#, status: 422, text: "key.name"),
            Bad(body: #"{"spawn_config":{"executable":{"image":"nope"}}}"#, status: 400, text: "executable.image"),
            Bad(body: #"{"spawn_config":{"executable":{"image":5}}}"#, status: 422, text: "executable.image"),
            Bad(body: #"{"spawn_config":{"id":"used",\#(executable)}}"#, status: 409, text: "spawn_config.id"),
            Bad(body: #"{"spawn_config":{"id":"No!",\#(executable)}}"#, status: 400, text: "spawn_config.id"),
            Bad(body: #"{"spawn_config":{"cluster":"a b",\#(executable)}}"#, status: 400, text: "spawn_config.cluster"),
            Bad(body: #"{"spawn_config":{"subdomain":"-x",\#(executable)}}"#, status: 400, text: "subdomain"),
            Bad(
                body: #"{"spawn_config":{"lifetime_limit_seconds":-1,\#(executable)}}"#, status: 400,
                text: "lifetime_limit_seconds"),
            Bad(body: #"{"auth":null,"spawn_config":{\#(executable)}}"#, status: 422, text: "auth"),
            Bad(body: #"{"key":{"name":"held","tag":"b"},"spawn_config":{\#(executable)}}"#, status: 409, text: "tag"),
            Bad(
                body: #"{"spawn_config":{"executable":{"image":"python-repl","env":{"PORT":"1"}}}}"#, status: 400,
                text: "env.PORT"),
        ] {
            let fields: HeaderFields = bad.type.map { ["content-type": $0] } ?? [:]
            let answer = try await site.send(.post, "/ctrl/connect", fields: fields, body: bad.body)
            #expect(answer.status == bad.status, "\(bad.body)")
            let error = try answer.error()
            #expect(error.message.contains(bad.text), "\(error)")
            #expect(error.id.utf8.count == 14)
            #expect(error.message.hasSuffix("."), "\(error)")
        }
        #expect(try site.rowCounts() == before)
        #expect(try await drone.all().count == 2)
        try await site.stop()
    }

    @Test("A body beyond the limit and a malformed request get an error of the API, too")
    func notEvenARequest() async throws {
        let site = try await TestSite()
        let large = try await site.connect("\"\(String(repeating: "x", count: 2 * 1024 * 1024))\"")
        #expect(large.status == 413)
        #expect(try large.error().kind == .invalidRequest)
        let malformed = try await site.send(.get, "/ctrl/backends", fields: ["content-length": "x"])
        #expect(malformed.status == 400)
        #expect(try malformed.error().kind == .invalidRequest)
        try await site.stop()
    }
}

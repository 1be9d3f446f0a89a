import HTTP
import Model
import Testing

@testable import Controller

/// Drains and revocations as they are asked for over HTTP.
@Suite struct DrainTests {
    private let drain = "/ctrl/c/localhost:9090/d/dr-1/drain"

    @Test("A drained drone takes no backend until it is undrained; asked twice is answered so")
    func drainAndBack() async throws {
        let site = try await TestSite()
        let drone = try await TestDrone(site)
        _ = try await drone.welcomed()
        // The reference's clients send nothing, or null.
        for (path, body, updated) in [
            (drain, "", true), (drain, "null", false), (drain, "{}", false),
            ("/ctrl/c/localhost:9090/d/dr-1/undrain", "", true), ("/ctrl/c/localhost:9090/d/dr-1/undrain", "", false),
        ] {
            let fields: HeaderFields = body.isEmpty ? [:] : ["content-type": "application/json"]
            let reply = try await site.send(.post, path, fields: fields, body: body)
            #expect(reply.json == .object(["updated": .bool(updated)]), "\(path) \(body)")
            let connect = try await site.connect(key: "k")
            #expect((connect.status == 200) == path.hasSuffix("undrain"), "\(path) \(body)")
        }
        try await site.stop()
    }

    @Test("A drain that terminates asks each backend to end; one with a deadline does when that is reached")
    func ends() async throws {
        for body in [#"{"terminate":true}"#, #"{"deadline_seconds":0}"#] {
            let site = try await TestSite()
            let drone = try await TestDrone(site)
            _ = try await drone.welcomed()
            let backend = try await site.connect(key: "k").connected().backendID
            _ = try await drone.order()
            #expect(try await site.post(drain, body).status == 200)
            let (ended, kind) = try await drone.next {
                if case .terminate(let backend, let kind, _) = $0 { (backend, kind) } else { nil }
            }
            #expect(ended == backend && kind == .soft)
            try await site.stop()
        }
    }

    @Test(
        "A drain that is not understood drains nothing",
        arguments: [
            (#"{"deadline":5}"#, 422, "deadline"), (#"{"deadline_seconds":-1}"#, 400, "deadline_seconds"),
            (#"{"deadline_seconds":"5"}"#, 422, "deadline_seconds"),
            (#"{"deadline_seconds":1.5}"#, 422, "deadline_seconds"),
            (#"{"terminate":1}"#, 422, "terminate"), ("[]", 422, "the document"), ("{", 400, "The body is not JSON"),
            (#"{"deadline_seconds":315360001}"#, 400, "deadline_seconds"),
        ])
    func wrong(_ body: String, _ status: Int, _ start: String) async throws {
        let site = try await TestSite()
        let drone = try await TestDrone(site)
        _ = try await drone.welcomed()
        let reply = try await site.post(drain, body)
        #expect(reply.status == status)
        let said = try reply.error().message
        #expect(said.hasPrefix(start), "\(said)")
        let plain = try await site.send(.post, drain, fields: ["content-type": "text/plain"], body: "{}")
        #expect(plain.status == 415)
        #expect(try await site.connect(key: "k").status == 200)
        try await site.stop()
    }

    @Test("A drone that nobody knows, or of another cluster, is not there")
    func unknown() async throws {
        let site = try await TestSite()
        let drone = try await TestDrone(site)
        _ = try await drone.welcomed()
        for path in [
            "/ctrl/c/localhost:9090/d/dr-2/drain", "/ctrl/c/other:1/d/dr-1/drain", "/ctrl/c/other:1/d/dr-1/undrain",
        ] {
            #expect(try await site.post(path).status == 404)
        }
        try await site.stop()
    }

    // MARK: Revocation

    @Test("Revoking tells the drone a user's tokens, and no one else's; both of the reference's forms are answered")
    func revocation() async throws {
        let site = try await TestSite()
        let drone = try await TestDrone(site)
        _ = try await drone.welcomed()
        func connect(_ user: String) async throws -> ConnectResponse {
            try await site.connect(
                #"{"key":{"name":"k"},"user":"\#(user)","spawn_config":{"executable":{"image":"python-repl"}}}"#
            ).connected()
        }
        let (ada, bob, again) = (try await connect("ada"), try await connect("bob"), try await connect("ada"))
        let body = #"{"backend_id":"\#(ada.backendID)","user":"ada"}"#
        let sentence = try await site.post("/ctrl/b/revoke", body)
        #expect(sentence.status == 200 && sentence.json == .string("Token revoked successfully"))
        let revoked = try await drone.next { if case .revoke(let tokens) = $0 { tokens } else { nil } }
        #expect(Set(revoked) == [ada.token, again.token] && !revoked.contains(bob.token))
        let client = try await site.post("/ctrl/revoke", body)
        #expect(client.status == 200 && client.json == .null)
        // Nothing to revoke is no error.
        #expect(try await site.post("/ctrl/revoke", #"{"backend_id":"none","user":"ada"}"#).status == 200)
        drone.send(.routeRequest(token: ada.token))
        let grant: RouteGrant?? = try await drone.next {
            if case .routeAnswer(ada.token, let grant) = $0 { .some(grant) } else { nil }
        }
        #expect(grant == .some(nil))
        try await site.stop()
    }

    @Test(
        "A revocation that is not understood is refused with its field",
        arguments: [
            ("{}", 422, "backend_id"), (#"{"backend_id":"b"}"#, 422, "user"), (#"{"user":"u"}"#, 422, "backend_id"),
            (#"{"backend_id":1,"user":"u"}"#, 422, "backend_id"),
            (#"{"backend_id":"B","user":"u"}"#, 400, "backend_id"),
            (#"{"backend_id":"b","user":"\n"}"#, 400, "user"), ("null", 422, "the document"),
        ])
    func wrongRevocation(_ body: String, _ status: Int, _ field: String) async throws {
        let site = try await TestSite()
        for path in ["/ctrl/revoke", "/ctrl/b/revoke"] {
            let reply = try await site.post(path, body)
            #expect(reply.status == status)
            let said = try reply.error().message
            #expect(said.hasPrefix(field), "\(said)")
            #expect(try await site.send(.post, path, body: body).status == 415)
        }
        try await site.stop()
    }

    @Test("Until when a connect is held back is checked before anything is started")
    func wait() async throws {
        let site = try await TestSite()
        let drone = try await TestDrone(site)
        _ = try await drone.welcomed()
        let body = #"{"key":{"name":"k"},"wait":"soon","spawn_config":{"executable":{"image":"python-repl"}}}"#
        let reply = try await site.connect(body)
        #expect(reply.status == 400)
        #expect(try reply.error().message.hasPrefix("wait: "))
        #expect(try site.rowCounts()["backend"] == 0)
        try await site.stop()
    }
}

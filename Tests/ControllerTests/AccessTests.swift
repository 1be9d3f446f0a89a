import Glibc
import HTTP
import Linux
import Model
import Testing

@testable import Controller

/// Who may call a controller, asked over real sockets.
@Suite struct AccessTests {
    private let folder = TemporaryFolder()
    private let token = "api-token-0123456789"
    private let secret = "drone-secret-0123456"

    private func write(_ text: String, to name: String) throws -> String {
        let path = folder.file("\(name).new")
        try File.open(path, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600).writeAll(Array(text.utf8))
        #expect(rename(path, folder.file(name)) == 0)
        return folder.file(name)
    }

    private func bearer(_ token: String?) -> HeaderFields {
        token.map { ["authorization": "Bearer \($0)", "content-type": "application/json"] }
            ?? ["content-type": "application/json"]
    }

    @Test("Without a token /ctrl answers 401 and does nothing; with one it is open; /pub is open to all")
    func tokens() async throws {
        let tokens = try write("# callers\nci \(token)\n", to: "tokens")
        let site = try await TestSite { $0.access.apiTokensPath = tokens }
        let body = #"{"key":{"name":"k"},"spawn_config":{"executable":{"image":"python-repl"}}}"#
        let drone = try await TestDrone(site, secret: token)
        _ = try await drone.welcomed()
        for shown in [nil, "wrong-token-012345", "", "ci"] {
            for (method, path) in [
                (RequestMethod.get, "/ctrl/status"), (.post, "/ctrl/connect"), (.get, "/ctrl/nothing"),
                (.get, "/ctrl/c/localhost:9090/drone-socket"), (.get, "/%63trl/status"),
            ] {
                let reply = try await site.send(method, path, fields: bearer(shown), body: body)
                #expect(reply.status == 401)
                #expect(reply.fields["www-authenticate"]?.hasPrefix("Bearer") == true)
                #expect(try reply.error().kind == .unauthorized)
            }
        }
        #expect(try site.rowCounts()["backend"] == 0)
        #expect(try await site.send(.post, "/ctrl/connect", fields: bearer(token), body: body).status == 200)
        #expect(try await site.send(.get, "/ctrl/status", fields: bearer(token)).status == 200)
        #expect(try await site.get("/pub/health").status == 200)
        try await site.stop()
    }

    @Test("Tokens are given and taken while the controller runs")
    func exchangedTokens() async throws {
        let tokens = try write(token, to: "tokens")
        let site = try await TestSite { $0.access.apiTokensPath = tokens }
        #expect(try await site.send(.get, "/ctrl/status", fields: bearer(token)).status == 200)
        _ = try write("next-token-0123456789", to: "tokens")
        // The file is looked at again within a second.
        while try await site.send(.get, "/ctrl/status", fields: bearer("next-token-0123456789")).status != 200 {}
        #expect(try await site.send(.get, "/ctrl/status", fields: bearer(token)).status == 401)
        try await site.stop()
    }

    @Test("A drone is let in by its own secret, under its own name only; an API token is none")
    func drones() async throws {
        let tokens = try write(token, to: "tokens")
        let secrets = try write("dr-1 \(secret)\ndr-2 another-secret-0123", to: "secrets")
        let site = try await TestSite {
            $0.access.apiTokensPath = tokens
            $0.access.droneSecretsPath = secrets
        }
        let drone = try await TestDrone(site, "dr-1", secret: secret)
        _ = try await drone.welcomed()
        let impostor = try await TestDrone(site, "dr-2", machine: "m2", secret: secret)
        #expect(await impostor.next() == nil)
        for shown in [nil, token, "wrong-secret-012345"] {
            await #expect(throws: HTTPClientError.self) { try await TestDrone(site, "dr-1", secret: shown) }
        }
        #expect(try await site.send(.get, "/ctrl/status", fields: bearer(secret)).status == 401)
        let drones = try await site.send(.get, "/ctrl/drones", fields: bearer(token)).json
        guard case .array(let rows)? = drones.members?["drones"] else { throw TestAuthority.Stopped() }
        #expect(rows.compactMap { $0.members?["name"] } == [.string("dr-1")])
        try await site.stop()
    }

    @Test("Whom the authority lets in is answered, and it is told who asks for what; a token spares the question")
    func forwardAuth() async throws {
        let authority = try await TestAuthority(204)
        let tokens = try write(token, to: "tokens")
        let url = try authority.url
        let site = try await TestSite {
            $0.access.forwardAuth = url
            $0.access.apiTokensPath = tokens
        }
        #expect(try await site.send(.get, "/ctrl/status", fields: bearer(token)).status == 200)
        let reply = try await site.send(
            .post, "/ctrl/b/none/soft-terminate", fields: ["cookie": "session=1", "authorization": "Bearer other"],
            body: "null")
        #expect(reply.status == 404)
        // The first that it hears of is the second request.
        let question = try await authority.next()
        #expect(question.method == .post && question.path == "/check" && question.body.isEmpty)
        #expect(question.fields["x-original-path"] == "/b/none/soft-terminate")
        #expect(question.fields["x-original-method"] == "POST")
        #expect(question.fields["x-original-host"] == "127.0.0.1:\(site.port)")
        #expect(question.fields["host"] == "127.0.0.1:\(authority.port)")
        #expect(question.fields["cookie"] == "session=1" && question.fields["authorization"] == "Bearer other")
        let drone = try await TestDrone(site)
        _ = try await drone.welcomed()
        #expect(try await authority.next().fields["upgrade"] == nil)
        #expect(try await site.get("/pub/health").status == 200)
        try await site.stop()
        authority.stop()
    }

    @Test(
        "What the authority refuses is a 401, what it cannot decide a 502",
        arguments: [(403, 401), (401, 401), (500, 502)])
    func refused(_ said: Int, _ answered: Int) async throws {
        let authority = try await TestAuthority(said)
        let url = try authority.url
        let site = try await TestSite { $0.access.forwardAuth = url }
        let reply = try await site.get("/ctrl/status")
        #expect(reply.status == answered)
        #expect((reply.fields["www-authenticate"] != nil) == (answered == 401))
        try await site.stop()
        authority.stop()
    }

    @Test("An authority that is not there is a 502, which names it")
    func absent() async throws {
        let url = try HTTPURL("http://127.0.0.1:\(try freePort())/check")
        let site = try await TestSite { $0.access.forwardAuth = url }
        let reply = try await site.get("/ctrl/status")
        #expect(reply.status == 502)
        #expect(try reply.error().message.contains("127.0.0.1:\(url.port)"))
        try await site.stop()
    }

    @Test("An authority with a name is found beside the loop, and one that cannot be found holds nobody up")
    func names() async throws {
        let authority = try await TestAuthority(200)
        // A name to the resolver, which does not mind the letters' case.
        let url = try HTTPURL("http://LOCALHOST:\(authority.port)/check")
        let site = try await TestSite { $0.access.forwardAuth = url }
        while try await site.get("/ctrl/status").status == 502 {}
        #expect(try await site.get("/ctrl/status").status == 200)
        #expect(try await authority.next().fields["host"] == "LOCALHOST:\(authority.port)")
        try await site.stop()
        authority.stop()

        let nowhere = try HTTPURL("http://nobody.invalid/check")
        let lost = try await TestSite { $0.access.forwardAuth = nowhere }
        let reply = try await lost.get("/ctrl/status")
        #expect(reply.status == 502)
        #expect(try reply.error().message.contains("nobody.invalid"))
        #expect(try await lost.get("/pub/health").status == 200)
        try await lost.stop()
    }

    /// A port on which nobody listens.
    private func freePort() throws -> UInt16 {
        let listener = try Socket.tcpListener(.loopback(0))
        return try Socket.localPort(listener.raw)
    }

    @Test("An authority that takes its time holds nobody else up, and is asked so much at once and no more")
    func slowAuthority() async throws {
        let authority = try await TestAuthority(nil)
        let url = try authority.url
        let site = try await TestSite { $0.access.forwardAuth = url }
        let most = ForwardAuth.askingMax
        try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<most + 3 { group.addTask { try await site.get("/ctrl/status").status } }
            for _ in 0..<most { _ = try await authority.next() }
            // All that are asked are waiting; the rest has not been asked, and the loop answers others.
            #expect(try await site.get("/pub/health").status == 200)
            #expect(try await authority.answerAll(200) == most)
            for _ in 0..<3 { _ = try await authority.next() }
            #expect(try await authority.answerAll(403) == 3)
            var statuses: [Int: Int] = [:]
            for try await status in group { statuses[status, default: 0] += 1 }
            #expect(statuses == [200: most, 401: 3])
        }
        try await site.stop()
        authority.stop()
    }

    @Test(
        "A controller that others reach does not start without knowing who may call it, nor with a file it cannot use")
    func start() async throws {
        for configure: @Sendable (inout ControllerConfiguration) -> Void in [
            { $0.address = SocketAddress(host: 0, port: 0) }, { $0.access.apiTokensPath = "/nonexistent/tokens" },
            { $0.access.droneSecretsPath = "/nonexistent/secrets" },
        ] {
            let error = await #expect(throws: ControllerError.self) { try await TestSite(configure: configure) }
            guard case .access? = error else {
                Issue.record("\(String(describing: error))")
                continue
            }
        }
        let site = try await TestSite {
            $0.address = SocketAddress(host: 0, port: 0)
            $0.access.anonymous = .anywhere
        }
        #expect(try await site.get("/ctrl/status").status == 200)
        try await site.stop()
    }
}

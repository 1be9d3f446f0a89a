import HTTP
import Linux
import Model
import Testing

@testable import Controller

/// Who is let in where.
@Suite struct AccessDecisionTests {
    private let token = "api-token-0123456789"
    private let secret = "drone-secret-0123456"

    private func decide(
        _ area: AccessDecision.Area, _ presented: String?, tokens: Bool, secrets: Bool, forward: Bool
    ) throws -> AccessDecision {
        AccessDecision.decide(
            area, presented: presented,
            apiTokens: tokens ? try SecretTable(apiTokens: SecretLines(parsing: "ci \(token)")) : nil,
            droneSecrets: secrets ? try SecretTable(droneSecrets: SecretLines(parsing: "dr-1 \(secret)")) : nil,
            isForwarded: forward)
    }

    private func isRefused(_ decision: AccessDecision) -> Bool {
        guard case .refuse(let failure) = decision else { return false }
        return failure.status == 401 && failure.authenticate?.hasPrefix("Bearer") == true
    }

    @Test("What is public is open whatever is configured")
    func open() throws {
        for given in [true, false] {
            #expect(try decide(.open, nil, tokens: given, secrets: given, forward: given) == .admit(.anyDrone))
        }
    }

    @Test("Without any of them everybody is let in")
    func nothing() throws {
        for area in [AccessDecision.Area.api, .droneSocket] {
            #expect(try decide(area, nil, tokens: false, secrets: false, forward: false) == .admit(.anyDrone))
        }
    }

    @Test("A token opens the API, a wrong one or none does not, nor does a drone's secret")
    func tokens() throws {
        #expect(try decide(.api, token, tokens: true, secrets: true, forward: false) == .admit(.anyDrone))
        for shown in [nil, "", "api-token-012345678", secret] {
            #expect(isRefused(try decide(.api, shown, tokens: true, secrets: true, forward: false)))
        }
    }

    @Test("A drone needs its own secret where there are such, and is let in as that drone only; a token is not enough")
    func drones() throws {
        for others in [true, false] {
            let own = try decide(.droneSocket, secret, tokens: others, secrets: true, forward: others)
            #expect(own == .admit(.only(Values.drone("dr-1"))))
            for shown in [nil, "", token] {
                #expect(isRefused(try decide(.droneSocket, shown, tokens: others, secrets: true, forward: others)))
            }
        }
    }

    @Test("Without secrets of their own, drones need what every caller needs")
    func dronesByToken() throws {
        #expect(try decide(.droneSocket, token, tokens: true, secrets: false, forward: false) == .admit(.anyDrone))
        #expect(isRefused(try decide(.droneSocket, nil, tokens: true, secrets: false, forward: false)))
        #expect(try decide(.droneSocket, nil, tokens: false, secrets: false, forward: true) == .askForward)
    }

    @Test("Where somebody is asked, a token spares the question, and everything else is put before them")
    func forward() throws {
        #expect(try decide(.api, token, tokens: true, secrets: false, forward: true) == .admit(.anyDrone))
        for shown in [nil, "another-token-012345"] {
            #expect(try decide(.api, shown, tokens: true, secrets: false, forward: true) == .askForward)
            #expect(try decide(.api, shown, tokens: false, secrets: false, forward: true) == .askForward)
        }
    }

    @Test("The answer tells a missing token from a wrong one, as RFC 6750 has it, and never the token")
    func challenge() throws {
        guard case .refuse(let missing) = try decide(.api, nil, tokens: true, secrets: false, forward: false),
            case .refuse(let wrong) = try decide(.api, "guess-0123456789", tokens: true, secrets: false, forward: false)
        else {
            Issue.record("it was let in")
            return
        }
        #expect(missing.authenticate == #"Bearer realm="plane""#)
        #expect(wrong.authenticate == #"Bearer realm="plane", error="invalid_token""#)
        #expect(!wrong.message.contains("guess"))
        #expect(missing.kind == .unauthorized && wrong.kind == .unauthorized)
    }

    @Test(
        "Paths are open, a drone's, or the API's, and unknown ones are no exception",
        arguments: [
            ("/pub/health", AccessDecision.Area.open), ("/pub/nothing/here", .open),
            ("/ctrl/status", .api), ("/ctrl/nothing", .api), ("/", .api), ("/%63trl/connect", .api), ("//pub", .api),
            ("/ctrl/c/a:1/drone-socket", .droneSocket), ("/ctrl/c/a%3A1/drone%2Dsocket", .droneSocket),
            ("/ctrl/c/a:1/state", .api), ("/ctrl/pub/c/drone-socket", .api),
        ])
    func areas(_ path: String, _ area: AccessDecision.Area) {
        #expect(Endpoint.area(Request(.get, path: path).pathSegments ?? []) == area)
    }

    @Test("Where others reach it, a controller starts only if it asks who calls, or was told not to")
    func listening() throws {
        let (everywhere, inside) = (SocketAddress(host: 0, port: 8080), SocketAddress(host: 0x7f00_0002, port: 8080))
        var access = AccessConfiguration()
        #expect(access.problem(listeningOn: inside) == nil)
        let sentence = try #require(access.problem(listeningOn: everywhere))
        for word in ["--api-tokens", "--drone-secrets", "--forward-auth", "--allow-anonymous", "0.0.0.0:8080"] {
            #expect(sentence.contains(word), "\(word)")
        }
        // Drones' secrets alone leave the API open.
        access.droneSecretsPath = "/secrets"
        #expect(access.problem(listeningOn: everywhere) != nil)
        access.anonymous = .anywhere
        #expect(access.problem(listeningOn: everywhere) == nil)
        access.anonymous = .loopback
        access.apiTokensPath = "/tokens"
        #expect(access.problem(listeningOn: everywhere) == nil)
        access.apiTokensPath = nil
        access.forwardAuth = try HTTPURL("http://auth.test/check")
        #expect(access.problem(listeningOn: everywhere) == nil)
        // Its user would be the identity of whoever shows none.
        access.forwardAuth = try HTTPURL("http://me@auth.test/check")
        #expect(access.problem(listeningOn: inside)?.contains("--forward-auth") == true)
    }
}

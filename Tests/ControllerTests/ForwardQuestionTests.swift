import HTTP
import Linux
import Model
import Testing

@testable import Controller

/// What another server is asked about a request, and what its answer means.
@Suite struct ForwardQuestionTests {
    private func question(_ request: Request) throws -> ForwardQuestion {
        try ForwardQuestion(request, segments: request.pathSegments ?? [])
    }

    private func fields(_ request: Request) throws -> [String: String] {
        var all: [String: String] = [:]
        for field in try question(request).fields.all { all[field.name.lowercased()] = field.value }
        return all
    }

    @Test("Who calls is passed on, with what was asked for; what belongs to the connection and the body is not")
    func passedOn() throws {
        let request = Request(
            .post, path: "/ctrl/b/b1/soft-terminate", query: ["a": "b c"],
            fields: [
                "Host": "controller.test:8080", "Authorization": "Bearer x", "Cookie": "session=1",
                "X-Forwarded-For": "1.2.3.4", "Connection": "keep-alive, X-Secret-Hop", "X-Secret-Hop": "1",
                "Keep-Alive": "5", "TE": "trailers", "Trailer": "x", "Transfer-Encoding": "chunked",
                "Expect": "100-continue",
                "Content-Length": "4", "Content-Type": "application/json", "Upgrade": "h2c",
                "Proxy-Connection": "close",
            ], body: Array("null".utf8))
        #expect(
            try fields(request) == [
                "authorization": "Bearer x", "cookie": "session=1", "x-forwarded-for": "1.2.3.4",
                "x-original-path": "/b/b1/soft-terminate", "x-original-query": "a=b%20c", "x-original-method": "POST",
                "x-original-host": "controller.test:8080",
            ])
        #expect(try question(request).method == .post)
    }

    @Test("A drone's upgrade is asked about as the GET that it is")
    func upgrade() throws {
        let request = Request(
            .get, path: "/ctrl/c/localhost:9090/drone-socket",
            fields: [
                "host": "c", "connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13",
                "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", "authorization": "Bearer drone",
            ])
        #expect(
            try fields(request) == [
                "authorization": "Bearer drone", "x-original-path": "/c/localhost:9090/drone-socket",
                "x-original-method": "GET", "x-original-host": "c",
            ])
    }

    @Test(
        "A caller cannot say itself what it asked for, in any spelling of the field",
        arguments: ["x-original-path", "X-Original-Method", "x_original_path", "X_ORIGINAL-HOST", "x-original-uri"])
    func forged(_ name: String) throws {
        var fields = HeaderFields()
        fields.add(name, "/status")
        let asked = try question(Request(.get, path: "/ctrl/connect", fields: fields)).fields
        #expect(!asked.all.contains { $0.value == "/status" })
        #expect(asked["x-original-path"] == "/connect")
    }

    @Test(
        "A path has one spelling for whoever decides by it",
        arguments: [
            ("/ctrl/b/x/soft%2Dterminate", "/b/x/soft-terminate"), ("/%63trl/connect", "/connect"),
            ("/ctrl/b/a%2Fb/status", "/b/a%2Fb/status"), ("/ctrl", "/"), ("/ctrl/", "/"),
            ("/ctrl/c/localhost%3A9090/state", "/c/localhost:9090/state"),
        ])
    func spelling(_ path: String, _ told: String) throws {
        #expect(try question(Request(.get, path: path)).fields["x-original-path"] == told)
    }

    @Test("A method without a name cannot be asked about, and nothing falls over")
    func otherMethod() {
        let failure = #expect(throws: Failure.self) { try question(Request(.other, path: "/ctrl/status")) }
        #expect(failure?.status == 405)
    }

    @Test(
        "Only success lets a request in; a refusal is a 401, and whatever else came decides nothing",
        arguments: [
            (200, nil), (204, nil), (299, nil), (401, 401), (403, 401), (301, 502), (404, 502), (500, 502), (302, 502),
            (503, 502),
        ] as [(Int, Int?)])
    func verdicts(_ status: Int, _ refused: Int?) {
        switch ForwardQuestion.verdict(.success(Response(status: status))) {
        case .admit: #expect(refused == nil)
        case .refuse(let failure): #expect(failure.status == refused)
        }
    }

    @Test("How to show oneself is passed back; nobody to be asked is a 502 that says why")
    func challenge() throws {
        let response = Response(
            status: 401, fields: ["WWW-Authenticate": "Basic realm=\"x\"", "www-authenticate": "Bearer"])
        guard case .refuse(let failure) = ForwardQuestion.verdict(.success(response)),
            case .refuse(let plain) = ForwardQuestion.verdict(.success(Response(status: 403))),
            case .refuse(let absent) = ForwardQuestion.verdict(
                .failure(.timedOut(try HTTPURL("http://auth.test/"), .seconds(5))))
        else {
            Issue.record("it was let in")
            return
        }
        #expect(failure.authenticate == "Basic realm=\"x\", Bearer")
        #expect(plain.authenticate == "Bearer realm=\"plane\"")
        #expect(absent.status == 502 && absent.message.contains("auth.test"))
    }
}

import HTTP
import Model
import Testing

@testable import Controller

/// Which address leads where.
@Suite struct EndpointTests {
    private func find(_ method: RequestMethod, _ path: String) throws(Failure) -> Endpoint {
        try Endpoint.find(method, Request(method, path: path).pathSegments ?? [])
    }

    @Test(
        "Every address of the API is known",
        arguments: [
            (RequestMethod.get, "/pub/health", Endpoint.health), (.head, "/pub/health", .health),
            (.get, "/pub/b/b1/status", .backendStatus(Values.backend("b1"))),
            (.get, "/pub/b/b1/status-stream", .statusStream(Values.backend("b1"))),
            (.get, "/ctrl/status", .controllerStatus), (.post, "/ctrl/connect", .connect),
            (.post, "/ctrl/b/b1/soft-terminate", .terminate(Values.backend("b1"), .soft)),
            (.post, "/ctrl/b/b1/hard-terminate", .terminate(Values.backend("b1"), .hard)),
            (.get, "/ctrl/backends", .backends),
            (.get, "/ctrl/c/localhost:9090/state", .clusterState(Values.cluster())),
            (.get, "/ctrl/c/localhost%3A9090/state", .clusterState(Values.cluster())),
            (.get, "/ctrl/c/localhost:9090/drone-socket", .droneSocket(Values.cluster())),
            (.post, "/ctrl/c/localhost:9090/d/dr-1/drain", .drain(Values.cluster(), Values.drone("dr-1"))),
            (.post, "/ctrl/c/localhost:9090/d/dr-1/undrain", .undrain(Values.cluster(), Values.drone("dr-1"))),
            (.post, "/ctrl/b/revoke", .revoke(.sentence)), (.post, "/ctrl/revoke", .revoke(.null)),
            (.get, "/ctrl/keys", .keys), (.get, "/ctrl/key", .key), (.get, "/ctrl/drones", .drones),
            (.get, "/ctrl/controllers", .controllers), (.options, "/pub/b/b1/status", .preflight),
        ])
    func known(_ method: RequestMethod, _ path: String, _ endpoint: Endpoint) throws {
        #expect(try find(method, path) == endpoint)
    }

    @Test(
        "Anything else is refused with the right status",
        arguments: [
            (RequestMethod.get, "/", 404), (.get, "/ctrl", 404), (.get, "/pub/health/", 404),
            (.get, "/ctrl/b/b1/nope", 404),
            (.post, "/pub/health", 405), (.get, "/ctrl/connect", 405), (.get, "/ctrl/b/b1/soft-terminate", 405),
            (.delete, "/ctrl/backends", 405), (.options, "/ctrl/connect", 405), (.head, "/pub/b/b1/status-stream", 405),
            (.get, "/pub/b/UPPER/status", 404), (.get, "/pub/b/a%2Fb/status", 404),
            (.get, "/ctrl/c/a%20b/state", 400), (.get, "/ctrl/c/x:99999/drone-socket", 400),
            (.post, "/ctrl/c/localhost:9090/d/nobody/drain", 404), (.get, "/ctrl/revoke", 405),
            (.post, "/ctrl/c/localhost:9090/d/dr-1/drown", 404), (.get, "/ctrl/c/localhost:9090/d/dr-1/drain", 405),
            (.post, "/ctrl/keys", 405), (.post, "/ctrl/b/revoke/x", 404),
        ])
    func refused(_ method: RequestMethod, _ path: String, _ status: Int) {
        do throws(Failure) {
            let endpoint = try find(method, path)
            Issue.record("it leads to \(endpoint)")
        } catch {
            #expect(error.status == status, "\(error)")
            #expect(error.allow.isEmpty == (status != 405))
        }
    }

    @Test(
        "A parameter that an address does not take is refused with its name, as is one that is there twice",
        arguments: [
            (Endpoint.backends, "drnoe=dr-1", "drnoe"), (.backends, "limit=1&limit=2", "limit"),
            (.keys, "after=x", "after"),
            (.key, "key=x", "key"), (.drones, "cluster=x", "cluster"), (.connect, "wait=ready", "wait"),
            (.controllerStatus, "x", "x"),
            (.drain(Values.cluster(), Values.drone("dr-1")), "terminate=true", "terminate"),
        ])
    func parameters(_ endpoint: Endpoint, _ text: String, _ name: String) throws {
        let query = try #require(Query(parsing: text))
        let failure = #expect(throws: Failure.self) { try QueryReader(query, for: endpoint) }
        #expect(failure?.status == 400)
        #expect(failure?.message.hasPrefix("\(name): ") == true, "\(failure?.message ?? "")")
    }

    @Test("Pages may add parameters to what they fetch from /pub, so that no cache answers")
    func pageParameters() throws {
        let query = try #require(Query(parsing: "_=1700000000"))
        for endpoint in [Endpoint.health, .backendStatus(Values.backend("b1")), .statusStream(Values.backend("b1"))] {
            #expect(throws: Never.self) { try QueryReader(query, for: endpoint) }
        }
    }
}

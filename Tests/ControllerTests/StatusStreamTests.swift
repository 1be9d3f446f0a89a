import HTTP
import Linux
import Model
import Testing

@testable import Controller

/// `/pub/b/{id}/status` and `status-stream`.
@Suite(.timeLimit(.minutes(2))) struct StatusStreamTests {
    /// An open stream of the test's.
    final class Listener: Sendable {
        private let events: AsyncStream<ServerSentEvent>
        private let feed: AsyncStream<ServerSentEvent>.Continuation

        init(_ site: TestSite, _ backend: String, lastEventID: String? = nil) throws {
            (events, feed) = AsyncStream.makeStream()
            let url = try site.url("/pub/b/\(backend)/status-stream")
            site.client.send { [feed] context in
                context.client.events(url, lastEventID: lastEventID, deadline: .seconds(10)) {
                    feed.yield($0)
                } onEnd: { _ in
                    feed.finish()
                }
            }
        }

        /// The next event's id and status; nil when the stream has ended.
        func next() async throws -> String? {
            for await event in events {
                let json = try JSONValue(parsing: Array(event.data.utf8))
                #expect(json.members?["status"] == event.id.map(JSONValue.string))
                #expect(event.event == nil)
                return event.id
            }
            return nil
        }

        /// All ids until the stream ends.
        func rest() async throws -> [String] {
            var ids: [String] = []
            while let id = try await next() { ids.append(id) }
            return ids
        }
    }

    private func started(_ site: TestSite) async throws -> (TestDrone, ConnectResponse) {
        let drone = try await TestDrone(site)
        _ = try await drone.welcomed()
        return (drone, try await site.connect(key: "k").connected())
    }

    @Test("A stream replays the history, follows it live, and ends after terminated")
    func replayAndLive() async throws {
        let site = try await TestSite()
        let (drone, backend) = try await started(site)
        try await drone.report(backend, BackendState(.loading))
        try await drone.report(backend, BackendState(.starting))
        let listener = try Listener(site, backend.backendID)
        for expected in ["scheduled", "loading", "starting"] { #expect(try await listener.next() == expected) }
        try await drone.report(backend, BackendState(.ready))
        #expect(try await listener.next() == "ready")
        // A stale state is acknowledged and not shown.
        try await drone.report(backend, BackendState(.waiting))
        try await drone.report(
            backend,
            BackendState(
                .terminated, exit: BackendExit(code: 3, signal: nil, outOfMemory: false), message: "It exited with 3.",
                endReason: .exited, usage: BackendUsage(cpuMicroseconds: 1_500, memoryPeakBytes: 4096)))
        #expect(try await listener.rest() == ["terminated"])
        let status = try await site.get("/pub/b/\(backend.backendID)/status")
        #expect(status.json.members?["exit_error"] == .bool(true))
        let list = try await site.get("/ctrl/backends?state=all").json
        guard case .array(let rows)? = list.members?["backends"], let row = rows.first else {
            Issue.record("no backend in \(list)")
            return
        }
        let used = JSONValue.object(["cpu_microseconds": .integer(1_500), "memory_peak_bytes": .integer(4096)])
        for members in [status.json.members, row.members] {
            #expect(members?["message"] == .string("It exited with 3."))
            #expect(members?["end_reason"] == .string("exited"))
            #expect(members?["usage"] == used)
        }
        #expect(status.fields["access-control-allow-origin"] == "*")
        try await site.stop()
    }

    @Test("Last-Event-ID suppresses what was seen; one that means nothing is ignored")
    func lastEventID() async throws {
        let site = try await TestSite()
        let (drone, backend) = try await started(site)
        for status in [BackendStatus.loading, .starting, .ready] {
            try await drone.report(backend, BackendState(status))
        }
        let resumed = try Listener(site, backend.backendID, lastEventID: "starting")
        #expect(try await resumed.next() == "ready")
        let confused = try Listener(site, backend.backendID, lastEventID: "nonsense")
        #expect(try await confused.next() == "scheduled")
        try await drone.report(backend, BackendState(.terminated))
        #expect(try await resumed.rest() == ["terminated"])
        #expect(try await confused.rest() == ["loading", "starting", "ready", "terminated"])
        let over = try await site.send(
            .get, "/pub/b/\(backend.backendID)/status-stream", fields: ["last-event-id": "terminated"])
        #expect(over.status == 204)
        let late = try Listener(site, backend.backendID)
        #expect(try await late.rest() == ["scheduled", "loading", "starting", "ready", "terminated"])
        try await site.stop()
    }

    @Test("An unknown backend is 404, readable by pages, and not an endless stream")
    func unknown() async throws {
        let site = try await TestSite()
        for path in ["/pub/b/nobody/status", "/pub/b/nobody/status-stream", "/pub/b/No%20Body/status"] {
            let answer = try await site.get(path)
            #expect(answer.status == 404, "\(path)")
            #expect(try answer.error().kind == .notFound)
            #expect(answer.fields["access-control-allow-origin"] == "*")
        }
        for kind in ["soft", "hard"] {
            let answer = try await site.post("/ctrl/b/nobody/\(kind)-terminate")
            #expect(answer.status == 404)
            #expect(answer.fields["access-control-allow-origin"] == nil)
        }
        try await site.stop()
    }

    @Test("Pages may ask before they send, on /pub only")
    func preflight() async throws {
        let site = try await TestSite()
        let answer = try await site.send(.options, "/pub/b/x/status", fields: ["origin": "https://a.example"])
        #expect(answer.status == 204)
        #expect(answer.fields["access-control-allow-origin"] == "*")
        #expect(answer.fields["access-control-allow-methods"] == "GET, POST")
        #expect(answer.fields["access-control-allow-headers"] == "content-type")
        let refused = try await site.send(.options, "/ctrl/connect")
        #expect(refused.status == 405)
        #expect(refused.fields["allow"] == "POST")
        #expect(refused.fields["access-control-allow-origin"] == nil)
        try await site.stop()
    }

    @Test("Health, version and the cluster's state")
    func state() async throws {
        let site = try await TestSite()
        #expect(try await site.get("/pub/health").json == .object(["status": .string("ok")]))
        var status = try await site.get("/ctrl/status").json.members ?? [:]
        guard case .string(let name)? = status.removeValue(forKey: "controller") else {
            Issue.record("no controller in \(status)")
            return
        }
        #expect(name.hasPrefix("co-"))
        #expect(
            status == [
                "status": .string("ok"), "version": .string("1.2.3"), "hash": .string("unknown"),
                "default_cluster": .string(Values.cluster().text),
            ])
        let empty = try await site.get("/ctrl/c/localhost:9090/state")
        #expect(empty.json == .object(["drones": .array([]), "proxies": .array([])]))
        let (_, backend) = try await started(site)
        let state = try await site.get("/ctrl/c/localhost:9090/state")
        guard case .array(let drones)? = state.json.members?["drones"], let drone = drones.first?.members else {
            Issue.record("no drone in \(state.json)")
            return
        }
        #expect(drone["ready"] == .bool(true))
        #expect(drone["draining"] == .bool(false))
        #expect(drone["backend_count"] == .integer(1))
        #expect(drone["last_heartbeat_age"] == .integer(0))
        #expect(drone["node"]?.members?["name"] == .object(["Drone": .string("dr-1")]))
        #expect(try await site.get("/ctrl/c/other/state").json.members?["drones"] == .array([]))
        let invalid = try await site.get("/ctrl/c/a%20b/state")
        #expect(try invalid.error().kind == .invalidClusterName)
        let list = try await site.get("/ctrl/backends?limit=1")
        #expect(list.json.members?["next"] == .string(backend.backendID))
        #expect(try await site.get("/ctrl/backends?after=\(backend.backendID)").json.members?["next"] == .null)
        #expect(try await site.get("/ctrl/backends?limit=0").status == 400)
        try await site.stop()
    }
}

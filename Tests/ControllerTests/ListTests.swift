import HTTP
import Model
import Testing

@testable import Controller

/// What a controller tells of backends, keys, drones and controllers.
@Suite struct ListTests {
    private func rows(_ reply: TestSite.Reply, _ name: String) throws -> [[String: JSONValue]] {
        guard case .array(let rows)? = reply.json.members?[name] else {
            throw InvalidValue(field: name, problem: "is no list in \(reply.json.text)")
        }
        return rows.compactMap(\.members)
    }

    private func text(_ value: JSONValue?) -> String? {
        if case .string(let text)? = value { text } else { nil }
    }

    /// Reads page after page. - Parameter next: the query of the page after an answer; nil at the end.
    private func pages(
        _ site: TestSite, _ path: String, _ name: String, limit: Int, next: ([String: JSONValue]) -> String?
    ) async throws -> [[String: JSONValue]] {
        var all: [[String: JSONValue]] = []
        var query = ""
        while true {
            let reply = try await site.get("\(path)limit=\(limit)\(query)")
            #expect(reply.status == 200)
            let page = try rows(reply, name)
            #expect(page.count <= limit)
            all += page
            guard let following = next(reply.json.members ?? [:]) else { return all }
            query = following
        }
    }

    @Test("Keys are listed with their holders, page by page, and found one by one until they are free")
    func keys() async throws {
        let site = try await TestSite()
        let drone = try await TestDrone(site)
        _ = try await drone.welcomed()
        var ids: [String: ConnectResponse] = [:]
        for (namespace, name) in [("", "a"), ("", "b&c=d"), ("n", "a"), ("n", "b"), ("o", "a")] {
            let key = #"{"name":"\#(name)","namespace":"\#(namespace)"}"#
            let answer = try await site.connect(
                #"{"key":\#(key),"spawn_config":{"executable":{"image":"python-repl"}}}"#)
            ids["\(namespace)/\(name)"] = try answer.connected()
            _ = try await drone.order()
        }
        let all = try await pages(site, "/ctrl/keys?", "keys", limit: 2) { page in
            guard let next = page["next"]?.members, let namespace = text(next["after_namespace"]),
                let name = text(next["after_name"])
            else { return nil }
            return "&after_namespace=\(PercentEncoding.encode(namespace))&after_name=\(PercentEncoding.encode(name))"
        }
        #expect(all.map { "\(text($0["namespace"]) ?? "?")/\(text($0["name"]) ?? "?")" } == ids.keys.sorted())
        for row in all {
            #expect(
                text(row["backend_id"])
                    == ids["\(text(row["namespace"]) ?? "?")/\(text(row["name"]) ?? "?")"]?.backendID)
            #expect(text(row["drone"]) == "dr-1" && text(row["status"]) == "scheduled")
        }
        let tokens = all.compactMap { if case .integer(let token)? = $0["fencing_token"] { token } else { nil } }
        #expect(Set(tokens).count == 5)

        let one = try await site.get("/ctrl/key?namespace=n&name=b")
        #expect(text(one.json.members?["backend_id"]) == ids["n/b"]?.backendID)
        #expect(try await site.get("/ctrl/key?name=b").status == 404)
        let ended = try #require(ids["n/b"])
        try await drone.report(ended, BackendState(.terminated))
        #expect(try await site.get("/ctrl/key?namespace=n&name=b").status == 404)
        try await site.stop()
    }

    @Test("Backends are listed by drone, cluster and image, page by page, with why they end")
    func backends() async throws {
        let site = try await TestSite()
        let first = try await TestDrone(site, "dr-1", images: ["python-repl"])
        let second = try await TestDrone(site, "dr-2", machine: "m2", images: ["shell"])
        _ = try await first.welcomed()
        _ = try await second.welcomed()
        var ids: [String: [String]] = [:]
        var started: [String: ConnectResponse] = [:]
        for (index, image) in ["python-repl", "shell", "python-repl", "shell", "python-repl"].enumerated() {
            let answer = try await site.connect(key: "k\(index)", image: image).connected()
            ids[image, default: []].append(answer.backendID)
            started[answer.backendID] = answer
        }
        func listed(_ filter: String) async throws -> [String] {
            try await pages(site, "/ctrl/backends?\(filter)&", "backends", limit: 2) { page in
                text(page["next"]).map { "&after=\($0)" }
            }.compactMap { text($0["id"]) }
        }
        let (repls, shells) = (try #require(ids["python-repl"]).sorted(), try #require(ids["shell"]).sorted())
        #expect(try await listed("drone=dr-1") == repls)
        #expect(try await listed("image=shell") == shells)
        #expect(try await listed("cluster=localhost:9090") == (repls + shells).sorted())
        #expect(try await listed("cluster=elsewhere.test").isEmpty)
        #expect(try await listed("drone=dr-1&image=shell").isEmpty)

        let exit = BackendExit(code: 3, signal: nil, outOfMemory: false)
        try await first.report(
            try #require(started[repls[0]]),
            BackendState(.terminated, exit: exit, message: "It exited.", endReason: .exited))
        #expect(try await listed("drone=dr-1&state=live") == Array(repls.dropFirst()))
        #expect(try await listed("drone=dr-1&state=all") == repls)
        _ = try await site.post("/ctrl/b/\(repls[1])/soft-terminate")
        let rows = try rows(try await site.get("/ctrl/backends?state=all&drone=dr-1"), "backends")
        #expect(rows.map { text($0["end_reason"]) } == ["exited", "external", nil])
        #expect(rows.map { $0["ending"] } == [.bool(true), .bool(true), .bool(false)])
        #expect(rows[0]["exit"]?.members?["code"] == .integer(3))
        try await site.stop()
    }

    @Test("Drones are listed with what they have and have promised, and whether they are heard")
    func drones() async throws {
        let site = try await TestSite()
        let room = ResourceAmount(memoryBytes: 4 << 30, cpuMillis: 8000)
        let first = try await TestDrone(site, "dr-1", capacity: room)
        _ = try await first.welcomed()
        let second = try await TestDrone(site, "dr-2", machine: "m2", images: ["shell", "node"], pool: "gpu")
        _ = try await second.welcomed()
        _ = try await site.connect(key: "k")
        second.close()
        while await second.next() != nil {}
        _ = try await site.post("/ctrl/c/localhost:9090/d/dr-2/drain", #"{"deadline_seconds":600}"#)
        let all = try await pages(site, "/ctrl/drones?", "drones", limit: 1) { page in
            text(page["next"]).map { "&after=\($0)" }
        }
        #expect(all.map { text($0["name"]) } == ["dr-1", "dr-2"])
        let (one, two) = (all[0], all[1])
        #expect(text(one["state"]) == "linked" && text(one["controller"])?.hasPrefix("co-") == true)
        #expect(one["backends"] == .integer(1) && one["session"] != .null && one["draining"] == .bool(false))
        #expect(one["capacity"]?.members?["memory_bytes"] == .integer(4 << 30))
        #expect(one["promised"]?.members?["memory_bytes"] == .integer(1 << 30))
        #expect(one["promised"]?.members?["cpu_millis"] == .integer(2000))
        #expect(text(two["state"]) == "silent" && two["controller"] == .null && two["capacity"] == .null)
        #expect(text(two["pool"]) == "gpu" && two["images"] == .array([.string("node"), .string("shell")]))
        #expect(two["draining"] == .bool(true))
        guard case .integer(let left)? = two["drain_ends_in_seconds"] else { throw TestAuthority.Stopped() }
        #expect((1...600).contains(left))
        try await site.stop()
    }

    @Test("A controller names itself and is among the controllers")
    func controllers() async throws {
        let site = try await TestSite()
        let name = try await site.get("/ctrl/status").json.members?["controller"]
        let rows = try rows(try await site.get("/ctrl/controllers"), "controllers")
        #expect(rows.count == 1)
        #expect(rows[0]["name"] == name && rows[0]["answers"] == .bool(true))
        #expect(text(rows[0]["version"]) == "1.2.3")
        try await site.stop()
    }

    @Test("A backend's status tells its fencing token, as connect did")
    func fencingToken() async throws {
        let site = try await TestSite()
        let drone = try await TestDrone(site)
        _ = try await drone.welcomed()
        let answer = try await site.connect(key: "k").connected()
        let status = try await site.get("/pub/b/\(answer.backendID)/status").json
        #expect(status.members?["fencing_token"] == .integer(answer.fencingToken))
        #expect(status.members?["status"] == .string("scheduled"))
        try await site.stop()
    }

    @Test(
        "Wrong parameters are refused with their name",
        arguments: [
            ("/ctrl/backends?drone=nobody", "drone"), ("/ctrl/backends?cluster=a%20b", "cluster"),
            ("/ctrl/backends?image=..", "image"), ("/ctrl/backends?limit=0", "limit"),
            ("/ctrl/keys?limit=1001", "limit"),
            ("/ctrl/backends?after=A", "after"), ("/ctrl/backends?state=dead", "state"),
            ("/ctrl/backends?dorne=dr-1", "dorne"), ("/ctrl/keys?after_namespace=n", "after_name"),
            ("/ctrl/key", "name"), ("/ctrl/key?name=", "key.name"), ("/ctrl/drones?after=x", "after"),
            ("/ctrl/status?verbose=1", "verbose"),
        ])
    func wrong(_ path: String, _ field: String) async throws {
        let site = try await TestSite()
        let reply = try await site.get(path)
        #expect(reply.status == 400)
        let error = try reply.error()
        #expect(error.kind == .invalidRequest && error.message.hasPrefix("\(field): "), "\(error.message)")
        try await site.stop()
    }
}

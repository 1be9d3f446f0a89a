import Model
import Testing

/// A connect request from JSON: everything is checked, and the message names the field.
@Suite struct ConnectDecodingTests {
    private func decode(_ text: String) throws -> ConnectRequest {
        try ConnectRequest(json: try JSONValue(parsing: Array(text.utf8)))
    }

    @Test("A full request is read as the reference documents it")
    func full() throws {
        let request = try decode(
            """
            {"key": {"name": "k", "namespace": "n", "tag": "t"}, "user": "ada", "auth": {"role": [1, 2.5]}, "other": 1,
             "spawn_config": {"id": "my-id", "cluster": "example.com:8080", "pool": "gpu", "lifetime_limit_seconds": 60,
              "max_idle_seconds": 5, "subdomain": "sub-1", "use_static_token": false, "executable": {
                "image": "python-repl", "pull_policy": null, "credentials": null, "network_name": null, "mount": null,
                "env": {"A": "b"}, "resource_limits": {"cpu_period": 100000, "cpu_period_percent": 50,
                  "cpu_time_limit": 10, "memory_limit_bytes": 1048576, "disk_limit_bytes": null}}}}
            """)
        #expect(request.key == (try KeyConfig(name: "k", namespace: "n", tag: "t")))
        #expect(request.user == "ada")
        #expect(request.auth == ["role": .array([.integer(1), .number(2.5)])])
        let spawn = try #require(request.spawn)
        #expect(spawn.id?.text == "my-id")
        #expect(spawn.cluster?.text == "example.com:8080")
        #expect(spawn.pool == "gpu")
        #expect(spawn.lifetimeLimitSeconds == 60)
        #expect(spawn.maxIdleSeconds == 5)
        #expect(spawn.subdomain == "sub-1")
        #expect(spawn.executable.image.text == "python-repl")
        #expect(spawn.executable.environment == ["A": "b"])
        #expect(spawn.executable.limits.memoryBytes == 1_048_576)
        #expect(spawn.executable.limits.cpuPercent == 50)
        #expect(spawn.executable.limits.diskBytes == nil)
    }

    @Test(
        "An empty object and nulls mean nothing was given",
        arguments: ["{}", #"{"key":null,"spawn_config":null,"user":null}"#])
    func empty(_ text: String) throws {
        #expect(try decode(text) == ConnectRequest())
    }

    @Test("What is written for the command line reads back the same")
    func encodingRoundTrip() throws {
        var spawn = SpawnConfig(
            executable: Executable(image: try ImageName("python-repl"), environment: ["A": "ü", "_b_D1": ""]))
        spawn.executable.limits.memoryBytes = 1 << 20
        spawn.id = try BackendID("x")
        spawn.cluster = try ClusterName("a.b:1")
        spawn.pool = "p"
        spawn.maxIdleSeconds = 1
        spawn.lifetimeLimitSeconds = 2
        spawn.subdomain = "s"
        let request = ConnectRequest(
            key: try KeyConfig(name: "k"), spawn: spawn, user: "u", auth: ["a": .null])
        #expect(try decode(request.json.text) == request)
        var fixed = request
        fixed.user = nil
        fixed.auth = [:]
        fixed.spawn?.useStaticToken = true
        #expect(try decode(fixed.json.text) == fixed)
        for wait in ConnectRequest.Wait.allCases {
            #expect(try decode(ConnectRequest(wait: wait).json.text).wait == wait)
        }
        #expect(try decode(ConnectRequest().json.text) == ConnectRequest())
    }

    /// One wrong request: its text, the status and the field of its refusal.
    struct Wrong: Sendable, CustomTestStringConvertible {
        let text: String
        let status: Int
        let field: String
        init(_ status: Int, _ field: String, _ text: String) {
            (self.text, self.status, self.field) = (text, status, field)
        }
        /// A request whose spawn_config or executable has one more member.
        static func spawn(_ status: Int, _ field: String, _ members: String) -> Wrong {
            Wrong(status, "spawn_config.\(field)", #"{"spawn_config":{"executable":{"image":"a"},\#(members)}}"#)
        }
        static func executable(_ status: Int, _ field: String, _ members: String) -> Wrong {
            Wrong(
                status, "spawn_config.executable.\(field)",
                #"{"spawn_config":{"executable":{"image":"a",\#(members)}}}"#)
        }
        var testDescription: String { "\(field) \(text.prefix(60))" }
    }

    @Test(
        "What is wrong is refused with its field and status",
        arguments: [
            Wrong(422, "the document", "[]"), Wrong(422, "key", #"{"key":"k"}"#),
            Wrong(422, "key.name", #"{"key":{}}"#),
            Wrong(422, "key.name", #"{"key":{"name":1}}"#), Wrong(422, "key.tag", #"{"key":{"name":"a","tag":null}}"#),
            Wrong(400, "key.name", #"{"key":{"name":""}}"#),
            Wrong(400, "key.name", #"{"key":{"name":"\#(String(repeating: "k", count: 300))"}}"#),
            Wrong(400, "key.namespace", #"{"key":{"name":"a","namespace":"\#(String(repeating: "k", count: 256))"}}"#),
            Wrong(400, "key.name", #"{"key":{"name":"a\u0000b"}}"#),
            Wrong(422, "auth", #"{"auth":null}"#), Wrong(422, "auth", #"{"auth":[1]}"#),
            Wrong(422, "auth", #"{"auth":"x"}"#),
            Wrong(400, "auth", #"{"auth":{"a":"\#(String(repeating: "k", count: 9000))"}}"#),
            Wrong(422, "wait", #"{"wait":true}"#), Wrong(400, "wait", #"{"wait":"Ready"}"#),
            Wrong(422, "user", #"{"user":5}"#),
            Wrong(400, "user", #"{"user":"\#(String(repeating: "u", count: 1025))"}"#),
            Wrong(400, "user", #"{"user":"a\r\nx-evil: 1"}"#),
            Wrong(422, "spawn_config.executable", #"{"spawn_config":{}}"#),
            Wrong(422, "spawn_config.executable.image", #"{"spawn_config":{"executable":{}}}"#),
            Wrong(400, "spawn_config.executable.image", #"{"spawn_config":{"executable":{"image":"../x"}}}"#),
            .spawn(400, "id", #""id":"Not OK""#), .spawn(400, "cluster", #""cluster":"a b""#),
            .spawn(422, "pool", #""pool":null"#), .spawn(400, "subdomain", #""subdomain":"-a""#),
            .spawn(400, "subdomain", #""subdomain":"a.b""#), .spawn(400, "subdomain", #""subdomain":"ä""#),
            .spawn(400, "lifetime_limit_seconds", #""lifetime_limit_seconds":0"#),
            .spawn(400, "lifetime_limit_seconds", #""lifetime_limit_seconds":-1"#),
            .spawn(400, "lifetime_limit_seconds", #""lifetime_limit_seconds":315360001"#),
            .spawn(422, "max_idle_seconds", #""max_idle_seconds":1.5"#),
            .spawn(400, "max_idle_seconds", #""max_idle_seconds":0"#),
            .spawn(422, "use_static_token", #""use_static_token":"yes""#),
            .executable(422, "env", #""env":[]"#), .executable(422, "env.A", #""env":{"A":1}"#),
            .executable(400, "env.PORT", #""env":{"PORT":"1"}"#),
            .executable(400, "env.SESSION_BACKEND_FENCING_TOKEN", #""env":{"SESSION_BACKEND_FENCING_TOKEN":"1"}"#),
            .executable(400, "env", #""env":{"A=B":"1"}"#), .executable(400, "env", #""env":{"1A":"1"}"#),
            .executable(400, "env", #""env":{"":"1"}"#), .executable(400, "env", #""env":{"Ä":"1"}"#),
            .executable(400, "env", #""env":{"a.b":"1"}"#), .executable(400, "env", #""env":{"A\u0000":"1"}"#),
            .executable(400, "env.A", #""env":{"A":"\u0000"}"#),
            .executable(400, "env", #""env":{"A":"\#(String(repeating: "k", count: 32 * 1024))"}"#),
            .executable(400, "resource_limits.memory_limit_bytes", #""resource_limits":{"memory_limit_bytes":0}"#),
            .executable(422, "resource_limits.cpu_period", #""resource_limits":{"cpu_period":"1s"}"#),
            .executable(400, "resource_limits.cpu_period_percent", #""resource_limits":{"cpu_period_percent":-5}"#),
            .executable(400, "network_name", #""network_name":"host""#), .executable(400, "mount", #""mount":true"#),
            .executable(400, "pull_policy", #""pull_policy":"Always""#),
            Wrong(400, "user", #"{"user":"ada","spawn_config":{"use_static_token":true,"executable":{"image":"a"}}}"#),
            Wrong(
                400, "auth", #"{"auth":{"a":1},"spawn_config":{"use_static_token":true,"executable":{"image":"a"}}}"#),
        ])
    func refuses(_ wrong: Wrong) throws {
        let json = try JSONValue(parsing: Array(wrong.text.utf8))
        do throws(RequestProblem) {
            _ = try ConnectRequest(json: json)
            Issue.record("it was accepted")
        } catch {
            #expect(error.httpStatus == wrong.status, "\(error)")
            #expect(error.detail.field == wrong.field, "\(error)")
        }
    }
}

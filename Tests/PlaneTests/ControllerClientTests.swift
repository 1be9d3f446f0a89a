import Glibc
import HTTP
import Linux
import Model
import Testing

@testable import plane

/// What the subcommands ask a controller, and what a person reads of its answers.
@Suite struct ControllerClientTests {
    private static let unauthorized = #"{"id":"e1","kind":"Unauthorized","message":"This request needs a token."}"#

    private func run(_ api: ScriptedAPI, _ words: [String], user: String = "", token: String = "") throws
        -> PlaneProgram.Outcome
    {
        try PlaneProgram.run(
            words, variables: ["PLANE_CONTROLLER": "http://\(user)127.0.0.1:\(api.port)", "PLANE_TOKEN": token])
    }

    @Test("The token comes from --token-file, else from the URL, else from PLANE_TOKEN, and nowhere else")
    func tokens() throws {
        let folder = try TemporaryFolder()
        try folder.write("# mine\nme file-token-0123456789\n", to: "token")
        chmod("\(folder.path)/token", 0o600)
        let api = try ScriptedAPI { _, _ in (200, #"{"backends":[],"next":null}"#) }
        defer { api.stop() }
        let file = ["ls", "--token-file", "\(folder.path)/token"]
        for (words, user, token) in [
            (file, "url-token@", "environment-token"), (["ls"], "url-token@", "environment-token"),
            (["ls"], "", "environment-token"), (["ls"], "", ""),
        ] {
            #expect(try run(api, words, user: user, token: token).status == 0)
        }
        #expect(api.asked.map(\.token) == ["file-token-0123456789", "url-token", "environment-token", nil])
        chmod("\(folder.path)/token", 0o644)
        let open = try run(api, file)
        #expect(open.status == 1 && open.errors.contains("chmod 600"))
        #expect(api.asked.count == 4)
    }

    @Test("Without the right token every command says how to give one")
    func unauthorized() throws {
        let api = try ScriptedAPI { _, _ in (401, Self.unauthorized) }
        defer { api.stop() }
        for words in [["ls"], ["keys"], ["drones"], ["status"], ["drain", "dr-1"], ["connect", "--key", "a"]] {
            let outcome = try run(api, words)
            #expect(outcome.status == 1)
            for part in ["This request needs a token.", "--token-file", "PLANE_TOKEN", "http://TOKEN@"] {
                #expect(outcome.errors.contains(part), "\(words) \(outcome.errors)")
            }
        }
        #expect(try run(api, ["ls"], token: "wrong").errors.contains("PLANE_TOKEN; give another one"))
    }

    @Test("drain finds the drone's cluster, says what it wants, and waits until the drone is empty")
    func drain() throws {
        let api = try ScriptedAPI { question, number in
            if question.path == "/ctrl/drones" {
                let left = number == 0 ? 2 : number == 1 ? 1 : 0
                return (
                    200,
                    #"{"drones":[{"name":"dr-1","cluster":"a.test:9","backends":\#(left),"state":"linked"}],"next":null}"#
                )
            }
            return (200, #"{"updated":true}"#)
        }
        defer { api.stop() }
        let outcome = try run(api, ["drain", "dr-1", "--deadline", "1m30s", "--wait"])
        #expect(outcome.status == 0)
        #expect(outcome.output == "dr-1 takes no new backends\ndr-1 has no backends left\n")
        // No terminal, no progress.
        #expect(outcome.errors.isEmpty)
        let drains = api.asked.filter { $0.path.hasSuffix("/drain") }
        #expect(drains.map(\.path) == ["/ctrl/c/a.test:9/d/dr-1/drain"])
        #expect(drains.map(\.body) == [#"{"deadline_seconds":90}"#])
        #expect(api.asked.count { $0.path == "/ctrl/drones" } == 3)

        let late = try run(api, ["drain", "dr-2"])
        #expect(late.status == 1 && late.errors.contains("did you mean dr-1?"))
    }

    @Test("A wait that is over says what is left and leaves the drone drained")
    func timeout() throws {
        let api = try ScriptedAPI { question, _ in
            question.path == "/ctrl/drones"
                ? (200, #"{"drones":[{"name":"dr-1","cluster":"a.test","backends":3}],"next":null}"#)
                : (200, #"{"updated":false}"#)
        }
        defer { api.stop() }
        let outcome = try run(api, ["drain", "dr-1", "--terminate", "--wait", "--timeout", "0s"])
        #expect(outcome.status == 1)
        #expect(outcome.errors.contains("dr-1 still has 3 backends after 0 s; it stays drained"))
        #expect(api.asked.first { $0.path.hasSuffix("/drain") }?.body == #"{"terminate":true}"#)
    }

    @Test("connect --wait ready asks the controller to hold its answer back, and does not ask for the states")
    func waitReady() throws {
        let answer = """
            {"backend_id":"b1","spawned":true,"status":"ready","token":"t","url":"http://a/t/","subdomain":null,
             "secret_token":"s","status_url":"http://c/pub/b/b1/status","drone":"dr-1","fencing_token":7}
            """
        let api = try ScriptedAPI { _, _ in (200, answer) }
        defer { api.stop() }
        let outcome = try run(api, ["connect", "--key", "a", "--wait", "ready"])
        #expect(outcome.status == 0)
        #expect(outcome.output.contains("URL: http://a/t/\n") && outcome.output.contains("Fencing token: 7\n"))
        #expect(api.asked.count == 1)
        #expect(api.asked[0].body.contains(#""wait":"ready""#))
    }

    @Test("Lists are read to their last page")
    func pages() throws {
        let api = try ScriptedAPI { question, number in
            switch (question.path, number) {
            case ("/ctrl/keys", 0):
                (
                    200,
                    #"{"keys":[{"namespace":"n","name":"a","backend_id":"b1","status":"ready","fencing_token":4,"drone":"dr-1","age_seconds":1}],"next":{"after_namespace":"n","after_name":"a&b"}}"#
                )
            case ("/ctrl/keys", _):
                (200, #"{"keys":[{"namespace":"","name":"z","ending":true,"status":"ready"}],"next":null}"#)
            case ("/ctrl/backends", 0): (200, #"{"backends":[],"next":"b5"}"#)
            case _:
                (
                    200,
                    #"{"backends":[{"id":"b9","status":"terminated","end_reason":"exited","exit":{"code":3,"out_of_memory":false}}],"next":null}"#
                )
            }
        }
        defer { api.stop() }
        let keys = try run(api, ["keys"])
        #expect(keys.output.contains("n/a  b1       ready          4      1 s  dr-1"), "\(keys.output)")
        #expect(keys.output.contains("ready, ending"))
        #expect(api.asked[1].query == "limit=1000&after_namespace=n&after_name=a%26b")
        let backends = try run(api, ["ls", "--all", "--drone", "dr-1"])
        #expect(backends.output.contains("exited 3"), "\(backends.output)")
        #expect(api.asked[2].query == "state=all&drone=dr-1&limit=1000")
        #expect(api.asked[3].query == "state=all&drone=dr-1&limit=1000&after=b5")
    }

    @Test("revoke asks whether the backend is there first, since the API takes any for done")
    func revoke() throws {
        let api = try ScriptedAPI { question, _ in
            question.path == "/pub/b/b1/status"
                ? (200, #"{"status":"ready","time":0}"#)
                : question.path == "/ctrl/b/revoke"
                    ? (200, #""Token revoked successfully""#)
                    : (404, #"{"id":"e","kind":"NotFound","message":"Backend does not exist."}"#)
        }
        defer { api.stop() }
        #expect(try run(api, ["revoke", "b1", "ada"]).output == "ada has no access to b1 any more\n")
        #expect(api.asked.last?.body == #"{"backend_id":"b1","user":"ada"}"#)
        #expect(try run(api, ["revoke", "b2", "ada"]).status == 1)
        #expect(api.asked.count { $0.path == "/ctrl/b/revoke" } == 1)
    }
}

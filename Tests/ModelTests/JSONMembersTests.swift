import FoundationEssentials
import Model
import Testing

@Suite("Answers and messages that are written straight to bytes")
struct JSONMembersTests {
    private static let texts = [
        "", "plain", "with \"quotes\" and \\", "line\nbreak\u{1}\u{1F}", "ümläut – 鍵 🔑", "\u{7F}",
    ]

    @Test("A message reads as what it was, whatever its texts hold", arguments: texts)
    func messages(text: String) throws {
        let messages: [ControllerMessage] = [
            .renewed(sequence: .max), .stateSaved(backend: text, status: .hardTerminating),
            .route(
                RouteGrant(
                    token: text, backend: text, cluster: text, subdomain: text, user: text, userData: text,
                    secretToken: text, lifetimeMilliseconds: -1, connects: 7)),
            .route(
                RouteGrant(
                    token: text, backend: text, cluster: text, subdomain: nil, user: nil, userData: nil,
                    secretToken: "", lifetimeMilliseconds: nil, connects: 0)),
        ]
        for message in messages {
            let bytes = try #require(message.jsonBytes)
            #expect(try JSONDecoder().decode(ControllerMessage.self, from: Data(bytes)) == message)
        }
    }

    @Test("An answer to a connect reads as what it was, with null where there is nothing", arguments: texts)
    func answers(text: String) throws {
        let response = ConnectResponse(
            backendID: try BackendID("b1"), spawned: true, status: .scheduled,
            token: BearerToken(random: [UInt8](repeating: 7, count: 32)), url: text, subdomain: nil, secretToken: text,
            statusURL: text, drone: nil, fencingToken: FencingToken(9))
        let read = try JSONDecoder().decode(ConnectResponse.self, from: Data(response.jsonBytes))
        #expect(read == response)
        let members = try #require(try JSONValue(parsing: response.jsonBytes).members)
        let encoded = try #require(try JSONValue(parsing: Array(JSONEncoder().encode(response))).members)
        #expect(members == encoded)
    }
}

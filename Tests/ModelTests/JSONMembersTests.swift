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

    @Test("A state on its way up is read without a decoder, and no other message is taken for one")
    func states() throws {
        for status in BackendStatus.allCases {
            let message = DroneMessage.state(backend: "b\"1", fencingToken: 5, state: BackendState(status))
            let text = String(decoding: try JSONEncoder().encode(message), as: UTF8.self)
            #expect(DroneMessage(plainState: text) == message)
        }
        let more = BackendState(.terminated, reason: .swept, kind: .soft, message: "It was idle.")
        for message in [DroneMessage.state(backend: "b1", fencingToken: 5, state: more), .renew(sequence: 1)] {
            let text = String(decoding: try JSONEncoder().encode(message), as: UTF8.self)
            #expect(DroneMessage(plainState: text) == nil)
        }
        for text in [
            "{\"state\":{}}", "{\"state\":", "",
            "{\"state\":{\"backend\":\"b\",\"fencingToken\":1.5,\"state\":{\"status\":\"ready\"}}}",
        ] {
            #expect(DroneMessage(plainState: text) == nil)
        }
    }
}

import Model
import Testing

@testable import Controller

/// The search for a secret, and what its time could tell.
@Suite struct SecretTableTests {
    private static let secrets = ["first-secret-aaaa", "second-secret-bbb", "third-secret-cccc", "0123456789abcdef"]

    private func table() throws -> SecretTable<String> {
        let text = Self.secrets.enumerated().map { "n\($0.offset) \($0.element)" }.joined(separator: "\n")
        return try SecretTable(apiTokens: SecretLines(parsing: text))
    }

    @Test("Each secret leads to its owner, and nothing else to anybody")
    func owners() throws {
        let table = try table()
        for (index, secret) in Self.secrets.enumerated() { #expect(table.search(secret).owner == "n\(index)") }
        for wrong in [
            "", "first-secret-aaa", "first-secret-aaaaa", "First-secret-aaaa", "first-secret-aaaa\0", "n0",
            "second-secret-bbc", String(repeating: "x", count: 256), String(repeating: "x", count: 70_000),
        ] {
            #expect(table.search(wrong).owner == nil, "\(wrong.prefix(40))")
        }
    }

    @Test(
        "The first fit ends no search, nor does the first difference: every byte of every secret is compared each time")
    func constantWork() throws {
        let table = try table()
        let work = table.search("nobody's").bytesCompared
        #expect(work == Self.secrets.count * 258)
        for shown in Self.secrets + ["", "f", "first-secret-aaab", String(repeating: "y", count: 5000)] {
            #expect(table.search(shown).bytesCompared == work, "\(shown.prefix(40))")
        }
    }

    @Test("A secret of the greatest length is told from one that is longer and begins so")
    func longest() throws {
        let longest = String(repeating: "z", count: 256)
        let table = try SecretTable(apiTokens: SecretLines(parsing: "only \(longest)"))
        #expect(table.search(longest).owner == "only")
        #expect(table.search(longest + "z").owner == nil)
        // The length of this one has the same lower byte.
        #expect(table.search(longest + String(repeating: "z", count: 65_536)).owner == nil)
    }

    @Test("A drone's secret needs a drone's name, and a drone may have two")
    func drones() throws {
        let lines = try SecretLines(parsing: "dr-a 0123456789abcdef\ndr-a fedcba9876543210")
        let table = try SecretTable(droneSecrets: lines)
        #expect(table.search("fedcba9876543210").owner == Values.drone("dr-a"))
        for text in ["0123456789abcdef", "a 0123456789abcdef"] {
            let error = try #require(throws: InvalidValue.self) {
                try SecretTable(droneSecrets: SecretLines(parsing: text))
            }
            #expect(error.field == "line 1")
        }
    }
}

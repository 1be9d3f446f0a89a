import Testing

@testable import Policy

@Suite("The policy parser, given anything")
struct PolicyFuzzTests {
    static let seeds = [
        #"{"limits": {"memory": "512MiB", "cpus": 0.5, "pids": 64}, "hostname": "a\u00e9\ud83d\ude00"}"#,
        #"{"seccomp": {"base": "default", "allow": ["ptrace"], "deny": ["chmod"]}, "network": "none"}"#,
        #"{"readiness": {"timeout": "30s"}, "environment": {"A": "b\n"}, "command_user": {"uid": 7}}"#,
    ]
    static let pieces = [
        "{", "}", "[", "]", "\"", ":", ",", "\\u", "\\ud8", "0", "-", "1e9", "null", "\u{0}", "é", "MiB", "9999999999",
    ]

    /// Flips, drops, doubles and inserts a few pieces.
    static func mutated(_ random: inout SeededRandom) -> [UInt8] {
        var text = Array(seeds[Int(random.next() % UInt64(seeds.count))].utf8)
        for _ in 0..<(1 + random.next() % 4) {
            let index = Int(random.next() % UInt64(text.count + 1))
            switch random.next() % 4 {
            case 0: text.insert(contentsOf: pieces[Int(random.next() % UInt64(pieces.count))].utf8, at: index)
            case 1: if index < text.count { text[index] = UInt8(truncatingIfNeeded: random.next()) }
            case 2: text.removeSubrange(index..<min(text.count, index + Int(random.next() % 5)))
            default: text.insert(contentsOf: text[index..<min(text.count, index + 9)], at: index)
            }
        }
        return text
    }

    @Test("20,000 broken files: a policy or an error that names file and place")
    func neverTraps() {
        var random = SeededRandom(seed: 2026)
        var accepted = 0
        for _ in 0..<20_000 {
            let text = Self.mutated(&random)
            do throws(PolicyError) {
                _ = try PolicyFile.parse(text, name: "fuzz.json")
                accepted += 1
            } catch {
                #expect(error.subject == "policy fuzz.json")
                #expect(
                    error.place?.isEmpty == false && !error.problem.isEmpty, "\(String(decoding: text, as: UTF8.self))")
            }
        }
        // Both ways out have been taken, so the mutations are neither too mild nor too wild.
        #expect((100...15_000).contains(accepted))
    }
}

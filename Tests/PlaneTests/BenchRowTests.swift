import Model
import Testing

@testable import plane

@Suite("Rows of a benchmark")
struct BenchRowTests {
    @Test("Percentiles are samples: the smallest that so many do not exceed")
    func percentiles() throws {
        let hundred = try #require(Percentiles((1...100).reversed().map(Double.init)))
        #expect(hundred.count == 100 && hundred.minimum == 1)
        #expect([hundred.median, hundred.p90, hundred.p99] == [50, 90, 99])
        let one = try #require(Percentiles([7]))
        #expect([one.minimum, one.median, one.p90, one.p99] == [7, 7, 7, 7])
        #expect(Percentiles([]) == nil)
    }

    @Test("A disturbed round does not move the median of the rounds")
    func rounds() {
        #expect(Percentiles.medianOfRounds([[1, 2, 3], [900, 901, 902], [2, 3, 4], []]) == 3)
        #expect(Percentiles.medianOfRounds([]) == nil)
    }

    struct Case {
        let value: Double?, peer: Double?, goal: BenchRow.Goal, met: Bool?
    }

    @Test(
        "A goal is met or missed by the value or its ratio to the peer's, and undecided without them",
        arguments: [
            Case(value: 150, peer: 100, goal: .ratioAtMost(1.5), met: true),
            Case(value: 151, peer: 100, goal: .ratioAtMost(1.5), met: false),
            Case(value: 10, peer: nil, goal: .ratioAtMost(0.5), met: nil),
            Case(value: nil, peer: 100, goal: .ratioAtMost(0.5), met: nil),
            Case(value: 10, peer: 0, goal: .ratioAtMost(0.5), met: nil),
            Case(value: 700, peer: nil, goal: .valueAtMost(700), met: true),
            Case(value: 701, peer: nil, goal: .valueAtMost(700), met: false),
            Case(value: 300, peer: nil, goal: .valueAtLeast(300), met: true),
            Case(value: 299, peer: nil, goal: .valueAtLeast(300), met: false),
            Case(value: nil, peer: nil, goal: .valueAtLeast(300), met: nil),
        ])
    func goals(of example: Case) {
        let row = BenchRow(
            "a", example.value, .microseconds, peer: BenchRow.Peer(name: "b", value: example.peer), goal: example.goal)
        #expect(row.isMet == example.met)
    }

    @Test("Each row of --json is a line that says value, peer, ratio and goal; what is unknown is null")
    func json() throws {
        let rows = [
            BenchRow(
                "first", 3000, .microseconds, peer: BenchRow.Peer(name: "bwrap", value: 4000),
                goal: .ratioAtMost(0.5), spread: Percentiles([3000, 3001])),
            BenchRow("second", nil, .kibibytes, peer: BenchRow.Peer(name: "crun", value: nil), note: "not installed"),
        ]
        let text = BenchRow.jsonText(rows)
        #expect(text.split(separator: "\n").count == 4)
        guard case .array(let parsed) = try JSONValue(parsing: Array(text.utf8)) else {
            Issue.record("no array")
            return
        }
        let first = try #require(parsed.first?.members)
        #expect(first["name"] == .string("first") && first["unit"] == .string("µs"))
        #expect(first["peer"] == .string("bwrap") && first["goal"] == .string("ratio <= 0.5"))
        #expect(first["met"] == .bool(false) && first["n"] == .integer(2))
        #expect(try ratio(first) == 0.75)
        let second = try #require(parsed.last?.members)
        for name in ["value", "ratio", "goal", "met"] { #expect(second[name] == .null, "\(name)") }
        #expect(second["note"] == .string("not installed"))
    }

    private func ratio(_ members: [String: JSONValue]) throws -> Double {
        guard case .number(let ratio)? = members["ratio"] else { throw CommandFailure("no ratio") }
        return ratio
    }

    @Test("The table has a line for each row, missed goals stand out, and notes follow")
    func table() {
        let text = BenchRow.table([
            BenchRow("fast", 12.34, .microseconds, goal: .valueAtMost(10)),
            BenchRow("slow", nil, .kibibytes, note: "could not be measured"),
        ])
        let lines = text.split(separator: "\n").map(String.init)
        #expect(lines.count == 4)
        #expect(lines[1].contains("12.3 µs") && lines[1].hasSuffix("NO"))
        #expect(lines[2].hasPrefix("slow") && lines[2].hasSuffix("-"))
        #expect(lines[3] == "slow: could not be measured")
    }

    @Test("Numbers keep the digits that mean something", arguments: [(1234.6, "1235"), (3, "3"), (0.753, "0.75")])
    func numbers(value: Double, text: String) { #expect(BenchNumber.text(value) == text) }
}

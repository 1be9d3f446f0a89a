import Model

/// One figure of a benchmark, beside what it is held against. Pure.
struct BenchRow: Equatable {
    /// What was measured, unique within a run: `spawn.cold.first_instruction`.
    let name: String
    /// Nil when it could not be measured; the note says why.
    let value: Double?
    let unit: Unit
    /// What the value is held against.
    let peer: Peer?
    let goal: Goal?
    /// How the samples behind the value spread.
    let spread: Percentiles?
    /// What a reader must know of it.
    let note: String?

    init(
        _ name: String, _ value: Double?, _ unit: Unit, peer: Peer? = nil, goal: Goal? = nil,
        spread: Percentiles? = nil, note: String? = nil
    ) {
        self.name = name
        self.value = value
        self.unit = unit
        self.peer = peer
        self.goal = goal
        self.spread = spread
        self.note = note
    }

    /// What a value counts.
    enum Unit: String {
        case microseconds = "µs"
        case startsPerSecond = "starts/s"
        case kibibytes = "KiB"
        case sandboxes = "sandboxes"
        case kinds = "kinds"
        case instructions = "instructions"
        case connectsPerSecond = "connects/s"
        case milliseconds = "ms"
        case percentOfProcessor = "% of a core"
        case kibibytesPerSecond = "KiB/s"
    }

    /// Another program, or another figure of the same one.
    struct Peer: Equatable {
        let name: String
        /// Nil when it could not be measured.
        let value: Double?
    }

    /// What the figure is to be.
    enum Goal: Equatable {
        case valueAtMost(Double)
        case valueAtLeast(Double)
        /// Of value divided by the peer's.
        case ratioAtMost(Double)

        var text: String {
            switch self {
            case .valueAtMost(let bound): "<= \(BenchNumber.text(bound))"
            case .valueAtLeast(let bound): ">= \(BenchNumber.text(bound))"
            case .ratioAtMost(let bound): "ratio <= \(BenchNumber.text(bound))"
            }
        }
    }

    /// Value divided by the peer's; nil without one of them.
    var ratio: Double? {
        guard let value, let other = peer?.value, other > 0 else { return nil }
        return value / other
    }

    /// Whether the goal is reached; nil without a goal, or without what it needs.
    var isMet: Bool? {
        switch goal {
        case nil: nil
        case .valueAtMost(let bound)?: value.map { $0 <= bound }
        case .valueAtLeast(let bound)?: value.map { $0 >= bound }
        case .ratioAtMost(let bound)?: ratio.map { $0 <= bound }
        }
    }
}

/// How samples spread.
struct Percentiles: Equatable {
    let count: Int
    let minimum: Double
    let median: Double
    let p90: Double
    let p99: Double

    /// Nil of no samples.
    init?(_ samples: [Double]) {
        guard !samples.isEmpty else { return nil }
        let sorted = samples.sorted()
        count = sorted.count
        minimum = sorted[0]
        median = Self.rank(0.5, of: sorted)
        p90 = Self.rank(0.9, of: sorted)
        p99 = Self.rank(0.99, of: sorted)
    }

    /// The smallest sample that at least this part of all samples does not exceed (nearest rank).
    private static func rank(_ part: Double, of sorted: [Double]) -> Double {
        sorted[max(0, Int((part * Double(sorted.count)).rounded(.up)) - 1)]
    }

    /// The median of the rounds' medians: a disturbance that lasts for one round does not move it.
    static func medianOfRounds(_ rounds: [[Double]]) -> Double? {
        Percentiles(rounds.compactMap { Percentiles($0)?.median })?.median
    }
}

/// Numbers as the table shows them.
enum BenchNumber {
    /// Three digits that mean something, or the whole number.
    static func text(_ value: Double) -> String {
        if value.magnitude >= 100 || value == value.rounded() { return String(Int64(value.rounded())) }
        let places = value.magnitude >= 10 ? 10.0 : 100.0
        return String((value * places).rounded() / places)
    }
}

extension BenchRow {
    /// For `--json`.
    var json: JSONValue {
        var members: [String: JSONValue] = [
            "name": .string(name), "value": Self.number(value), "unit": .string(unit.rawValue),
            "peer": peer.map { .string($0.name) } ?? .null, "peer_value": Self.number(peer?.value),
            "ratio": Self.number(ratio), "goal": goal.map { .string($0.text) } ?? .null,
            "met": isMet.map(JSONValue.bool) ?? .null, "note": note.map(JSONValue.string) ?? .null,
        ]
        if let spread {
            members["n"] = .integer(Int64(spread.count))
            members["min"] = Self.number(spread.minimum)
            members["p50"] = Self.number(spread.median)
            members["p90"] = Self.number(spread.p90)
            members["p99"] = Self.number(spread.p99)
        }
        return .object(members)
    }

    private static func number(_ value: Double?) -> JSONValue {
        guard let value, value.isFinite else { return .null }
        return .number((value * 1000).rounded() / 1000)
    }

    /// An array with a line for each row, so that both a parser and a person can read it.
    static func jsonText(_ rows: [BenchRow]) -> String {
        "[\n" + rows.map(\.json.text).joined(separator: ",\n") + "\n]\n"
    }

    /// The table for people, with the notes below it.
    static func table(_ rows: [BenchRow]) -> String {
        let headings = ["FIGURE", "VALUE", "P90", "P99", "MIN", "N", "PEER", "ITS VALUE", "RATIO", "GOAL", "MET"]
        let cells = rows.map { row -> [String] in
            func text(_ value: Double?) -> String { value.map(BenchNumber.text) ?? "-" }
            return [
                row.name, row.value.map { "\(BenchNumber.text($0)) \(row.unit.rawValue)" } ?? "-",
                text(row.spread?.p90), text(row.spread?.p99), text(row.spread?.minimum),
                row.spread.map { String($0.count) } ?? "-", row.peer?.name ?? "-", text(row.peer?.value),
                text(row.ratio), row.goal?.text ?? "-", row.isMet.map { $0 ? "yes" : "NO" } ?? "-",
            ]
        }
        let notes = rows.compactMap { row in row.note.map { "\(row.name): \($0)\n" } }
        return Table.text(headings, cells) + (notes.isEmpty ? "" : "\n" + notes.joined())
    }
}

import Linux

/// What a campaign came to, for people and for programs.
struct CampaignReport {
    private let result: Campaign.Result
    private let options: SimulatorOptions
    private let milliseconds: Int64
    private let jobs: Int

    init(_ result: Campaign.Result, _ options: SimulatorOptions, elapsed: Duration, jobs: Int) {
        self.result = result
        self.options = options
        self.jobs = jobs
        milliseconds = elapsed.wholeNanoseconds / 1_000_000
    }

    private var sums: [(name: String, count: Int)] {
        let counts = result.counts
        return [
            ("schedules", counts.schedules), ("steps", counts.steps), ("store jobs", counts.jobs),
            ("connects acknowledged", counts.connectsAcknowledged), ("connects refused", counts.connectsRefused),
            ("backends started", counts.backendsStarted), ("sessions concluded", counts.sessionsConcluded),
            ("requests relayed", counts.requestsRelayed), ("tokens revoked", counts.tokensRevoked),
        ]
    }

    var text: String {
        var lines: [String] = []
        for sum in sums { lines.append(Self.row(sum.name, sum.count)) }
        lines.append("faults:")
        for fault in Fault.allCases { lines.append("  " + Self.row(fault.rawValue, result.counts.faults[fault.index])) }
        lines.append(Self.row("violations", result.violations.count))
        lines.append(
            "\(milliseconds) ms, \(jobs) jobs, "
                + "\(Int64(result.counts.schedules) * 1_000 / max(1, milliseconds)) schedules per second")
        lines.append("digest \(String(result.digest, radix: 16))")
        if let first = result.violations.first, let violation = first.violation {
            lines.append("")
            lines.append("VIOLATION in seed \(first.seed), rule \"\(violation.rule.rawValue)\": \(violation.sentence)")
            lines.append("replay: \(replay(first.seed))")
        }
        if let mutant = options.mutant {
            lines.append(
                result.violations.first.map {
                    "mutant \(mutant.rawValue): caught at seed \($0.seed) by \"\($0.violation?.rule.rawValue ?? "")\""
                }
                    ?? "mutant \(mutant.rawValue): NOT caught")
        }
        return lines.joined(separator: "\n")
    }

    private func replay(_ seed: UInt64) -> String {
        "swift run -c release plane-simulator --seed \(seed)"
            + (options.mutant.map { " --mutant \($0.rawValue)" } ?? "")
            + (options.favoured.map { " --favour \($0.rawValue)" } ?? "")
    }

    private static func row(_ name: String, _ count: Int) -> String {
        let number = String(count)
        let spaces = String(repeating: " ", count: max(1, 48 - name.count - number.count))
        return name + spaces + number
    }

    /// One object; names as in the text with underscores.
    var json: String {
        func name(_ text: String) -> String { String(text.map { $0 == " " || $0 == "," ? "_" : $0 }) }
        var fields = sums.map { "\"\(name($0.name))\":\($0.count)" }
        let faults = Fault.allCases.map { "\"\($0.rawValue)\":\(result.counts.faults[$0.index])" }
        fields.append("\"faults\":{\(faults.joined(separator: ","))}")
        fields.append("\"violations\":\(result.violations.count)")
        fields.append("\"milliseconds\":\(milliseconds)")
        fields.append("\"digest\":\"\(String(result.digest, radix: 16))\"")
        if let first = result.violations.first, let violation = first.violation {
            fields.append("\"first_violation\":{\"seed\":\(first.seed),\"rule\":\"\(violation.rule.rawValue)\"}")
        }
        if let mutant = options.mutant { fields.append("\"mutant\":\"\(mutant.rawValue)\"") }
        return "{\(fields.joined(separator: ","))}"
    }
}

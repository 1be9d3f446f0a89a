import Model

/// A length of time on the command line: `90s`, `10m`, `1h30m`. Pure.
enum DurationFlag {
    /// Whole seconds; nil when the flag was left out.
    static func seconds(_ arguments: Arguments, _ flag: Flag) throws(UsageError) -> Int64? {
        guard let text = arguments.text(flag) else { return nil }
        guard let seconds = parse(text), seconds <= SpawnConfig.secondsMax else {
            throw arguments.wrong("\(flag.name) \(text): write a time such as 90s, 10m, 1h30m or 2d")
        }
        return seconds
    }

    /// Units from the largest to the smallest, each at most once; nil for anything else.
    static func parse(_ text: String) -> Int64? {
        let units: [(Character, Int64)] = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)]
        var allowed = units[...]
        var digits = ""
        var total: Int64 = 0
        for character in text {
            if character.isASCII, character.isNumber {
                digits.append(character)
                continue
            }
            guard let place = allowed.firstIndex(where: { $0.0 == character }), let count = Int64(digits) else {
                return nil
            }
            let (product, overflow) = count.multipliedReportingOverflow(by: allowed[place].1)
            let (sum, sumOverflow) = total.addingReportingOverflow(product)
            if overflow || sumOverflow { return nil }
            total = sum
            digits = ""
            allowed = allowed[(place + 1)...]
        }
        return digits.isEmpty && !text.isEmpty ? total : nil
    }
}

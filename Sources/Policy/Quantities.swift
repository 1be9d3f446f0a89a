internal import Model

/// A number of bytes as policies write it: `512MiB`, `2GB`, `0`.
package struct ByteSize: Hashable {
    package let bytes: UInt64

    static let kibibyte: UInt64 = 1 << 10
    static let mebibyte: UInt64 = 1 << 20
    static let gibibyte: UInt64 = 1 << 30
    static let tebibyte: UInt64 = 1 << 40

    init(bytes: UInt64) { self.bytes = bytes }

    /// The largest first.
    private static let units: [(name: String, bytes: UInt64)] = [
        ("TiB", tebibyte), ("TB", 1_000_000_000_000), ("GiB", gibibyte), ("GB", 1_000_000_000), ("MiB", mebibyte),
        ("MB", 1_000_000), ("KiB", kibibyte), ("KB", 1000), ("B", 1),
    ]

    /// Nil for anything but digits and a unit without a space; only nothing needs no unit.
    package init?(_ text: String) {
        guard let (count, unit) = splitQuantity(text) else { return nil }
        if unit.isEmpty, count == 0 {
            bytes = 0
            return
        }
        guard let factor = Self.units.first(where: { $0.name == unit })?.bytes else { return nil }
        let (product, overflow) = count.multipliedReportingOverflow(by: factor)
        guard !overflow else { return nil }
        bytes = product
    }

    /// The form with the largest unit that says it exactly.
    var text: String {
        guard bytes > 0, let unit = Self.units.first(where: { bytes % $0.bytes == 0 }) else { return "0" }
        return "\(bytes / unit.bytes)\(unit.name)"
    }
}

/// A length of time as policies write it: `500ms`, `30s`, `5m`, `1h`.
struct TimeLength: Hashable {
    let milliseconds: UInt64

    init(milliseconds: UInt64) { self.milliseconds = milliseconds }

    /// - Parameter seconds: as many as a policy can have.
    init(seconds: UInt64) { milliseconds = seconds * 1000 }

    private static let units: [(name: String, milliseconds: UInt64)] = [
        ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1),
    ]

    /// Nil for anything but digits and a unit without a space; only nothing needs no unit.
    init?(_ text: String) {
        guard let (count, unit) = splitQuantity(text) else { return nil }
        if unit.isEmpty, count == 0 {
            milliseconds = 0
            return
        }
        guard let factor = Self.units.first(where: { $0.name == unit })?.milliseconds else { return nil }
        let (product, overflow) = count.multipliedReportingOverflow(by: factor)
        guard !overflow else { return nil }
        milliseconds = product
    }

    /// The form with the largest unit that says it exactly.
    var text: String {
        guard milliseconds > 0, let unit = Self.units.first(where: { milliseconds % $0.milliseconds == 0 }) else {
            return "0s"
        }
        return "\(milliseconds / unit.milliseconds)\(unit.name)"
    }
}

private func splitQuantity(_ text: String) -> (count: UInt64, unit: Substring)? {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    guard !digits.isEmpty, let count = UInt64(digits) else { return nil }
    return (count, text[digits.endIndex...])
}

extension JSONReader {
    /// A size field within a range; nil when absent.
    mutating func size(_ name: String, in range: ClosedRange<UInt64>) throws(InvalidValue) -> UInt64? {
        guard let text = try string(name) else { return nil }
        guard let size = ByteSize(text) else {
            throw InvalidValue(
                field: pathOf(name), problem: "\"\(text.prefix(80))\" is not a size; write \"2GiB\" or \"2000MB\"")
        }
        guard range.contains(size.bytes) else {
            throw InvalidValue(
                field: pathOf(name),
                problem: "\"\(text)\" is out of range; allowed are \(ByteSize(bytes: range.lowerBound).text) to "
                    + ByteSize(bytes: range.upperBound).text)
        }
        return size.bytes
    }

    /// A duration field within a range of milliseconds; nil when absent.
    mutating func milliseconds(_ name: String, in range: ClosedRange<UInt64>) throws(InvalidValue) -> UInt64? {
        guard let text = try string(name) else { return nil }
        guard let length = TimeLength(text) else {
            throw InvalidValue(
                field: pathOf(name),
                problem: "\"\(text.prefix(80))\" is not a duration; write \"500ms\", \"30s\" or \"5m\"")
        }
        guard range.contains(length.milliseconds) else {
            throw InvalidValue(
                field: pathOf(name),
                problem:
                    "\"\(text)\" is out of range; allowed are \(TimeLength(milliseconds: range.lowerBound).text) to "
                    + TimeLength(milliseconds: range.upperBound).text)
        }
        return length.milliseconds
    }

    /// A duration field in whole seconds within a range of seconds; nil when absent.
    mutating func seconds(_ name: String, in range: ClosedRange<UInt64>) throws(InvalidValue) -> UInt64? {
        let bounds = range.lowerBound * 1000...range.upperBound * 1000
        guard let milliseconds = try milliseconds(name, in: bounds) else { return nil }
        guard milliseconds % 1000 == 0 else {
            throw InvalidValue(
                field: pathOf(name),
                problem: "\"\(TimeLength(milliseconds: milliseconds).text)\" is not a whole number of seconds")
        }
        return milliseconds / 1000
    }
}

package import Linux

/// The end of what a command wrote, and the lines of it that the drone's log takes.
///
/// A command may write as fast as it likes: the ring keeps a fixed amount, and the log gets a bounded number of lines,
/// each bounded and without control characters, so that no command can fill a disk or dress its output up as ours.
///
/// Pure: bytes in, lines out.
package struct OutputRing: Equatable, Sendable {
    /// Bytes kept for messages.
    package static let keptBytesMax = 16 * 1024
    /// Bytes of one line in the log; the rest of it is left out.
    package static let lineBytesMax = 1024
    /// Lines per second, on average.
    package static let linesPerSecond: Int64 = 50
    /// Lines at once, after silence.
    package static let linesBurst: Int64 = 200

    private var kept: [UInt8] = []
    private var line: [UInt8] = []
    private var credit = Self.linesBurst * 1_000_000_000
    private var creditedAt: BootInstant
    private var leftOut = 0

    /// - Parameter now: when it begins.
    package init(now: BootInstant) { creditedAt = now }

    /// The last output, up to 16 KiB.
    package var tail: String { String(decoding: kept.suffix(Self.keptBytesMax), as: UTF8.self) }

    /// Takes what was read. - Returns: lines for the log.
    package mutating func append(_ bytes: some Collection<UInt8>, now: BootInstant) -> [String] {
        kept.append(contentsOf: bytes)
        // Cut at twice the size, so that bytes move once per ring length and not once per read.
        if kept.count > 2 * Self.keptBytesMax { kept.removeFirst(kept.count - Self.keptBytesMax) }
        var lines: [String] = []
        for byte in bytes {
            if byte == 0x0A {
                finishLine(into: &lines, now: now)
            } else if line.count < Self.lineBytesMax {
                line.append(byte)
            }
        }
        return lines
    }

    /// No more comes. - Returns: the line that had no end yet, and what was left out.
    package mutating func finish(now: BootInstant) -> [String] {
        var lines: [String] = []
        if !line.isEmpty { finishLine(into: &lines, now: now) }
        if leftOut > 0 { lines.append("… \(leftOut) lines were left out") }
        leftOut = 0
        return lines
    }

    private mutating func finishLine(into lines: inout [String], now: BootInstant) {
        defer { line.removeAll(keepingCapacity: true) }
        let elapsed = min(max(0, (now - creditedAt).wholeNanoseconds), 10_000_000_000)
        creditedAt = max(now, creditedAt)
        credit = min(credit + elapsed * Self.linesPerSecond, Self.linesBurst * 1_000_000_000)
        guard credit >= 1_000_000_000 else {
            leftOut += 1
            return
        }
        credit -= 1_000_000_000
        if leftOut > 0 { lines.append("… \(leftOut) lines were left out") }
        leftOut = 0
        let text = String(decoding: line, as: UTF8.self)
        lines.append(
            String(String.UnicodeScalarView(text.unicodeScalars.map { $0.properties.isPrintable ? $0 : "\u{FFFD}" })))
    }
}

extension Unicode.Scalar.Properties {
    /// Whether a terminal shows it and does nothing else with it.
    fileprivate var isPrintable: Bool {
        switch generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: false
        default: true
        }
    }
}

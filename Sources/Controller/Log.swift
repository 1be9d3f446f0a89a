import Glibc
import Linux

/// One line per event on stderr: time, level, what happened, then `name=value` pairs.
package enum Log {
    /// How much it matters.
    package enum Level: String {
        case info
        case warn
        case error
    }

    /// Writes a line. Values with spaces or quotes are quoted; control characters never reach the terminal.
    package static func write(_ level: Level, _ event: String, _ fields: KeyValuePairs<String, String> = [:]) {
        var line = "\(timestamp(WallClock.millisecondsSinceEpoch)) \(level.rawValue) \(event)"
        for (name, value) in fields { line += " \(name)=\(quoted(value))" }
        line += "\n"
        // One write(2), so that lines of several processes do not mix. A log that cannot be written harms nobody.
        var bytes = Array(line.utf8)
        _ = Glibc.write(2, &bytes, bytes.count)
    }

    private static func quoted(_ value: String) -> String {
        let isPlain = !value.isEmpty && value.utf8.allSatisfy { $0 > 32 && $0 < 127 && $0 != 34 && $0 != 61 }
        if isPlain { return value }
        var text = "\""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case let s where s.value < 32 || s.value == 127: text += " "
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text + "\""
    }

    /// RFC 3339 in UTC with milliseconds.
    private static func timestamp(_ milliseconds: Int64) -> String {
        var seconds = time_t(milliseconds / 1000)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        func padded(_ number: Int32, _ width: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let date = "\(padded(parts.tm_year + 1900, 4))-\(padded(parts.tm_mon + 1, 2))-\(padded(parts.tm_mday, 2))"
        let time = "\(padded(parts.tm_hour, 2)):\(padded(parts.tm_min, 2)):\(padded(parts.tm_sec, 2))"
        return "\(date)T\(time).\(padded(Int32(milliseconds % 1000), 3))Z"
    }
}

import Glibc
import Linux

/// Lines on standard error, one write each. Names and causes only; never an environment or a token.
enum WardenLog {
    static func write(_ text: String) {
        let line = Array("plane-warden: \(text)\n".utf8)
        _ = line.withUnsafeBytes { Glibc.write(2, $0.baseAddress, $0.count) }
    }
}

import Glibc

/// Lines on standard error, one write each. Names and causes only; never an environment or a whole token.
enum DroneLog {
    /// Writes one line, without its end, to standard error, which the supervisor keeps.
    static func write(_ text: String) {
        let line = Array("plane drone: \(text)\n".utf8)
        _ = line.withUnsafeBytes { Glibc.write(2, $0.baseAddress, $0.count) }
    }
}

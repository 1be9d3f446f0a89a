import Glibc

/// Lines on standard error, one write each. Names and causes only; never an environment or a whole token.
struct DroneLog: Sendable {
    /// Writes one line, without its end.
    let write: @Sendable (String) -> Void

    /// To standard error, which the supervisor keeps.
    static let standardError = DroneLog { text in
        let line = Array("plane drone: \(text)\n".utf8)
        _ = line.withUnsafeBytes { Glibc.write(2, $0.baseAddress, $0.count) }
    }
}

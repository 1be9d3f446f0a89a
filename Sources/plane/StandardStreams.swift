import Glibc
import Linux

/// Where results go. Unbuffered, so that nothing is written twice when this process clones itself, and nothing is lost
/// when it becomes another program.
enum StandardOutput {
    /// Writes text or, for other programs, bytes. Whoever closed the other end does not want the rest.
    static func write(_ text: String) { write(Array(text.utf8)) }

    static func write(_ bytes: [UInt8]) { writeAll(bytes, to: STDOUT_FILENO) }

    /// A line.
    static func say(_ line: String) { write(line + "\n") }
}

/// Where complaints and progress go.
enum StandardError {
    static func write(_ text: String) { writeAll(Array(text.utf8), to: STDERR_FILENO) }

    /// A line.
    static func say(_ line: String) { write(line + "\n") }
}

private func writeAll(_ bytes: [UInt8], to descriptor: Int32) {
    var rest = bytes[...]
    while !rest.isEmpty {
        let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
        if count < 0, errno == EINTR { continue }
        if count <= 0 { return }
        rest = rest.dropFirst(count)
    }
}

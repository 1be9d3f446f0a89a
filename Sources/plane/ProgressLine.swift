import Glibc

/// A line on standard error that is written over and over, where that is a terminal; else nothing.
struct ProgressLine {
    private let isTerminal = isatty(STDERR_FILENO) == 1

    /// Shows a text in place of the one before.
    func show(_ text: String) {
        // CSI K erases what an earlier, longer text left to the right. ECMA-48 section 8.3.41.
        if isTerminal { StandardError.write("\r\(text)\u{1B}[K") }
    }

    /// Leaves the line empty.
    func clear() { show("") }
}

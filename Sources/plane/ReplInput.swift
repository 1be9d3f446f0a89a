/// Makes statements of typed lines. Pure.
struct ReplInput {
    enum Step: Equatable {
        /// Evaluate this.
        case code(String)
        /// More must be typed, after this prompt.
        case wait(String)
        /// Nothing comes any more.
        case end
    }

    private var bytes: [UInt8] = []
    private var block: [String] = []
    private(set) var isAtEnd = false

    /// Adds what was typed.
    mutating func append(_ typed: some Sequence<UInt8>) { bytes += typed }

    /// Nothing more will be typed.
    mutating func finish() { isAtEnd = true }

    /// Takes the next whole statement: a line, or a block up to an empty line.
    mutating func next() -> Step {
        while let line = takeLine() {
            if block.isEmpty {
                if line.allSatisfy(\.isWhitespace) { continue }
                if !Self.beginsBlock(line) { return .code(line) }
                block = [line]
            } else if line.isEmpty {
                return .code(takeBlock())
            } else {
                block.append(line)
            }
        }
        if isAtEnd { return block.isEmpty ? .end : .code(takeBlock()) }
        return .wait(block.isEmpty ? ">>> " : "... ")
    }

    private mutating func takeBlock() -> String {
        defer { block = [] }
        return block.joined(separator: "\n") + "\n"
    }

    private mutating func takeLine() -> String? {
        let newline = bytes.firstIndex(of: UInt8(ascii: "\n"))
        guard let end = newline ?? (isAtEnd && !bytes.isEmpty ? bytes.count : nil) else { return nil }
        defer { bytes.removeFirst(newline == nil ? end : end + 1) }
        return String(decoding: bytes[..<end], as: UTF8.self)
    }

    private static func beginsBlock(_ line: String) -> Bool {
        guard let last = line.last(where: { !$0.isWhitespace }) else { return false }
        return last == ":" || last == "\\" || line.hasPrefix("@")
    }
}

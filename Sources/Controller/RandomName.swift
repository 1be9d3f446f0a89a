import Model

/// 14 random characters, the reference's form of a name.
enum RandomName {
    static func fresh() -> String { BackendID(random: RandomBytes.draw(14)).text }
}

/// Bytes that nobody can guess, from the system's generator: getrandom(2).
enum RandomBytes {
    static func draw(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 8)
        while bytes.count < count {
            // Eight at a time: each call of the generator is a system call.
            withUnsafeBytes(of: generator.next()) { bytes.append(contentsOf: $0) }
        }
        bytes.removeLast(bytes.count - count)
        return bytes
    }
}

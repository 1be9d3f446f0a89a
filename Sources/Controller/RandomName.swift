import Linux
import Model

/// 14 random characters, the reference's form of a name.
enum RandomName {
    static func fresh() -> String { BackendID(random: RandomBytes.draw(14)).text }
}

/// Bytes that nobody can guess, from the system's generator: getrandom(2).
enum RandomBytes {
    static func draw(_ count: Int) -> [UInt8] { CurrentProcess.randomBytes(count) }
}

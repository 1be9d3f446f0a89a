/// A system call, and when its argument is of the kind that is meant.
public struct SystemCallRule: Hashable, Sendable {
    /// Its name, as in section 2 of the manual.
    public var call: String
    /// Which of the six arguments, 0–5. Its low 32 bits are looked at, as the kernel does for flags and commands.
    public var argument: Int
    /// When it is meant.
    public var condition: Condition

    /// When an argument is of the kind that is meant.
    public enum Condition: Hashable, Sendable {
        /// It is one of these, which are sorted.
        case isOneOf([UInt32])
        /// At least one of the mask's bits is set.
        case hasAnyBit(UInt32)
        /// None of the mask's bits is set.
        case hasNoBit(UInt32)
    }

    /// Most rules of one policy, and most values of all of them: with these the program stays far below the 4,096
    /// instructions that seccomp(2) takes.
    static let countMax = 64
    static let valuesMax = 256

    /// What a call comes to: one decision where the condition holds, another where it does not.
    func decision(
        _ meant: SystemCallDecision, otherwise: SystemCallDecision
    ) -> SystemCallDecision {
        switch condition {
        case .isOneOf(let values):
            .byValue(
                argument: argument, Dictionary(uniqueKeysWithValues: values.map { ($0, meant) }), otherwise: otherwise)
        case .hasAnyBit(let mask): .byBits(argument: argument, mask: mask, clear: otherwise, otherwise: meant)
        case .hasNoBit(let mask): .byBits(argument: argument, mask: mask, clear: meant, otherwise: otherwise)
        }
    }

    /// For messages: `ioctl when argument 1 is 21523`.
    public var text: String { "\(call) \(when)" }

    /// The condition alone.
    var when: String {
        let bits =
            switch condition {
            case .isOneOf(let values): "is \(values.map(String.init).joined(separator: " or "))"
            case .hasAnyBit(let mask): "has any bit of \(mask)"
            case .hasNoBit(let mask): "has no bit of \(mask)"
            }
        return "when argument \(argument) \(bits)"
    }
}

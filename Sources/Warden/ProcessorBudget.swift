import Linux

/// The processor time that all processes of a sandbox may use together, and when to look again whether they have.
///
/// Pure: nothing tells when a cgroup has used so much, and asking all the time would cost what it is to save; so the
/// next look is at the first moment at which it could have happened.
package struct ProcessorBudget: Hashable, Sendable {
    /// All of it, microseconds.
    let limit: UInt64
    /// Processors that the sandbox can keep busy at once.
    let processors: Double

    /// - Parameters: as the properties say.
    package init(limit: UInt64, processors: Double) {
        self.limit = limit
        self.processors = processors
    }

    /// What a look has found.
    enum Verdict: Equatable {
        case exhausted
        case lookAgain(at: BootInstant)
    }

    /// The least time between two looks.
    static let breath = Duration.milliseconds(20)

    /// - Parameter used: microseconds, as cpu.stat counts them.
    func judge(used: UInt64, now: BootInstant) -> Verdict {
        guard used < limit else { return .exhausted }
        let soonest = Double(limit - used) / max(processors, 0.01)
        return .lookAgain(at: now + max(Self.breath, .microseconds(Int64(min(soonest, 1e15)))))
    }
}

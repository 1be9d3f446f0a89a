import Linux
import Model
import WardenProtocol

/// Turns a sandbox's end into what the controller keeps and a person reads.
struct ExitReport {
    /// Where the backend was when its sandbox ended.
    enum Phase {
        /// Its port had not answered.
        case unready
        /// It was serving.
        case ready
        /// It was being ended, for this reason, in this way, as this sentence says.
        case ending(TerminationReason, TerminationKind, String)
        /// It had ended before.
        case over
    }

    /// Where the backend was.
    let phase: Phase
    /// The port its command listens on.
    let port: UInt16

    /// Most bytes of a command's last output in a message.
    static let outputBytesMax = 2000

    /// The final state; nil when there was one before.
    func state(_ exit: SandboxExit, lastOutput: String) -> BackendState? {
        let end = backendExit(exit)
        switch phase {
        case .over: return nil
        case .unready:
            let message = "\(sentence(exit, before: " before it answered on port \(port)"))\(quoted(lastOutput))"
            return BackendState(
                .terminated, reason: reason(exit), kind: kind(exit), exit: end, message: message)
        case .ready:
            let output = exit.cause == .ended && end?.isFailure ?? true ? quoted(lastOutput) : ""
            return BackendState(
                .terminated, reason: reason(exit), kind: kind(exit), exit: end,
                message: sentence(exit, before: "") + output)
        case .ending(let reason, let kind, let why):
            let output = reason == .startupTimeout ? quoted(lastOutput) : ""
            let how = exit.outOfMemory || exit.status != nil ? " \(sentence(exit, before: ""))" : ""
            return BackendState(.terminated, reason: reason, kind: kind, exit: end, message: why + how + output)
        }
    }

    /// Nil when nobody knows how the command ended: it was killed together with its init.
    private func backendExit(_ exit: SandboxExit) -> BackendExit? {
        switch exit.status {
        case .exited(let code): BackendExit(code: code, signal: nil, outOfMemory: exit.outOfMemory)
        case .signaled(let signal): BackendExit(code: nil, signal: signal, outOfMemory: exit.outOfMemory)
        case nil: exit.outOfMemory ? BackendExit(code: nil, signal: nil, outOfMemory: true) : nil
        }
    }

    /// Why, when the drone itself did not want it.
    private func reason(_ exit: SandboxExit) -> TerminationReason? {
        switch exit.cause {
        case .deadline: .keyExpired
        case .ended, .terminated, .cpuTime: nil
        }
    }

    private func kind(_ exit: SandboxExit) -> TerminationKind? {
        switch exit.cause {
        case .deadline, .cpuTime: .hard
        case .ended, .terminated: nil
        }
    }

    private func sentence(_ exit: SandboxExit, before moment: String) -> String {
        if exit.outOfMemory { return "The kernel killed it at its memory limit (memory.max)\(moment)." }
        if exit.cause == .deadline {
            return "The warden killed it at its lease's deadline: the drone had no word from its controller in time."
        }
        switch exit.status {
        case .exited(let code): return "The command exited with status \(code)\(moment)."
        case .signaled(let signal): return "The command was ended by signal \(signal)\(moment)."
        case nil:
            switch exit.cause {
            case .terminated: return "It was killed at the request of an earlier drone process\(moment)."
            case .cpuTime: return "The warden killed it at its limit of total processor time\(moment)."
            case .ended, .deadline: return "The sandbox's first process was killed\(moment)."
            }
        }
    }

    private func quoted(_ output: String) -> String {
        var tail = output.utf8.suffix(Self.outputBytesMax)
        // A sequence that the cut went through begins with continuation bytes.
        while let first = tail.first, first & 0xC0 == 0x80 { tail = tail.dropFirst() }
        var text = String(decoding: tail, as: UTF8.self)
        while text.last?.isNewline == true { text.removeLast() }
        return text.isEmpty ? " It wrote nothing." : " Its last output: \(text)"
    }
}

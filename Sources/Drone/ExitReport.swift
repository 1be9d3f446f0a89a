import Linux
package import Model
package import WardenProtocol

/// Turns a sandbox's end into what the controller keeps and a person reads. Pure: here alone is decided why a sandbox
/// ended that was started.
package struct ExitReport {
    /// Where the backend was when its sandbox ended.
    package enum Phase {
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
    package let phase: Phase
    /// The port that was asked whether its command is ready.
    package let port: UInt16

    /// Most bytes of a command's last output in a message.
    package static let outputBytesMax = 2000

    /// SIGXCPU: a process has used up its RLIMIT_CPU. setrlimit(2), signal(7).
    package static let processorTimeSignal: Int32 = 24

    /// The final state; nil when there was one before.
    package func state(_ exit: SandboxExit, lastOutput: String) -> BackendState? {
        let end = backendExit(exit)
        let usage = BackendUsage(exit)
        switch phase {
        case .over: return nil
        case .unready:
            let message = "\(sentence(exit, before: " before it answered on port \(port)"))\(quoted(lastOutput))"
            return BackendState(
                .terminated, reason: reason(exit), kind: kind(exit), exit: end, message: message,
                endReason: endReason(exit), usage: usage)
        case .ready:
            let output = exit.cause == .ended && end?.isFailure ?? true ? quoted(lastOutput) : ""
            return BackendState(
                .terminated, reason: reason(exit), kind: kind(exit), exit: end,
                message: sentence(exit, before: "") + output, endReason: endReason(exit), usage: usage)
        case .ending(let reason, let kind, let why):
            let output = reason == .startupTimeout ? quoted(lastOutput) : ""
            let how = exit.outOfMemory || exit.status != nil ? " \(sentence(exit, before: ""))" : ""
            return BackendState(
                .terminated, reason: reason, kind: kind, exit: end, message: why + how + output, usage: usage)
        }
    }

    /// Why, when the drone itself did not want it. The limit that was reached comes before the way it was enforced.
    private func endReason(_ exit: SandboxExit) -> EndReason {
        if exit.outOfMemory { return .outOfMemory }
        switch (exit.cause, exit.status) {
        case (.deadline, _): return .leaseExpired
        case (.cpuTime, _), (_, .signaled(Self.processorTimeSignal)): return .cpuTime
        case (.terminated, _): return .endedByDrone
        case (.ended, .exited): return .exited
        case (.ended, .signaled): return .signaled
        case (.ended, nil): return .killed
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

    /// The reference's value for it, which has none for what a command does by itself.
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
        switch (endReason(exit), exit.status) {
        case (.outOfMemory, _): return "The kernel killed it at its memory limit (memory.max)\(moment)."
        case (.leaseExpired, _):
            return "The warden killed it at its lease's deadline: the drone had no word from its controller in time."
        case (.cpuTime, .signaled(Self.processorTimeSignal)):
            return "A process of it used up its processor time (RLIMIT_CPU), and the kernel ended it\(moment)."
        case (.cpuTime, _): return "The warden killed it at its limit of total processor time\(moment)."
        case (_, .exited(let code)): return "The command exited with status \(code)\(moment)."
        case (_, .signaled(let signal)): return "The command was ended by signal \(signal)\(moment)."
        case (.endedByDrone, nil): return "It was killed at the request of an earlier drone process\(moment)."
        case (_, nil): return "The sandbox's first process was killed\(moment)."
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

extension BackendUsage {
    /// What the warden read from the cgroup. Without the memory controller there is no peak.
    fileprivate init(_ exit: SandboxExit) {
        self.init(
            cpuMicroseconds: Int64(clamping: exit.cpuMicroseconds),
            memoryPeakBytes: exit.memoryPeakBytes == 0 ? nil : Int64(clamping: exit.memoryPeakBytes))
    }
}

import Linux
import Model
import WardenProtocol

/// How a single run went, for `plane run --json`. Pure.
struct RunReport {
    /// When each phase was over; each begins with the end of the one before.
    struct Times {
        let began: BootInstant
        let compiled: BootInstant
        /// `plane-warden` was started and read the plan.
        let warden: BootInstant
        /// What does not depend on the plan was made.
        var prepared: BootInstant
        /// The sandbox was made.
        var made: BootInstant
        /// The command was exec'ed.
        var started: BootInstant
        /// The command had ended.
        var ended: BootInstant
        /// Nothing of the sandbox was left.
        var cleared: BootInstant

        /// All phases have yet to come to their end.
        init(_ report: RunWishes.Report, warden: BootInstant) {
            began = report.began
            compiled = report.compiled
            self.warden = warden
            prepared = warden
            made = warden
            started = warden
            ended = warden
            cleared = warden
        }

        var json: JSONValue {
            let phases: [(String, BootInstant, BootInstant)] = [
                ("compile", began, compiled), ("warden", compiled, warden), ("prepare", warden, prepared),
                ("make", prepared, made), ("exec", made, started), ("run", started, ended), ("end", ended, cleared),
                ("total", began, cleared),
            ]
            return .object(
                Dictionary(
                    uniqueKeysWithValues: phases.map { name, from, to in
                        (name, .integer((to - from).wholeNanoseconds / 1000))
                    }))
        }
    }

    /// How the command ended.
    let status: ExitStatus
    /// Why.
    let reason: EndReason
    /// The reason as a sentence.
    let message: String
    let usage: BackendUsage
    /// Most memory that one process of it had, bytes: what the kernel tells without a memory controller.
    let largestProcessBytes: Int64

    /// - Parameters:
    ///   - kill: why this process killed it, if it did.
    ///   - outOfMemory: whether the kernel killed something of it for reaching memory.max.
    static func reason(_ status: ExitStatus?, kill: RunWatch.Kill?, outOfMemory: Bool) -> EndReason {
        switch (kill, status) {
        case (.cpuTime?, _): .cpuTime
        case (.lifetime?, _): .swept
        case (nil, _) where outOfMemory: .outOfMemory
        case (nil, .exited?): .exited
        // SIGXCPU: one process alone has used up its RLIMIT_CPU. setrlimit(2)
        case (nil, .signaled(24)?): .cpuTime
        case (nil, .signaled?): .signaled
        case (nil, nil): .killed
        }
    }

    /// The reason in words, with the limit that was reached.
    static func sentence(_ reason: EndReason, _ status: ExitStatus, _ plan: SandboxPlan) -> String {
        switch reason {
        case .outOfMemory: "the command was killed at its memory limit, \(plan.cgroup.memoryMaxBytes) bytes"
        case .cpuTime: "the command was killed: it has used its \(plan.cpuTimeSeconds ?? 0) s of processor time"
        case .swept: "the command was killed: its lifetime of \(plan.lifetimeSeconds ?? 0) s is over"
        case .killed: "the sandbox was killed from outside"
        case .exited, .signaled, .endedByDrone, .startFailed, .startupTimeout, .lost, .external, .leaseExpired,
            .internalError:
            "the command \(status)"
        }
    }

    /// One line of JSON.
    func text(_ times: Times) -> String {
        let exit: [String: JSONValue] =
            switch status {
            case .exited(let code): ["code": .integer(Int64(code)), "signal": .null]
            case .signaled(let signal): ["code": .null, "signal": .integer(Int64(signal))]
            }
        let members: [String: JSONValue] = [
            "status": .integer(Int64(status.shellStatus)), "reason": .string(reason.rawValue),
            "message": .string(message), "cpu_microseconds": .integer(usage.cpuMicroseconds),
            "memory_peak_bytes": usage.memoryPeakBytes.map(JSONValue.integer) ?? .null,
            "largest_process_bytes": .integer(largestProcessBytes), "microseconds": times.json,
        ]
        return JSONValue.object(members.merging(exit) { own, _ in own }).text + "\n"
    }
}

import Glibc
import Linux
import Model
import Sandbox

/// Waits for the end of a single run: passes signals on, carries bytes to and from its terminal, and kills it when it
/// has used up what its policy allows.
struct RunWatch {
    /// Why the sandbox was killed here.
    enum Kill {
        case cpuTime
        case lifetime
    }

    private let budget: ProcessorBudget?
    private var relay: TerminalRelay?
    private let terminal: Int32?
    private var lifetimeEnd: BootInstant?
    private var nextLook: BootInstant?
    private(set) var kill: Kill?

    /// - Parameter terminal: the other side of the command's terminal, if it has one.
    init(_ plan: SandboxPlan, terminal: Int32?) {
        self.terminal = terminal
        relay = terminal.map { TerminalRelay(master: $0) }
        lifetimeEnd = plan.lifetimeSeconds.map { .now + .seconds(Int64(clamping: $0)) }
        let processors = Double(plan.cgroup.cpuQuotaMicroseconds) / Double(plan.cgroup.cpuPeriodMicroseconds)
        budget = plan.cpuTimeSeconds.map {
            ProcessorBudget(
                limit: $0 &* 1_000_000, processors: min(processors, Double(sysconf(Int32(_SC_NPROCESSORS_ONLN)))))
        }
        nextLook = budget.map { _ in .now }
    }

    /// - Returns: how the command ended; nil when it was killed with its init.
    mutating func awaitEnd(_ sandbox: borrowing Sandbox, _ signals: borrowing SignalDescriptor) throws -> ExitStatus? {
        while true {
            var watched =
                [
                    pollfd(fd: sandbox.process.raw, events: Int16(POLLIN), revents: 0),
                    pollfd(fd: signals.raw, events: Int16(POLLIN), revents: 0),
                ] + (relay?.watched ?? [])
            let ready = poll(&watched, nfds_t(watched.count), timeout)
            if ready < 0, errno != EINTR { throw SystemError(errno, "poll") }
            while let signal = signals.next() { try pass(signal, to: sandbox) }
            if ready > 0 { relay?.serve(watched[2...]) }
            if ready > 0, watched[0].revents != 0 {
                relay?.drain()
                return try sandbox.reap().status
            }
            try enforceLimits(sandbox)
        }
    }

    private var timeout: Int32 {
        let next = [lifetimeEnd, nextLook].compactMap { $0 }.min()
        return next.map { ($0 - .now).millisecondsRoundedUp } ?? -1
    }

    private func pass(_ signal: Int32, to sandbox: borrowing Sandbox) throws(SystemError) {
        if signal == SIGWINCH, let terminal {
            OuterTerminal.copySize(to: terminal)
        } else {
            try sandbox.forward(signal)
        }
    }

    private mutating func enforceLimits(_ sandbox: borrowing Sandbox) throws(SystemError) {
        let now = BootInstant.now
        if let lifetimeEnd, lifetimeEnd <= now {
            self.lifetimeEnd = nil
            try end(sandbox, .lifetime)
        }
        guard let budget, let look = nextLook, look <= now else { return }
        switch budget.judge(used: sandbox.cgroup.value(of: "usage_usec", in: "cpu.stat") ?? 0, now: now) {
        case .lookAgain(let instant): nextLook = instant
        case .exhausted:
            nextLook = nil
            try end(sandbox, .cpuTime)
        }
    }

    private mutating func end(_ sandbox: borrowing Sandbox, _ cause: Kill) throws(SystemError) {
        if kill == nil { kill = cause }
        try sandbox.kill()
    }
}

extension Descriptor? {
    /// The number, for system calls made while its owner lives.
    var number: Int32? {
        borrowing get {
            switch self {
            case .some(let descriptor): descriptor.raw
            case .none: nil
            }
        }
    }
}

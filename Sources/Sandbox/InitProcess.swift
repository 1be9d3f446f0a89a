import CLinux
import Glibc
import Linux

/// pid 1 of a sandbox: passes signals on to the command, reaps whatever ends, and reports how the command ended.
///
/// It is exec'ed anew from a sealed copy of the warden's executable, so that none of the warden's memory stays in the
/// sandbox. It runs under a user id of its own, which the command can neither signal nor trace, with CAP_KILL over the
/// sandbox's namespace and no other capability. It ends when the warden does.
public enum InitProcess {
    /// The name it is exec'ed under, by which the executable knows what to be.
    public static let name = "plane-init"

    /// What it needs of the first process's descriptors, by their numbers there.
    struct Descriptors {
        /// To the warden.
        let socket: Int32
        /// The timer by which it ends at the sandbox's deadline.
        let deadlineGuard: Int32
        /// What to exec; closed by that.
        let program: Int32
        /// Where failures are told until then.
        let report: Int32
    }

    /// Turns the sandbox's first process into its init.
    /// - Returns: why it could not.
    static func become(
        _ descriptors: Descriptors, null: borrowing Descriptor, command: Int32, omitted: Set<SandboxLayer>
    ) -> SandboxFailure {
        do throws(SystemError) {
            for number: Int32 in 0..<3 where dup2(null.raw, number) < 0 { throw SystemError(errno, "dup2") }
            try keep(descriptors)
        } catch { return SandboxFailure(.initProcess, error) }
        becomeNumbered(command: command, omitted: omitted)
    }

    /// From here failures are told on another number than before.
    private static func becomeNumbered(command: Int32, omitted: Set<SandboxLayer>) -> Never {
        do throws(SystemError) {
            if !omitted.contains(.boundingSet) { try Identity.dropBoundingSet(keeping: [Identity.kill]) }
            try Identity.lockSecureBits(.ambientOpen)
            if !omitted.contains(.initUser) {
                try Identity.become(user: UserRange.initUserInside, group: UserRange.initUserInside)
                try Identity.setCapabilities([Identity.kill])
            }
            try Identity.setNoNewPrivileges()
            // After the last change of credentials, each of which clears it.
            try CurrentProcess.setParentDeathSignal(SIGKILL)
        } catch { fail(SandboxFailure(.initProcess, error)) }
        if omitted.contains(.initProgram) { run(command: command) }
        var arguments: [UnsafeMutablePointer<CChar>?] = [strdup(name), strdup(String(command)), nil]
        var environment: [UnsafeMutablePointer<CChar>?] = [strdup("SWIFT_BACKTRACE=enable=no"), nil]
        let emptyPath: Int32 = 0x1000
        let failed = plane_execveat(programNumber, "", &arguments, &environment, emptyPath)
        fail(SandboxFailure(.initProcess, call: "execveat of the init", code: Int32(-failed)))
    }

    private static func fail(_ failure: SandboxFailure) -> Never {
        failure.send(to: reportNumber)
        CurrentProcess.exitImmediately(126)
    }

    private static let socketNumber: Int32 = 3
    private static let guardNumber: Int32 = 4
    private static let programNumber: Int32 = 5
    private static let reportNumber: Int32 = 6

    /// Leaves 0–2, the socket and the guard, and until the exec the program and what failures are told on.
    private static func keep(_ descriptors: Descriptors) throws(SystemError) {
        let places = [
            (descriptors.socket, socketNumber), (descriptors.deadlineGuard, guardNumber),
            (descriptors.program, programNumber), (descriptors.report, reportNumber),
        ]
        var high: [Int32] = []
        for (number, _) in places {
            let copy = plane_fcntl(number, F_DUPFD_CLOEXEC, 64)
            guard copy >= 0 else { throw SystemError(Int32(-copy), "fcntl F_DUPFD_CLOEXEC") }
            high.append(Int32(copy))
        }
        for (number, (_, place)) in zip(high, places) {
            guard dup2(number, place) >= 0 else { throw SystemError(errno, "dup2") }
            if place < programNumber { continue }
            let closeOnExec = plane_fcntl(place, F_SETFD, Int(FD_CLOEXEC))
            if closeOnExec < 0 { throw SystemError(Int32(-closeOnExec), "fcntl F_SETFD") }
        }
        try Descriptor.closeAll(in: UInt32(reportNumber) + 1...UInt32.max)
    }

    /// Signals that are passed on: what a person or a supervisor sends to a program.
    private static let forwarded = [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH]

    /// What it exits with when the sandbox's deadline has come: no other way out of it has this status.
    static let deadlineStatus: Int32 = 124

    /// The init's whole life, after its exec. - Parameter command: the command's pid inside.
    public static func run(command: Int32) -> Never {
        do throws(SystemError) {
            let signals = try SignalDescriptor(forwarded + [SIGCHLD])
            while true {
                // Before the first wait too: a quick command ends before SIGCHLD is blocked, and nobody tells of it again.
                let reaped = reap(command: command)
                var watched = [
                    pollfd(fd: signals.raw, events: Int16(POLLIN), revents: 0),
                    // Without a warden nobody would ever end this sandbox.
                    pollfd(fd: socketNumber, events: Int16(POLLIN), revents: 0),
                    // A warden that stands still ends nothing either.
                    pollfd(fd: guardNumber, events: Int16(POLLIN), revents: 0),
                ]
                if poll(&watched, 3, reaped == .all ? -1 : 0) < 0, errno != EINTR { throw SystemError(errno, "poll") }
                if watched[1].revents != 0 { CurrentProcess.exitImmediately(125) }
                // Whatever is wrong with the guard, there is none then.
                if watched[2].revents != 0 { CurrentProcess.exitImmediately(deadlineStatus) }
                // One at a time: of a command that never stops making them there is always another.
                if let signal = signals.next(), signal != SIGCHLD { kill(command, signal) }
            }
        } catch {
            CurrentProcess.exitImmediately(125)
        }
    }

    private enum Reaped {
        case all
        case some
    }

    /// Several children may have ended behind one SIGCHLD. Bounded: a command whose children end as fast as they are reaped
    /// must not keep the init from seeing anything else.
    private static func reap(command: Int32) -> Reaped {
        for _ in 0..<64 {
            var status: Int32 = 0
            let pid = waitpid(-1, &status, WNOHANG)
            if pid <= 0 { return .all }
            if pid != command { continue }
            let report = InitReport.bytes(of: decoded(status))
            _ = try? Socket.sendPacket(socketNumber, report)
            // Everything the command left behind ends with pid 1.
            CurrentProcess.exitImmediately(0)
        }
        return .some
    }

    /// wait(2)'s macros, which Swift does not import.
    private static func decoded(_ status: Int32) -> ExitStatus {
        let signal = status & 0x7f
        return signal == 0 ? .exited(code: status >> 8 & 0xff) : .signaled(signal: signal)
    }
}

/// The one packet that an init sends: how the command ended.
enum InitReport {
    static let byteCount = 2

    static func bytes(of status: ExitStatus) -> [UInt8] {
        switch status {
        case .exited(let code): [0, UInt8(truncatingIfNeeded: code)]
        case .signaled(let signal): [1, UInt8(truncatingIfNeeded: signal)]
        }
    }

    static func status(of bytes: [UInt8]) -> ExitStatus? {
        switch bytes[0] {
        case 0: .exited(code: Int32(bytes[1]))
        case 1: .signaled(signal: Int32(bytes[1]))
        default: nil
        }
    }
}

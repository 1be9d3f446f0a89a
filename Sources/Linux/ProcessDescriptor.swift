import CLinux
import Glibc

/// How a process ended. wait(2).
public enum ExitStatus: Hashable, Sendable, CustomStringConvertible {
    /// It called exit with this status, 0–255.
    case exited(code: Int32)
    /// A signal ended it.
    case signaled(signal: Int32)

    /// What a shell would report: the code, or 128 plus the signal.
    public var shellStatus: Int32 {
        switch self {
        case .exited(let code): code
        case .signaled(let signal): 128 + signal
        }
    }

    public var description: String {
        switch self {
        case .exited(let code): "exited with status \(code)"
        case .signaled(let signal): "was ended by signal \(signal)"
        }
    }
}

/// A process handle that cannot come to mean another process. Closing it ends nothing. pidfd_open(2), Linux 5.3.
public struct ProcessDescriptor: ~Copyable {
    private let descriptor: Descriptor

    /// Takes over a pidfd, as from clone3(2) with CLONE_PIDFD.
    public init(owning descriptor: consuming Descriptor) { self.descriptor = descriptor }

    /// Opens a handle of a process that cannot be reaped meanwhile: a child of the caller.
    public init(ofChild pid: Int32) throws(SystemError) {
        descriptor = Descriptor(owning: Int32(try check("pidfd_open", plane_pidfd_open(pid))))
    }

    /// The number: readable once the process has ended.
    public var raw: Int32 { descriptor.raw }

    /// Sends a signal. pidfd_send_signal(2). - Returns: false when the process has already been reaped.
    @discardableResult
    public borrowing func signal(_ number: Int32) throws(SystemError) -> Bool {
        let outcome = plane_pidfd_send_signal(descriptor.raw, number)
        if outcome == -Int(ESRCH) { return false }
        try check("pidfd_send_signal", outcome)
        return true
    }

    /// Reaps the child and nobody else. waitid(2) with P_PIDFD. - Returns: nil while it runs.
    public borrowing func reapIfEnded() throws(SystemError) -> ExitStatus? { try reap(options: WEXITED | WNOHANG) }

    /// Waits for the child's end and reaps it.
    public borrowing func reap() throws(SystemError) -> ExitStatus {
        while true { if let status = try reap(options: WEXITED) { return status } }
    }

    private borrowing func reap(options: Int32) throws(SystemError) -> ExitStatus? {
        var code: Int32 = 0
        var status: Int32 = 0
        let fd = descriptor.raw
        let pidfd: Int32 = 3  // P_PIDFD, Linux 5.4
        let pid = try check("waitid", retrying { plane_waitid(pidfd, fd, options, &code, &status) })
        if pid == 0 { return nil }
        return code == Int32(CLD_EXITED) ? .exited(code: status) : .signaled(signal: status)
    }
}

/// The calling process.
public enum CurrentProcess {
    /// Threads of this process, 0 where /proc is not mounted. proc(5), /proc/self/task.
    public static func threadCount() -> Int {
        // Its link count, as that of every folder, is that of its folders and two more.
        var information = stat()
        guard stat("/proc/self/task", &information) == 0, information.st_nlink >= 2 else { return 0 }
        return Int(information.st_nlink) - 2
    }

    /// Sends the given signal to this process when the thread that created it ends. PR_SET_PDEATHSIG, prctl(2).
    /// Cleared by every change of credentials, so it comes after the last one.
    public static func setParentDeathSignal(_ signal: Int32) throws(SystemError) {
        try check("prctl PR_SET_PDEATHSIG", plane_prctl(1, UInt(signal), 0, 0, 0))
    }

    /// Ends the process without running exit handlers: a cloned child must not run its parent's.
    public static func exitImmediately(_ status: Int32) -> Never { plane_exit(status) }

    /// Drops to a user without any privilege: no groups, no capability. setresuid(2) clears the capability sets.
    public static func becomeUser(_ user: UInt32, group: UInt32) throws(SystemError) {
        try check("setgroups", plane_setgroups(0, nil))
        try check("setresgid", plane_setresgid(group))
        try check("setresuid", plane_setresuid(user))
    }

    /// Random bytes from the kernel. getrandom(2).
    public static func randomBytes(_ count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let filled = bytes.withUnsafeMutableBytes { plane_getrandom($0.baseAddress, count) }
        precondition(filled == count, "getrandom gave fewer bytes than asked for, which it never does up to 256")
        return bytes
    }

    /// The file this process runs, for finding its sibling executables.
    public static func executablePath() throws(SystemError) -> String {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = buffer.withUnsafeMutableBytes { bytes -> Int in
            guard let start = bytes.assumingMemoryBound(to: CChar.self).baseAddress else { return 0 }
            return result(readlink("/proc/self/exe", start, bytes.count))
        }
        return String(decoding: buffer[..<(try check("readlink /proc/self/exe", count))], as: UTF8.self)
    }
}

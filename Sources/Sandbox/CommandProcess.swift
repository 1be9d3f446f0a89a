import CLinux
import Glibc
import Linux
import Model

/// The process that becomes the command: it gives up everything, in an order that leaves nothing to get back.
///
/// Until it execs, it has a copy of the warden's memory; nobody else is in the sandbox then.
struct CommandProcess: ~Copyable {
    /// What becomes 0, 1 and 2.
    enum Streams {
        /// Three descriptors.
        case descriptors([Int32])
        /// One terminal for all three, which the command also controls.
        case terminal(Int32)
    }

    let plan: SandboxPlan
    let landlock: LandlockLayer.Prepared
    let ignoredSignals: [Int32]
    let omitted: Set<SandboxLayer>

    /// Gives up what the command may not have, before anybody has asked for it. Each line says what would be possible if
    /// it came later.
    func prepare() throws(SandboxFailure) {
        try enterWorkingDirectory()  // after pivot_root: it is a folder of the image or nothing
        do throws(SystemError) {
            if !omitted.contains(.ownSession) { setsid() }  // a terminal of its own, never the warden's
            try dropPrivileges()
            // Landlock and the filter below need it.
            if !omitted.contains(.noNewPrivileges) { try Identity.setNoNewPrivileges() }
        } catch { throw SandboxFailure(.identity, error) }
        try landlock.restrictSelf()
        // Where the filter lets the rest through, the rest is under it, and a launch is so much quicker.
        if plan.filterMoment == .beforeLaunch { try putOnFilter() }
    }

    /// Takes what was asked for, and execs.
    /// - Returns: why it could not.
    func launch(_ order: LaunchOrder, _ terminal: borrowing Terminal) -> SandboxFailure {
        do throws(SystemError) {
            try take(terminal.streams(order))  // while descriptors other than 0, 1 and 2 are still known
            if !omitted.contains(.resourceLimits) { try setResourceLimits() }  // fewer descriptors than there are now
            Signals.resetForExec(ignored: ignoredSignals)  // the warden's mask would outlive the exec
            // A leaked folder is a way out (CVE-2024-21626).
            if !omitted.contains(.closedDescriptors) { try closeDescriptors() }
        } catch { return SandboxFailure(.identity, error) }
        // Last: the calls above need not be in its list.
        if plan.filterMoment == .beforeExec {
            do { try putOnFilter() } catch { return error }
        }
        return exec(order.environment)
    }

    private func dropPrivileges() throws(SystemError) {
        let kept = plan.capabilities.map(\.number)
        if !omitted.contains(.boundingSet) {
            // Before the capabilities go: CAP_SETPCAP is still ours.
            try Identity.dropBoundingSet(SandboxCapability.allCases.map(\.number).filter { !kept.contains($0) })
        }
        // Needs CAP_SETPCAP too.
        if !omitted.contains(.secureBits) { try Identity.lockSecureBits(kept.isEmpty ? .ambientClosed : .ambientOpen) }
        if !omitted.contains(.commandUser) { try Identity.become(user: plan.userID, group: plan.groupID) }
        // The secure bits keep setresuid from doing it for us.
        if !omitted.contains(.capabilities) { try Identity.setCapabilities(kept) }
    }

    /// Links of the image are followed, but for those of /proc that stand for a descriptor: one that is still open here is
    /// no folder of the image (CVE-2024-21626).
    private func enterWorkingDirectory() throws(SandboxFailure) {
        let step = "chdir to its working directory \(plan.workingDirectory)"
        do throws(SystemError) {
            let root = try File.open("/", File.pathOnly | O_DIRECTORY)
            let folder = try File.open(plan.workingDirectory, below: root, File.pathOnly | O_DIRECTORY, .inRoot)
            guard fchdir(folder.raw) == 0 else { throw SystemError(errno, step) }
        } catch { throw SandboxFailure(.command, call: step, code: error.code) }
    }

    /// Streams come as any three numbers; they are lifted out of the way first, so that none overwrites another.
    private func take(_ streams: Streams) throws(SystemError) {
        let sources: [Int32]
        switch streams {
        case .descriptors(let three): sources = three
        case .terminal(let side):
            let taken = plane_terminal_control(side)
            if taken < 0 { throw SystemError(Int32(-taken), "ioctl TIOCSCTTY") }
            sources = [side, side, side]
        }
        var lifted: [Int32] = []
        for source in sources {
            let copy = plane_fcntl(source, F_DUPFD_CLOEXEC, 64)
            if copy < 0 { throw SystemError(Int32(-copy), "fcntl F_DUPFD_CLOEXEC of a standard stream") }
            lifted.append(Int32(copy))
        }
        for (number, source) in lifted.enumerated() where dup2(source, Int32(number)) < 0 {
            throw SystemError(errno, "dup2")
        }
    }

    private func setResourceLimits() throws(SystemError) {
        var limits: [(Int32, UInt64)] = [
            (Int32(RLIMIT_CORE.rawValue), 0),
            (Int32(RLIMIT_NOFILE.rawValue), min(plan.openFilesMax, Self.openFilesHardLimit())),
            (8, 64 << 10),  // RLIMIT_MEMLOCK, which the Glibc module lacks: pages that cannot be swapped
            (12, 800 << 10),  // RLIMIT_MSGQUEUE, likewise: POSIX message queues are kernel memory
        ]
        // The warden counts the time of all processes together; this holds should it be held up. A second later, so that
        // the warden is the one who tells.
        if let seconds = plan.cpuTimeSeconds { limits.append((Int32(RLIMIT_CPU.rawValue), seconds + 1)) }
        for (resource, value) in limits {
            // At the soft limit of processor time comes SIGXCPU, which tells why; at the hard one, a second later, SIGKILL.
            let hard = resource == Int32(RLIMIT_CPU.rawValue) ? value + 1 : value
            let set = plane_prlimit(resource, value, hard)
            if set < 0 { throw SystemError(Int32(-set), "prlimit of resource \(resource) to \(value)") }
        }
    }

    /// Above its own hard limit a process may raise nothing without CAP_SYS_RESOURCE, which hosts may withhold.
    private static func openFilesHardLimit() -> UInt64 {
        var limit = rlimit()
        return getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 ? UInt64(limit.rlim_max) : 0
    }

    private func closeDescriptors() throws(SystemError) {
        let onExec: UInt32 = 1 << 2
        let closed = plane_close_range(3, .max, onExec)
        if closed < 0 { throw SystemError(Int32(-closed), "close_range") }
    }

    private func putOnFilter() throws(SandboxFailure) {
        if omitted.contains(.seccomp) { return }
        try step(.identity) { () throws(SystemError) in try installFilter() }
    }

    private func installFilter() throws(SystemError) {
        let setModeFilter: UInt32 = 1
        var bytes = plan.filter
        let installed = bytes.withUnsafeMutableBytes { raw -> Int in
            let records = raw.bindMemory(to: sock_filter.self)
            var program = sock_fprog(len: UInt16(records.count), filter: records.baseAddress)
            return plane_seccomp(setModeFilter, 0, &program)
        }
        if installed < 0 { throw SystemError(Int32(-installed), "seccomp SECCOMP_SET_MODE_FILTER") }
    }

    private func exec(_ variables: [String]) -> SandboxFailure {
        var arguments: [UnsafeMutablePointer<CChar>?] = plan.command.map { strdup($0) }
        var environment: [UnsafeMutablePointer<CChar>?] = variables.map { strdup($0) }
        arguments.append(nil)
        environment.append(nil)
        if let path = arguments[0] { execve(path, &arguments, &environment) }
        return SandboxFailure(.command, call: "execve \(plan.command[0])", code: errno)
    }
}

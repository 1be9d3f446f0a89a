import Glibc
import Linux
import Model
package import Sandbox
import WardenProtocol

/// One sandboxed command without drone or controller, for `plane run`: its streams are this process's own, signals are
/// passed on to it, and its exit status becomes this process's.
public enum SingleRun {
    /// Runs the command of a compiled plan and waits for its end.
    /// - Parameters:
    ///   - planDescriptor: an open file with one encoded `SandboxPlan`.
    ///   - configuration: as for a warden; the socket and the policies are not used.
    /// - Returns: the command's exit status, or 128 plus the signal that ended it.
    public static func run(planDescriptor: Int32, _ configuration: WardenConfiguration) throws(WardenRefusal) -> Int32 {
        try run(planDescriptor: planDescriptor, configuration, omitting: [])
    }

    /// The same without some of the defences, for the tests' own program only, which proves what each is good for.
    package static func run(
        planDescriptor: Int32, _ configuration: WardenConfiguration, omitting omitted: Set<SandboxLayer>
    ) throws(WardenRefusal) -> Int32 {
        guard geteuid() == 0 else {
            throw WardenRefusal("must run as root: it makes namespaces, mounts and cgroups. Start it with sudo.")
        }
        do {
            if configuration.lifetime == .ofParent { try CurrentProcess.setParentDeathSignal(SIGKILL) }
            let bytes = try Descriptor(owning: planDescriptor).readAll(limit: 1 << 20)
            var reader = WireReader(bytes)
            let plan = try SandboxPlan(from: &reader)
            return try run(plan, RunWishes(from: &reader), configuration, omitting: omitted)
        } catch let refusal as WardenRefusal {
            throw refusal
        } catch {
            throw WardenRefusal("\(error)")
        }
    }

    private static func run(
        _ plan: SandboxPlan, _ wishes: RunWishes, _ configuration: WardenConfiguration,
        omitting omitted: Set<SandboxLayer>
    ) throws -> Int32 {
        var times = wishes.report.map { RunReport.Times($0, warden: .now) }
        let reportFile = wishes.report.map { OwnedReport(Descriptor(owning: $0.descriptor)) }
        let signals = try SignalDescriptor([SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH])
        let name = "run-\(getpid())"
        let cgroup = try WardenServer.openCgroup(
            configuration, name: configuration.cgroupName + "-run", isLeftover: isLeftover)
        defer { cgroup.remove() }
        let scratch = configuration.runPath + "/scratch-\(getpid())"
        // The folders above are shared with the drone, which is not root.
        try File.makeDirectories(configuration.runPath, mode: 0o755)
        try File.makeDirectory(scratch, mode: 0o700)
        defer { rmdir(scratch) }
        var host = try SandboxHost.prepare(scratch: scratch, cgroup: cgroup, lockFolder: "/run/lock/plane", .run)
        host.omitted = omitted
        defer { try? MountTree.detach(scratch) }
        times?.prepared = .now
        let made = try MadeSandbox.make(SandboxImage(plan), name: name, on: &host)
        times?.made = .now
        let sandbox = try made.launch(
            environment: plan.environment, streams(wishes.streams), until: nil, on: &host
        ).finish(on: &host)
        times?.started = .now
        let report = try awaitEnd(sandbox, plan, signals)
        times?.ended = .now
        var rest: Sandbox? = try sandbox.finish(on: &host)
        while let left = rest.take() {
            // The kernel lets go of an empty cgroup within a tick or two; there is no event for that moment.
            poll(nil, 0, 1)
            rest = try left.finish(on: &host)
        }
        times?.cleared = .now
        if let times { try reportFile?.descriptor.writeAll(Array(report.text(times).utf8)) }
        return report.status.shellStatus
    }

    /// Closes the report when the run is over; its reader waits for that.
    private final class OwnedReport {
        let descriptor: Descriptor
        init(_ descriptor: consuming Descriptor) { self.descriptor = descriptor }
    }

    private static func streams(_ wish: RunWishes.Streams) -> SandboxStreams {
        switch wish {
        case .inherited: return .descriptors(input: 0, output: 1, error: 2)
        case .terminal:
            let (rows, columns) = OuterTerminal.size()
            return .terminal(rows: rows, columns: columns)
        }
    }

    /// Runs share a cgroup folder; each has its own below, named for its process.
    private static func isLeftover(_ name: String) -> Bool {
        File.status("/proc/\(name.drop { $0 != "-" }.dropFirst())") == nil
    }

    private static func awaitEnd(
        _ sandbox: borrowing Sandbox, _ plan: SandboxPlan, _ signals: borrowing SignalDescriptor
    ) throws -> RunReport {
        let terminal = sandbox.terminal.number
        var watch = RunWatch(plan, terminal: terminal)
        let ended: ExitStatus?
        if terminal == nil {
            ended = try watch.awaitEnd(sandbox, signals)
        } else {
            let outer = try OuterTerminal.makeRaw()
            ended = try watch.awaitEnd(sandbox, signals)
            _ = consume outer
        }
        let outOfMemory = (sandbox.cgroup.value(of: "oom_kill", in: "memory.events") ?? 0) > 0
        let reason = RunReport.reason(ended, kill: watch.kill, outOfMemory: outOfMemory)
        let status = ended ?? .signaled(signal: SIGKILL)
        let message = RunReport.sentence(reason, status, plan)
        switch reason {
        case .exited, .signaled: break
        case .outOfMemory, .cpuTime, .swept, .killed, .endedByDrone, .startFailed, .startupTimeout, .lost, .external,
            .leaseExpired, .internalError:
            WardenLog.write(message)
        }
        return RunReport(
            status: status, reason: reason, message: message, usage: usage(of: sandbox.cgroup),
            largestProcessBytes: largestProcess())
    }

    private static func usage(of cgroup: Cgroup) -> BackendUsage {
        BackendUsage(
            cpuMicroseconds: Int64(clamping: cgroup.value(of: "usage_usec", in: "cpu.stat") ?? 0),
            memoryPeakBytes: (try? cgroup.read("memory.peak")).flatMap { Int64($0) })
    }

    /// Of all processes that have ended and been waited for, those of the sandbox are the only ones. getrusage(2).
    private static func largestProcess() -> Int64 {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_CHILDREN.rawValue), &usage)
        return Int64(usage.ru_maxrss) * 1024
    }
}

import Glibc
import Linux
import Model
import Sandbox

/// One sandboxed command without drone or controller, for `plane run`: its streams are this process's own, signals are
/// passed on to it, and its exit status becomes this process's.
public enum SingleRun {
    /// Runs the command of a compiled plan and waits for its end.
    /// - Parameters:
    ///   - planDescriptor: an open file with one encoded `SandboxPlan`.
    ///   - configuration: as for a warden; the socket and the policies are not used.
    /// - Returns: the command's exit status, or 128 plus the signal that ended it.
    public static func run(planDescriptor: Int32, _ configuration: WardenConfiguration) throws(WardenRefusal) -> Int32 {
        guard geteuid() == 0 else {
            throw WardenRefusal("must run as root: it makes namespaces, mounts and cgroups. Start it with sudo.")
        }
        do {
            if configuration.lifetime == .ofParent { try CurrentProcess.setParentDeathSignal(SIGKILL) }
            let bytes = try Descriptor(owning: planDescriptor).readAll(limit: 1 << 20)
            var reader = WireReader(bytes)
            return try run(SandboxPlan(from: &reader), configuration)
        } catch let refusal as WardenRefusal {
            throw refusal
        } catch {
            throw WardenRefusal("\(error)")
        }
    }

    private static func run(_ plan: SandboxPlan, _ configuration: WardenConfiguration) throws -> Int32 {
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
        var host = try SandboxHost.prepare(scratch: scratch, cgroup: cgroup, lockFolder: "/run/lock/plane")
        defer { try? MountTree.detach(scratch) }
        let image = try File.open(plan.rootPath, File.pathOnly | O_DIRECTORY)
        let sandbox = try Sandbox.start(
            plan, image: image,
            Sandbox.Start(
                name: name, environment: plan.environment,
                streams: Sandbox.StandardStreams(input: 0, output: 1, error: 2)),
            on: &host)
        let status = try awaitEnd(sandbox, signals)
        if (sandbox.cgroup.value(of: "oom_kill", in: "memory.events") ?? 0) > 0 {
            WardenLog.write("the command was killed at its memory limit, \(plan.cgroup.memoryMaxBytes) bytes")
        }
        var rest: Sandbox? = try sandbox.finish(on: &host)
        while let left = rest.take() {
            // The kernel lets go of an empty cgroup within a tick or two; there is no event for that moment.
            poll(nil, 0, 1)
            rest = try left.finish(on: &host)
        }
        return status
    }

    /// Runs share a cgroup folder; each has its own below, named for its process.
    private static func isLeftover(_ name: String) -> Bool {
        File.status("/proc/\(name.drop { $0 != "-" }.dropFirst())") == nil
    }

    private static func awaitEnd(_ sandbox: borrowing Sandbox, _ signals: borrowing SignalDescriptor) throws -> Int32 {
        while true {
            var watched = [
                pollfd(fd: sandbox.process.raw, events: Int16(POLLIN), revents: 0),
                pollfd(fd: signals.raw, events: Int16(POLLIN), revents: 0),
            ]
            if poll(&watched, 2, -1) < 0, errno != EINTR { throw SystemError(errno, "poll") }
            while let signal = signals.next() { try sandbox.forward(signal) }
            if watched[0].revents != 0 { return (try sandbox.reap() ?? .signaled(signal: SIGKILL)).shellStatus }
        }
    }
}

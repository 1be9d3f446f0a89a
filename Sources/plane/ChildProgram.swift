import Glibc
import Linux

/// Programs that run beside this one, which is single-threaded: so Swift code may run in the child before it becomes the
/// program.
enum ChildProgram {
    /// Descriptors that become the child's 0, 1 and 2; nil takes /dev/null.
    struct Streams {
        var input: Int32?
        var output: Int32?
        var errors: Int32? = STDERR_FILENO
    }

    /// How far a child is set apart.
    enum Setting {
        /// A process group of its own: what a terminal sends reaches only this process, which ends the child in its
        /// turn. setpgid(2).
        case ownGroup
        /// Pid and mount namespaces of its own: whatever it starts and mounts ends with it. pid_namespaces(7).
        case ownNamespaces
        /// As before, without network, and with one folder to write to: for programs that read what came from outside.
        case confined(ChildConfinement)

        var namespaces: Namespaces {
            switch self {
            case .ownGroup: []
            case .ownNamespaces: [.pid, .mount]
            case .confined: [.pid, .mount, .network, .ipc]
            }
        }

        /// What it gets when this process dies. The first process of a namespace takes SIGTERM only if it handles it.
        var deathSignal: Int32 {
            switch self {
            case .ownGroup: SIGTERM
            case .ownNamespaces, .confined: SIGKILL
            }
        }
    }

    /// How a child ended, and the signal that made us end it.
    struct End {
        let status: ExitStatus
        let interruption: Int32?
    }

    /// Starts a program, which ends when this process dies.
    static func start(
        _ call: ProgramCall, streams: Streams, _ setting: Setting
    ) throws(SystemError) -> ProcessDescriptor {
        switch try Clone.process(namespaces: setting.namespaces, cgroup: nil) {
        case .child:
            become(call, streams, setting)
        case .parent(_, let process):
            return process
        }
    }

    private static func become(_ call: ProgramCall, _ streams: Streams, _ setting: Setting) -> Never {
        let failure: SystemError
        do throws(SystemError) {
            try CurrentProcess.setParentDeathSignal(setting.deathSignal)
            switch setting {
            case .ownGroup: setpgid(0, 0)
            case .ownNamespaces: try mountOwnProc()
            case .confined(let confinement):
                try mountOwnProc()
                try confinement.enter()
            }
            Signals.resetForExec()
            try place(streams)
            failure = call.replaceThisProcess()
        } catch { failure = error }
        StandardError.say("plane: \(call.path) was not started: \(failure)")
        CurrentProcess.exitImmediately(127)
    }

    /// The host's /proc would tell the program other pids than its own.
    private static func mountOwnProc() throws(SystemError) {
        try MountTree.makePrivate()
        try DetachedMount(fileSystem: "proc", options: [], attributes: [.noSetUserID, .noDevices, .noExecute])
            .attach(at: "/proc")
    }

    private static func place(_ streams: Streams) throws(SystemError) {
        let null = try File.open("/dev/null", O_RDWR)
        // Above 2 first: a stream may be named where another one goes.
        var sources: [Int32] = []
        for stream in [streams.input, streams.output, streams.errors] {
            let copy = fcntl(stream ?? null.raw, F_DUPFD_CLOEXEC, 3)
            guard copy >= 0 else { throw SystemError(errno, "fcntl F_DUPFD_CLOEXEC") }
            sources.append(copy)
        }
        for (target, source) in sources.enumerated() where dup2(source, Int32(target)) < 0 {
            throw SystemError(errno, "dup2")
        }
    }

    /// Waits for a child's end. The first of the signals is passed on to it as SIGTERM; if it goes on for longer than it
    /// may, it is killed.
    static func awaitEnd(
        _ child: borrowing ProcessDescriptor, passingOn signals: borrowing SignalDescriptor, patience: Duration
    ) throws(SystemError) -> End {
        var interruption: Int32?
        var deadline: BootInstant?
        while true {
            var watched = [
                pollfd(fd: child.raw, events: Int16(POLLIN), revents: 0),
                pollfd(fd: signals.raw, events: Int16(POLLIN), revents: 0),
            ]
            let timeout = deadline.map { ($0 - .now).millisecondsRoundedUp } ?? -1
            if poll(&watched, 2, timeout) < 0, errno != EINTR { throw SystemError(errno, "poll") }
            while let signal = signals.next() {
                if interruption == nil { try child.signal(SIGTERM) }
                interruption = interruption ?? signal
                deadline = deadline ?? .now + patience
            }
            if let last = deadline, last <= .now {
                try child.signal(SIGKILL)
                deadline = nil
            }
            if let status = try child.reapIfEnded() { return End(status: status, interruption: interruption) }
        }
    }
}

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

    /// Who gets the signals that a terminal sends.
    enum Group {
        /// The child too.
        case shared
        /// Only this process, which ends the child when it sees fit. setpgid(2).
        case own
    }

    /// How a child ended, and the signal that made us end it.
    struct End {
        let status: ExitStatus
        let interruption: Int32?
    }

    /// Starts a program. It gets SIGTERM when this process dies.
    static func start(
        _ call: ProgramCall, streams: Streams, group: Group
    ) throws(SystemError) -> ProcessDescriptor {
        precondition(CurrentProcess.threadCount() == 1, "a child of a threaded process inherits locks without owners")
        switch try Clone.process(namespaces: [], cgroup: nil) {
        case .child:
            become(call, streams, group)
        case .parent(_, let process):
            return process
        }
    }

    private static func become(_ call: ProgramCall, _ streams: Streams, _ group: Group) -> Never {
        let failure: SystemError
        do throws(SystemError) {
            try CurrentProcess.setParentDeathSignal(SIGTERM)
            if group == .own { setpgid(0, 0) }
            Signals.resetForExec()
            try place(streams)
            failure = call.replaceThisProcess()
        } catch { failure = error }
        StandardError.say("plane: \(call.path) was not started: \(failure)")
        CurrentProcess.exitImmediately(127)
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

    /// Waits for a child's end. The first of the signals is passed on to it as SIGTERM.
    static func awaitEnd(
        _ child: borrowing ProcessDescriptor, passingOn signals: borrowing SignalDescriptor
    ) throws(SystemError) -> End {
        var interruption: Int32?
        while true {
            var watched = [
                pollfd(fd: child.raw, events: Int16(POLLIN), revents: 0),
                pollfd(fd: signals.raw, events: Int16(POLLIN), revents: 0),
            ]
            if poll(&watched, 2, -1) < 0, errno != EINTR { throw SystemError(errno, "poll") }
            while let signal = signals.next() {
                interruption = interruption ?? signal
                try child.signal(SIGTERM)
            }
            if let status = try child.reapIfEnded() { return End(status: status, interruption: interruption) }
        }
    }
}

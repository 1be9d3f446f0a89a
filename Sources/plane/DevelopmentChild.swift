import Glibc
import Linux
import HTTP

/// One of the processes of `plane dev`, watched through its pidfd.
final class DevelopmentChild {
    private let process: ProcessDescriptor
    private let loop: EventLoop
    private var registration: EventLoop.Registration?
    private var timer: TimerToken?

    /// Starts it. - Parameter onEnd: called once, when it has been reaped.
    init(_ call: ProgramCall, _ loop: EventLoop, onEnd: @escaping (ExitStatus) -> Void) throws(SystemError) {
        self.loop = loop
        process = try ChildProgram.start(
            call, streams: ChildProgram.Streams(output: STDOUT_FILENO), .ownGroup)
        registration = try loop.add(process.raw, .readable) { [self] _ in reap(onEnd) }
    }

    /// Asks it to end, and kills it when it has not ended in time.
    func end(within limit: Duration) {
        // A process that has ended meanwhile needs no signal; its end is told all the same.
        _ = try? process.signal(SIGTERM)
        timer = loop.schedule(after: limit) { [self] in kill() }
    }

    func kill() { _ = try? process.signal(SIGKILL) }

    private func reap(_ onEnd: (ExitStatus) -> Void) {
        guard let status = try? process.reapIfEnded() else { return }
        if let timer { loop.cancel(timer) }
        if let registration { loop.remove(registration) }
        onEnd(status)
    }
}

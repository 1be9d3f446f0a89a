import Glibc
import Images
import Linux

/// Long work on an image: tells every few seconds how far it is, and ends when a signal comes.
final class ImageWork {
    private let signals: Int32
    private var title: String
    private var told = BootInstant.now

    private static let silence = Duration.seconds(3)

    /// - Parameters:
    ///   - title: what is being done.
    ///   - signals: receives the signals that end it; stays the caller's.
    init(_ title: String, signals: borrowing SignalDescriptor) {
        self.signals = signals.raw
        self.title = title
    }

    /// Begins the next part.
    func turn(to title: String) { self.title = title }

    /// At each step. - Throws: when a signal has come.
    func look(_ size: TreeSize) throws(ImageRefusal) {
        var watched = pollfd(fd: signals, events: Int16(POLLIN), revents: 0)
        if poll(&watched, 1, 0) > 0 { throw Self.stopped }
        guard BootInstant.now >= told + Self.silence else { return }
        told = .now
        StandardError.say("plane: \(title): \(ByteCount.text(size.bytes)), \(size.entries) entries so far")
    }

    private static let stopped = ImageRefusal("stopped by a signal; nothing of the new image is kept")

    /// Waits for a confined program's end, and kills it at a signal or when it has filled too much.
    /// - Parameters:
    ///   - folder: where it writes.
    ///   - limits: of that folder.
    func awaitEnd(
        of child: borrowing ProcessDescriptor, filling folder: String, _ limits: ImageLimits
    ) throws -> ExitStatus {
        do {
            var pause: Int32 = 200
            while true {
                var watched = [
                    pollfd(fd: child.raw, events: Int16(POLLIN), revents: 0),
                    pollfd(fd: signals, events: Int16(POLLIN), revents: 0),
                ]
                if poll(&watched, 2, pause) < 0, errno != EINTR { throw SystemError(errno, "poll") }
                if let status = try child.reapIfEnded() { return status }
                let started = BootInstant.now
                let size = FileTree(path: folder).size()
                if let excess = limits.excess(of: size) { throw ImageRefusal("the image \(excess)") }
                try look(size)
                // Looking takes as long as there are files; it must not become the work itself.
                pause = max(200, (BootInstant.now - started).millisecondsRoundedUp * 5)
            }
        } catch {
            try child.signal(SIGKILL)
            _ = try child.reap()
            throw error
        }
    }
}

/// SHA-256 by the program that every Debian has.
enum DigestProgram {
    /// - Parameter write: writes what is to be digested into a descriptor.
    /// - Returns: the digest as 64 hexadecimal digits with `sha256:` before them, and what the writing returned.
    static func run<Result>(_ write: (Int32) throws -> Result) throws -> (digest: String, Result) {
        Signals.ignoreBrokenPipe()
        let input = try Pipe()
        let output = try Pipe()
        let child = try ChildProgram.start(
            ProgramCall("/usr/bin/sha256sum", []),
            streams: ChildProgram.Streams(input: input.reading.raw, output: output.writing.raw), .ownGroup)
        let (reading, writing) = input.split()
        let (answer, answerWriting) = output.split()
        _ = Descriptor(owning: reading)
        _ = Descriptor(owning: answerWriting)
        let text = Descriptor(owning: answer)
        let result: Result
        do {
            let feed = Descriptor(owning: writing)
            defer { _ = feed.raw }  // It is closed when all is written, and not before.
            result = try write(feed.raw)
        } catch {
            _ = try child.reap()
            throw error
        }
        let digits = String(decoding: try text.readAll(limit: 4096).prefix(64), as: UTF8.self)
        let status = try child.reap()
        guard status == .exited(code: 0), digits.utf8.count == 64 else {
            throw CommandFailure("/usr/bin/sha256sum \(status); it belongs to Debian's package coreutils")
        }
        return ("sha256:" + digits, result)
    }
}

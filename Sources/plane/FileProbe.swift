import Glibc
import Linux

/// System calls on files and sockets.
enum FileProbe {
    private static let newer = "boot a newer kernel, or run outside the container whose seccomp filter refuses it"

    static func findings() -> [Finding] {
        [
            Finding.trying("openat2", remedy: newer) { () throws(SystemError) in
                let root = try File.open("/", O_RDONLY | O_DIRECTORY)
                _ = try File.open("proc", below: root, O_RDONLY | O_DIRECTORY, .beneathWithoutLinks)
                return "Linux 5.6"
            },
            Finding.trying("splice", remedy: newer, splice),
        ]
    }

    /// From one TCP socket into a pipe and from there into another, as the proxy does.
    private static func splice() throws(SystemError) -> String {
        let first = try connection()
        let second = try connection()
        let pipe = try Pipe(.nonblocking)
        let text = "through the kernel"
        _ = text.withCString { write(first.mine.raw, $0, text.utf8.count) }
        try waitFor(first.theirs.raw, Int16(POLLIN))
        try move(from: first.theirs.raw, to: pipe.writing.raw, text.utf8.count)
        try move(from: pipe.reading.raw, to: second.mine.raw, text.utf8.count)
        try waitFor(second.theirs.raw, Int16(POLLIN))
        var buffer = [UInt8](repeating: 0, count: 64)
        let count = read(second.theirs.raw, &buffer, buffer.count)
        guard count == text.utf8.count else { throw SystemError(EIO, "splice: \(count) bytes came out") }
        return "socket to pipe to socket"
    }

    private static func move(from source: Int32, to sink: Int32, _ count: Int) throws(SystemError) {
        let moved = Splice.move(from: source, to: sink, count: count)
        guard moved == count else { throw SystemError(moved < 0 ? Int32(-moved) : EIO, "splice") }
    }

    private static func connection() throws(SystemError) -> SocketEnds {
        let listener = try Socket.tcpListener(.loopback(0))
        let mine = try Socket.tcp()
        _ = try Socket.connect(mine.raw, to: .loopback(try Socket.localPort(listener.raw)))
        try waitFor(listener.raw, Int16(POLLIN))
        guard let accepted = try Socket.accept(listener.raw) else { throw SystemError(EAGAIN, "accept4") }
        return SocketEnds(mine: mine, theirs: Descriptor(owning: accepted.release()))
    }

    private static func waitFor(_ fd: Int32, _ events: Int16) throws(SystemError) {
        var watched = pollfd(fd: fd, events: events, revents: 0)
        guard poll(&watched, 1, 2000) == 1 else { throw SystemError(ETIMEDOUT, "poll on the loopback interface") }
    }

    private struct SocketEnds: ~Copyable {
        let mine: Descriptor
        let theirs: Descriptor
    }
}

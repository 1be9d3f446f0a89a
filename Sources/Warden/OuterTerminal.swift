import CLinux
import Glibc
import Linux

/// The terminal that a single run is started from, in raw mode while the command has a terminal of its own: each key goes
/// to that, which makes signals and echoes of them. termios(3).
struct OuterTerminal: ~Copyable {
    private let settings: termios

    private init(restoring settings: termios) { self.settings = settings }

    /// Makes it raw. It is as before once the owner that this returns goes.
    static func makeRaw() throws(SystemError) -> OuterTerminal {
        var settings = termios()
        guard tcgetattr(STDIN_FILENO, &settings) == 0 else {
            throw SystemError(errno, "tcgetattr of standard input, which must be a terminal")
        }
        let outer = OuterTerminal(restoring: settings)
        cfmakeraw(&settings)
        guard tcsetattr(STDIN_FILENO, TCSADRAIN, &settings) == 0 else { throw SystemError(errno, "tcsetattr") }
        return outer
    }

    deinit {
        var settings = settings
        tcsetattr(STDIN_FILENO, TCSADRAIN, &settings)
    }

    /// Rows and columns; zeros where the terminal has no size.
    static func size() -> (rows: UInt16, columns: UInt16) {
        var (rows, columns): (UInt16, UInt16) = (0, 0)
        _ = plane_terminal_size(STDIN_FILENO, &rows, &columns)
        return (rows, columns)
    }

    /// Gives the command's terminal this one's size; the kernel then tells the programs there.
    static func copySize(to master: Int32) {
        let (rows, columns) = size()
        if rows > 0, columns > 0 { _ = plane_terminal_set_size(master, rows, columns) }
    }
}

/// Bytes between the terminal outside and the command's own, in both directions.
struct TerminalRelay {
    private let master: Int32
    private var input: [UInt8] = []
    private var output: [UInt8] = []
    private var isInputOpen = true
    private var isOutputOpen = true

    /// A person types less in one turn, and a program that writes more waits.
    private static let chunkBytes = 4096

    /// - Parameter master: the other side of the command's terminal; it is made nonblocking.
    init(master: Int32) {
        self.master = master
        _ = plane_fcntl(master, F_SETFL, Int(O_RDWR | O_NONBLOCK))
    }

    /// What to wait for, in the order in which `serve` gets it back.
    var watched: [pollfd] {
        let reading = isInputOpen && input.isEmpty
        let masterEvents = (output.isEmpty && isOutputOpen ? POLLIN : 0) | (input.isEmpty ? 0 : POLLOUT)
        return [
            pollfd(fd: reading ? STDIN_FILENO : -1, events: Int16(POLLIN), revents: 0),
            pollfd(fd: masterEvents == 0 ? -1 : master, events: Int16(masterEvents), revents: 0),
            pollfd(fd: output.isEmpty ? -1 : STDOUT_FILENO, events: Int16(POLLOUT), revents: 0),
        ]
    }

    /// Moves what can be moved without waiting.
    mutating func serve(_ ready: ArraySlice<pollfd>) {
        let events = ready.map { Int32($0.revents) }
        if events[0] != 0 {
            input = Self.read(STDIN_FILENO) ?? []
            isInputOpen = !input.isEmpty
        }
        if events[1] & POLLOUT != 0 { input.removeFirst(Self.write(input, to: master)) }
        if events[1] & (POLLIN | POLLHUP | POLLERR) != 0, output.isEmpty { readOutput() }
        if events[2] != 0 { output.removeFirst(Self.write(output, to: STDOUT_FILENO)) }
    }

    /// Writes the rest of what the command wrote before it ended.
    mutating func drain() {
        repeat {
            while !output.isEmpty {
                let count = Self.write(output, to: STDOUT_FILENO)
                if count == 0 { return }
                output.removeFirst(count)
            }
            readOutput()
        } while !output.isEmpty
    }

    /// A master whose other side nobody has open any more answers EIO. pty(7)
    private mutating func readOutput() {
        output = Self.read(master) ?? []
        isOutputOpen = !output.isEmpty || errno == EAGAIN
    }

    private static func read(_ descriptor: Int32) -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: chunkBytes)
        errno = 0
        let count = Glibc.read(descriptor, &buffer, buffer.count)
        return count > 0 ? Array(buffer[..<count]) : nil
    }

    /// - Returns: how many were taken; all of them by a descriptor that takes none any more.
    private static func write(_ bytes: [UInt8], to descriptor: Int32) -> Int {
        let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, min($0.count, 1024)) }
        if count >= 0 { return count }
        return errno == EAGAIN || errno == EINTR ? 0 : bytes.count
    }
}

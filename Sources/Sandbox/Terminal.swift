import CLinux
import Glibc
import Linux

/// The command's side of a terminal of the sandbox's own devpts, or none. pty(7).
struct Terminal: ~Copyable {
    private let side: Descriptor?

    /// No terminal: the streams are descriptors.
    static var none: Terminal { Terminal(side: nil) }

    private init(side: consuming Descriptor?) { self.side = side }

    /// Makes one, which belongs to the calling process's user, and sends its other side to the warden.
    ///
    /// The command's side is opened through the master (TIOCGPTPEER), not by a path that an image could have covered.
    init(rows: UInt16, columns: UInt16, report: Int32) throws(SystemError) {
        let master = try File.open("/dev/pts/ptmx", O_RDWR | O_NOCTTY)
        try Self.check("ioctl TIOCSPTLCK", plane_terminal_unlock(master.raw))
        let peer = plane_terminal_peer(master.raw)
        try Self.check("ioctl TIOCGPTPEER", peer)
        let opened = Descriptor(owning: Int32(peer))
        if rows > 0, columns > 0 {
            try Self.check("ioctl TIOCSWINSZ", plane_terminal_set_size(master.raw, rows, columns))
        }
        _ = try Socket.sendPacket(report, [1], descriptors: [master.raw])
        side = consume opened
    }

    /// The three descriptors of the command.
    borrowing func streams(_ order: LaunchOrder) -> CommandProcess.Streams {
        switch order.streams {
        case .descriptors(let input, let output, let error): .descriptors([input, output, error])
        case .terminal: .terminal(side.raw)
        }
    }

    private static func check(_ call: String, _ result: Int) throws(SystemError) {
        if result < 0 { throw SystemError(Int32(-result), call) }
    }
}

extension Descriptor? {
    fileprivate var raw: Int32 {
        borrowing get {
            switch self {
            case .some(let descriptor): descriptor.raw
            case .none: -1
            }
        }
    }
}

extension SandboxChild {
    /// The terminal that the order asks for.
    func openTerminal(_ order: LaunchOrder) throws(SandboxFailure) -> Terminal {
        guard case .terminal(let rows, let columns) = order.streams else { return .none }
        return try step(.terminal) { () throws(SystemError) in
            try Terminal(
                rows: rows, columns: columns, report: orders)
        }
    }
}

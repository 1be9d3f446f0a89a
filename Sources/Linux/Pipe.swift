import CLinux
import Glibc

/// A pipe's two ends. pipe(7).
public struct Pipe: ~Copyable {
    /// The end to read from.
    public let reading: Descriptor
    /// The end to write to.
    public let writing: Descriptor

    /// Closed on exec. pipe2(2). - Parameter nonblocking: of both ends.
    public init(_ mode: Blocking = .blocking) throws(SystemError) {
        var ends: (Int32, Int32) = (-1, -1)
        let flags = O_CLOEXEC | (mode == .nonblocking ? O_NONBLOCK : 0)
        let outcome = withUnsafeMutableBytes(of: &ends) {
            plane_pipe2($0.assumingMemoryBound(to: Int32.self).baseAddress, flags)
        }
        try check("pipe2", outcome)
        reading = Descriptor(owning: ends.0)
        writing = Descriptor(owning: ends.1)
    }

    /// Asks for a capacity and returns what the kernel gave. fcntl(2) F_SETPIPE_SZ; pipe-user-pages-soft may refuse it.
    public borrowing func resize(to bytes: Int) -> Int {
        let setPipeSize: Int32 = 1031
        let getPipeSize: Int32 = 1032
        _ = plane_fcntl(writing.raw, setPipeSize, bytes)
        return max(0, plane_fcntl(writing.raw, getPipeSize, 0))
    }

    /// Gives both ends up to the caller.
    public consuming func split() -> (reading: Int32, writing: Int32) {
        let first = reading.release()
        let second = writing.release()
        return (first, second)
    }
}

/// Whether calls on a descriptor wait.
public enum Blocking: Sendable {
    case blocking
    case nonblocking
}

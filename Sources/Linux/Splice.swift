public import CLinux
import Glibc

/// splice(2) and its flags.
public enum Splice {
    /// SPLICE_F_MOVE | SPLICE_F_NONBLOCK. The second concerns the pipe only: sockets must be O_NONBLOCK themselves.
    /// SPLICE_F_MORE is never set: it delays a short last write by 200 ms (measured).
    public static let flags: UInt32 = 1 | 2

    /// Moves bytes between a socket and a pipe without copying them to user space.
    /// - Returns: bytes moved, 0 at the end of the source (only if `count` is not 0), or minus an errno, so that the
    ///   hot path branches instead of throwing.
    @inlinable
    @inline(__always)
    public static func move(from source: Int32, to sink: Int32, count: Int) -> Int {
        plane_splice(source, sink, count, flags)
    }
}

import CLinux
import Glibc

/// An open file descriptor with one owner, which closes it when it goes. open(2), close(2).
public struct Descriptor: ~Copyable {
    /// The number, for system calls made while this owner lives. Not to be kept.
    public let raw: Int32

    /// Takes ownership of an open descriptor.
    public init(owning raw: Int32) {
        precondition(raw >= 0, "not a descriptor")
        self.raw = raw
    }

    deinit {
        // EINTR counts as closed on Linux; EIO and EDQUOT concern files that nobody here writes data to.
        _ = close(raw)
    }

    /// Gives the number up: the caller now closes it.
    public consuming func release() -> Int32 {
        let number = raw
        discard self
        return number
    }

    /// A second descriptor of the same open file, closed on exec. fcntl(2) F_DUPFD_CLOEXEC.
    public borrowing func duplicate() throws(SystemError) -> Descriptor {
        Descriptor(owning: Int32(try check("fcntl F_DUPFD_CLOEXEC", plane_fcntl(raw, F_DUPFD_CLOEXEC, 3))))
    }

    /// Reads up to the buffer's size. read(2).
    /// - Returns: bytes read, 0 at the end of the file, nil when a nonblocking descriptor has nothing yet.
    public borrowing func read(into buffer: UnsafeMutableRawBufferPointer) throws(SystemError) -> Int? {
        let fd = raw
        let count = retrying { result(Glibc.read(fd, buffer.baseAddress, buffer.count)) }
        if count == -Int(EAGAIN) { return nil }
        return try check("read", count)
    }

    /// Writes as much as the descriptor takes now. write(2).
    /// - Returns: bytes written, or nil when a nonblocking descriptor takes none at present.
    public borrowing func write(_ buffer: UnsafeRawBufferPointer) throws(SystemError) -> Int? {
        let fd = raw
        let count = retrying { result(Glibc.write(fd, buffer.baseAddress, buffer.count)) }
        if count == -Int(EAGAIN) { return nil }
        return try check("write", count)
    }

    /// Writes all of it to a blocking descriptor.
    public borrowing func writeAll(_ bytes: [UInt8]) throws(SystemError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let fd = raw
            let count = rest.withUnsafeBytes { part in
                retrying { result(Glibc.write(fd, part.baseAddress, part.count)) }
            }
            rest = rest.dropFirst(try check("write", count))
        }
    }

    /// Reads to the end of a blocking descriptor.
    /// - Parameter limit: more bytes than this are an error (EFBIG).
    public borrowing func readAll(limit: Int) throws(SystemError) -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: min(limit + 1, 64 * 1024))
        while true {
            let fd = raw
            let count = try check(
                "read",
                chunk.withUnsafeMutableBytes { part in retrying { result(Glibc.read(fd, part.baseAddress, part.count)) }
                })
            if count == 0 { return bytes }
            bytes.append(contentsOf: chunk[..<count])
            if bytes.count > limit { throw SystemError(EFBIG, "read") }
        }
    }

    /// Makes read and write return at once. fcntl(2) O_NONBLOCK.
    public borrowing func setNonblocking() throws(SystemError) {
        let flags = try check("fcntl F_GETFL", plane_fcntl(raw, F_GETFL, 0))
        try check("fcntl F_SETFL", plane_fcntl(raw, F_SETFL, flags | Int(O_NONBLOCK)))
    }

    /// Closes every descriptor of the process in a range, whoever owned it. close_range(2), Linux 5.9.
    ///
    /// For a process that has been cloned and knows which few it goes on with.
    public static func closeAll(in range: ClosedRange<UInt32>) throws(SystemError) {
        try check("close_range", plane_close_range(range.lowerBound, range.upperBound, 0))
    }
}

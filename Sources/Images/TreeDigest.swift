import CLinux
import Glibc
import Linux

/// What the digest of an image is made of: one canonical run of bytes, which says the same of the same tree on every
/// machine. Its SHA-256 is the digest.
///
/// First the line `plane image 1` and the manifest's text; then each entry, the tree's own folder first, depth first, each
/// folder's names in the order of their bytes. An entry is its type (`d`, `f` or `l`), then permission bits, user and
/// group as 32-bit numbers, its path below the tree, and a file's content or a link's target. Texts are preceded by their
/// length as a 64-bit number; numbers are big-endian. Times, extended attributes and which files share an inode are no part.
struct TreeDigest: ~Copyable {
    private let output: Int32
    private var chunk: [UInt8] = []
    private var buffer = [UInt8](repeating: 0, count: chunkBytes)

    private static let chunkBytes = 256 * 1024

    /// - Parameters:
    ///   - output: takes the bytes; stays the caller's.
    ///   - manifest: the manifest's text.
    init(to output: Int32, manifest: [UInt8]) {
        self.output = output
        chunk += Array("plane image 1\n".utf8)
        append(text: manifest)
    }

    /// A folder.
    mutating func folder(_ path: FileName, _ status: stat, mode: mode_t) throws(SystemError) {
        append(UInt8(ascii: "d"), path, status, mode)
        try flushIfLong()
    }

    /// A link.
    mutating func link(_ path: FileName, _ status: stat, target: [UInt8]) throws(SystemError) {
        // A link's own permission bits are always the same and mean nothing. symlink(7).
        append(UInt8(ascii: "l"), path, status, 0o777)
        append(text: target)
        try flushIfLong()
    }

    /// A regular file with its content.
    /// - Parameter progress: called after each part of it with its number of bytes.
    mutating func file(
        _ path: FileName, _ status: stat, mode: mode_t, content: borrowing Descriptor,
        progress: (Int) throws(SystemError) -> Void
    ) throws(SystemError) {
        append(UInt8(ascii: "f"), path, status, mode)
        append(UInt64(status.st_size))
        var rest = Int(status.st_size)
        while rest > 0 {
            let wanted = min(rest, Self.chunkBytes)
            let descriptor = content.raw
            let count = buffer.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, wanted) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw SystemError(count < 0 ? errno : ESTALE, "read \(path)") }
            if chunk.count + count <= Self.chunkBytes {
                chunk += buffer[..<count]
            } else {
                try flush()
                try Self.writeAll(buffer[..<count], to: output)
            }
            rest -= count
            try progress(count)
        }
        try flushIfLong()
    }

    /// What is still to be written.
    mutating func finish() throws(SystemError) { try flush() }

    private mutating func append(_ type: UInt8, _ path: FileName, _ status: stat, _ mode: mode_t) {
        chunk.append(type)
        append(UInt32(mode))
        append(UInt32(status.st_uid))
        append(UInt32(status.st_gid))
        append(text: path.bytes)
    }

    private mutating func append(text: [UInt8]) {
        append(UInt64(text.count))
        chunk += text
    }

    private mutating func append(_ number: some FixedWidthInteger) {
        withUnsafeBytes(of: number.bigEndian) { chunk += $0 }
    }

    private mutating func flushIfLong() throws(SystemError) { if chunk.count >= Self.chunkBytes / 2 { try flush() } }

    private mutating func flush() throws(SystemError) {
        try Self.writeAll(chunk[...], to: output)
        chunk.removeAll(keepingCapacity: true)
    }

    private static func writeAll(_ bytes: ArraySlice<UInt8>, to output: Int32) throws(SystemError) {
        var rest = bytes
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(output, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw SystemError(errno, "write to sha256sum") }
            rest = rest.dropFirst(count)
        }
    }
}

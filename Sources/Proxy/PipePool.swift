import CLinux
import Glibc
import Linux

/// A pipe between two splices. pipe(7).
struct SplicePipe {
    let reading: Int32
    let writing: Int32
    /// What the kernel gave: 256 KiB, or less where the user's quota is used up.
    let capacity: Int32
}

/// Empty pipes for transfers. A transfer holds one only while bytes are in it, so few serve many connections.
///
/// The number is bounded: pipe pages are outside of socket accounting, and an unprivileged user's quota
/// (pipe-user-pages-soft) makes pipes beyond it useless. Who gets none copies.
struct PipePool: ~Copyable {
    private let free: UnsafeMutablePointer<SplicePipe>
    private var freeCount = 0
    private let limit: Int
    /// Pipes in existence, in the pool or lent.
    private(set) var count = 0

    init(limit: Int) {
        self.limit = limit
        free = .allocate(capacity: max(1, limit))
    }

    deinit {
        for index in 0..<freeCount { Self.close(free[index]) }
        free.deallocate()
    }

    mutating func take() -> SplicePipe? {
        if freeCount > 0 {
            freeCount &-= 1
            return free[freeCount]
        }
        guard count < limit, let pipe = Self.make() else { return nil }
        count += 1
        return pipe
    }

    /// Takes back a pipe that must be empty: whatever is in it would reach the next connection.
    mutating func put(_ pipe: SplicePipe) {
        free[freeCount] = pipe
        freeCount &+= 1
    }

    /// Gives up a pipe with bytes in it.
    mutating func discard(_ pipe: SplicePipe) {
        Self.close(pipe)
        count -= 1
    }

    private static func make() -> SplicePipe? {
        guard let pipe = try? Pipe(.nonblocking) else { return nil }
        // Measured: 256 KiB halve the cost of 64 KiB; 1 MiB loses again where the ends copy, for cold caches.
        let capacity = pipe.resize(to: 256 * 1024)
        let ends = pipe.split()
        let made = SplicePipe(reading: ends.reading, writing: ends.writing, capacity: Int32(clamping: capacity))
        // Beyond the quota a pipe has two pages: splicing through it costs more than copying.
        if capacity < 64 * 1024 {
            close(made)
            return nil
        }
        return made
    }

    private static func close(_ pipe: SplicePipe) {
        _ = Glibc.close(pipe.reading)
        _ = Glibc.close(pipe.writing)
    }
}

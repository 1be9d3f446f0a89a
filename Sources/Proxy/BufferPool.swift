/// Buffers of one size for heads and for bytes that a blocked socket did not take. A connection that is idle holds none.
struct BufferPool: ~Copyable {
    /// Bytes of each buffer: four heads of the longest kind, or one read of a relay.
    static let size = 64 * 1024

    private let free: UnsafeMutablePointer<UnsafeMutableRawPointer>
    private var freeCount = 0
    /// More than this is given back to the allocator, so that a burst of slow clients is not remembered for ever.
    private static let keptCount = 64

    init() { free = .allocate(capacity: Self.keptCount) }

    deinit {
        for index in 0..<freeCount { free[index].deallocate() }
        free.deallocate()
    }

    /// The most recently returned one first: it is warm in the cache.
    mutating func take() -> UnsafeMutableRawPointer {
        if freeCount > 0 {
            freeCount &-= 1
            return free[freeCount]
        }
        return .allocate(byteCount: Self.size, alignment: 64)
    }

    mutating func put(_ buffer: UnsafeMutableRawPointer) {
        if freeCount < Self.keptCount {
            free[freeCount] = buffer
            freeCount &+= 1
        } else {
            buffer.deallocate()
        }
    }
}

/// Bytes in a pool's buffer that still have to go somewhere; without a buffer it is empty.
struct HeldBytes {
    private(set) var base: UnsafeMutableRawPointer?
    private(set) var start: Int32 = 0
    private(set) var end: Int32 = 0

    @inline(__always) var isEmpty: Bool { start == end }
    @inline(__always) var count: Int { Int(end &- start) }
    var bytes: UnsafeRawBufferPointer {
        guard let base else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        return UnsafeRawBufferPointer(start: base + Int(start), count: count)
    }

    /// Where the next bytes can be put. Takes a buffer if there is none, and moves the bytes to its front if they stand
    /// in the way.
    mutating func room(_ pool: inout BufferPool) -> UnsafeMutableRawBufferPointer {
        let base = self.base ?? pool.take()
        self.base = base
        if start > 0 {
            base.copyMemory(from: base + Int(start), byteCount: count)
            end &-= start
            start = 0
        }
        return UnsafeMutableRawBufferPointer(start: base + Int(end), count: BufferPool.size &- Int(end))
    }

    /// Counts bytes written into ``room(_:)``.
    mutating func filled(_ count: Int) { end &+= Int32(truncatingIfNeeded: count) }

    /// Drops bytes from the front, and the buffer with the last one.
    mutating func consume(_ count: Int, _ pool: inout BufferPool) {
        precondition(count <= self.count, "more bytes consumed than held")
        start &+= Int32(truncatingIfNeeded: count)
        if start == end { release(&pool) }
    }

    mutating func append(_ bytes: UnsafeRawBufferPointer, _ pool: inout BufferPool) {
        let room = room(&pool)
        precondition(bytes.count <= room.count, "more bytes held than a buffer has room for")
        room.copyMemory(from: bytes)
        filled(bytes.count)
    }

    mutating func release(_ pool: inout BufferPool) {
        if let base { pool.put(base) }
        self = HeldBytes()
    }
}

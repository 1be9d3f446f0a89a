/// What comes back with an epoll event: generation, slot and side of a connection, or one of the thread's own sources.
struct EventToken {
    let rawValue: UInt64

    init(rawValue: UInt64) { self.rawValue = rawValue }

    /// Slots are fewer than 2³¹, and slot 2³¹−1 stands for what is not a connection.
    init(generation: UInt32, index: UInt32, side: SideName) {
        rawValue = UInt64(generation) << 32 | UInt64(index) << 1 | side.rawValue
    }

    static let listener = EventToken(rawValue: 0xFFFF_FFFE)
    static let inbox = EventToken(rawValue: 0xFFFF_FFFF)

    var generation: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 32) }
    var index: UInt32 { UInt32(truncatingIfNeeded: rawValue) >> 1 }
    var side: SideName { rawValue & 1 == 0 ? .client : .upstream }
    var isOwn: Bool { index == 0x7FFF_FFFF }
}

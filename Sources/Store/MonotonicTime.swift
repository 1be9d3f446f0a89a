import Glibc

/// Waiting with an end, by CLOCK_BOOTTIME in milliseconds: nothing of it depends on the date.
enum MonotonicTime {
    /// Now; its zero means nothing.
    static var now: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    /// Waits for a descriptor. poll(2).
    /// - Parameter interrupt: a descriptor that ends the wait when it is readable; nil for none.
    /// - Returns: false when the time is over first, or the wait was interrupted.
    static func wait(
        for events: Int16, on descriptor: Int32, until deadline: Int64, unless interrupt: Int32? = nil
    ) -> Bool {
        // A negative descriptor is passed over.
        var wanted = [
            pollfd(fd: descriptor, events: events, revents: 0),
            pollfd(fd: interrupt ?? -1, events: Int16(POLLIN), revents: 0),
        ]
        while true {
            let count = poll(&wanted, 2, Int32(clamping: max(0, deadline - now)))
            if count > 0 { return wanted[1].revents == 0 }
            if count == 0 && now >= deadline { return false }
            precondition(count == 0 || errno == EINTR || errno == ENOMEM, "poll(2) of a descriptor of ours failed")
        }
    }

    /// Lets the thread sleep, in milliseconds.
    static func pause(_ milliseconds: Int64) { poll(nil, 0, Int32(clamping: milliseconds)) }
}

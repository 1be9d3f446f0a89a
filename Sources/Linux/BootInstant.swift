import CLinux
import Glibc

/// A moment on this machine's boot clock, which also runs while the machine sleeps. CLOCK_BOOTTIME, clock_gettime(2).
///
/// Never compared between machines, and meaningless after a reboot.
public struct BootInstant: Hashable, Comparable, Sendable {
    /// Nanoseconds since boot.
    public var nanoseconds: UInt64

    /// - Parameter nanoseconds: since boot.
    public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    /// The present moment.
    public static var now: BootInstant { BootInstant(nanoseconds: plane_clock_ns(CLOCK_BOOTTIME)) }

    public static func < (a: BootInstant, b: BootInstant) -> Bool { a.nanoseconds < b.nanoseconds }

    /// The moment a duration later; saturates at both ends of the clock.
    public static func + (instant: BootInstant, duration: Duration) -> BootInstant {
        let nanoseconds = duration.wholeNanoseconds
        if nanoseconds >= 0 {
            let (sum, overflow) = instant.nanoseconds.addingReportingOverflow(UInt64(nanoseconds))
            return BootInstant(nanoseconds: overflow ? .max : sum)
        }
        let (difference, underflow) = instant.nanoseconds.subtractingReportingOverflow(nanoseconds.magnitude)
        return BootInstant(nanoseconds: underflow ? 0 : difference)
    }

    /// The time from the second to the first; negative when the first is earlier.
    public static func - (later: BootInstant, earlier: BootInstant) -> Duration {
        if later >= earlier { return .nanoseconds(Int64(clamping: later.nanoseconds - earlier.nanoseconds)) }
        return .nanoseconds(-Int64(clamping: earlier.nanoseconds - later.nanoseconds))
    }
}

extension Duration {
    /// The duration in nanoseconds, truncated, and limited to what 64 bits hold (292 years).
    public var wholeNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        if overflow { return seconds < 0 ? .min : .max }
        let (sum, sumOverflow) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
        return sumOverflow ? (seconds < 0 ? .min : .max) : sum
    }

    /// The duration in milliseconds, rounded up, for epoll_wait(2): never wakes before it is due.
    public var millisecondsRoundedUp: Int32 {
        let nanoseconds = wholeNanoseconds
        if nanoseconds <= 0 { return 0 }
        return Int32(clamping: nanoseconds / 1_000_000 + (nanoseconds % 1_000_000 == 0 ? 0 : 1))
    }
}

/// The wall clock, for what people and logs read; never for deciding when something is due.
public enum WallClock {
    /// Milliseconds since 1970-01-01T00:00:00Z. CLOCK_REALTIME.
    public static var millisecondsSinceEpoch: Int64 { Int64(plane_clock_ns(CLOCK_REALTIME) / 1_000_000) }
}

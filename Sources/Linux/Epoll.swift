public import CLinux
import Glibc

/// What to be told of a descriptor. epoll_ctl(2).
public struct Interest: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// EPOLLIN: there is something to read, or the peer has ended its side.
    public static let readable = Interest(rawValue: 0x001)
    /// EPOLLOUT: there is room to write.
    public static let writable = Interest(rawValue: 0x004)
    /// EPOLLERR, always reported.
    public static let error = Interest(rawValue: 0x008)
    /// EPOLLHUP, always reported.
    public static let hangup = Interest(rawValue: 0x010)
    /// EPOLLRDHUP: the peer shut down its writing side.
    public static let peerClosed = Interest(rawValue: 0x2000)
}

/// A level-triggered epoll instance. epoll(7).
public struct Epoll: ~Copyable {
    private let descriptor: Descriptor

    /// Creates an instance, closed on exec. epoll_create1(2).
    public init() throws(SystemError) {
        descriptor = Descriptor(owning: Int32(try check("epoll_create1", plane_epoll_create())))
    }

    /// Its number, to nest it in another instance.
    public var raw: Int32 { descriptor.raw }

    /// Starts watching a descriptor. - Parameter token: comes back with every event of it.
    public borrowing func add(_ fd: Int32, _ interest: Interest, token: UInt64) throws(SystemError) {
        try check("epoll_ctl ADD", plane_epoll_ctl(descriptor.raw, EPOLL_CTL_ADD, fd, interest.rawValue, token))
    }

    /// Replaces the interest and the token of a watched descriptor.
    public borrowing func modify(_ fd: Int32, _ interest: Interest, token: UInt64) throws(SystemError) {
        try check("epoll_ctl MOD", plane_epoll_ctl(descriptor.raw, EPOLL_CTL_MOD, fd, interest.rawValue, token))
    }

    /// Stops watching. Events already fetched may still come: keep a generation in the token.
    public borrowing func remove(_ fd: Int32) throws(SystemError) {
        try check("epoll_ctl DEL", plane_epoll_ctl(descriptor.raw, EPOLL_CTL_DEL, fd, 0, 0))
    }

    /// Waits for events into a buffer of the caller's, which is reused from turn to turn. epoll_wait(2).
    /// - Parameter timeoutMilliseconds: -1 waits without bound.
    /// - Returns: how many events were stored; 0 after the timeout or a signal.
    public borrowing func wait(
        into events: UnsafeMutableBufferPointer<epoll_event>, timeoutMilliseconds: Int32
    ) throws(SystemError) -> Int {
        let count = plane_epoll_wait(descriptor.raw, events.baseAddress, Int32(events.count), timeoutMilliseconds)
        return count == -Int(EINTR) ? 0 : try check("epoll_wait", count)
    }
}

extension epoll_event {
    /// What happened.
    public var interest: Interest { Interest(rawValue: events) }
    /// The token given with the descriptor.
    public var token: UInt64 {
        var copy = self
        return plane_epoll_data(&copy)
    }
}

/// A counter that wakes an epoll loop from another thread. eventfd(2).
public struct EventDescriptor: ~Copyable {
    private let descriptor: Descriptor

    /// Nonblocking, closed on exec, counter 0.
    public init() throws(SystemError) {
        descriptor = Descriptor(owning: Int32(try check("eventfd", plane_eventfd())))
    }

    /// The number to watch for readability.
    public var raw: Int32 { descriptor.raw }

    /// Makes it readable; safe from any thread. A full counter (2^64 - 2 wakes) is readable anyway.
    public borrowing func wake() {
        var one: UInt64 = 1
        _ = Glibc.write(descriptor.raw, &one, 8)
    }

    /// Makes it unreadable again.
    public borrowing func drain() {
        var count: UInt64 = 0
        _ = Glibc.read(descriptor.raw, &count, 8)
    }
}

/// A timer on the boot clock for an epoll loop. timerfd_create(2).
public struct TimerDescriptor: ~Copyable {
    private let descriptor: Descriptor

    /// Disarmed, nonblocking, closed on exec.
    public init() throws(SystemError) {
        descriptor = Descriptor(owning: Int32(try check("timerfd_create", plane_timerfd_boottime())))
    }

    /// The number to watch for readability.
    public var raw: Int32 { descriptor.raw }

    /// Fires once at that moment (at once when it has passed); nil disarms.
    public borrowing func arm(at instant: BootInstant?) throws(SystemError) {
        // 0 would disarm it, so a moment of 0 is moved to the clock's first nanosecond.
        let nanoseconds = instant.map { max($0.nanoseconds, 1) } ?? 0
        try check("timerfd_settime", plane_timerfd_set(descriptor.raw, nanoseconds))
    }

    /// Makes it unreadable after it fired.
    public borrowing func drain() {
        var count: UInt64 = 0
        _ = Glibc.read(descriptor.raw, &count, 8)
    }
}

/// Signals as events of an epoll loop. signalfd(2).
public struct SignalDescriptor: ~Copyable {
    private let descriptor: Descriptor

    /// Blocks the signals in the calling thread (start no other thread before) and receives them here instead.
    public init(_ signals: [Int32]) throws(SystemError) {
        var mask: UInt64 = 0
        for signal in signals { mask |= 1 << UInt64(signal - 1) }
        try check("rt_sigprocmask", plane_sigmask(SIG_BLOCK, mask))
        descriptor = Descriptor(owning: Int32(try check("signalfd4", plane_signalfd(mask))))
    }

    /// The number to watch for readability.
    public var raw: Int32 { descriptor.raw }

    /// The next pending signal's number, or nil.
    public borrowing func next() -> Int32? {
        var info = signalfd_siginfo()
        let count = Glibc.read(descriptor.raw, &info, MemoryLayout<signalfd_siginfo>.size)
        return count == MemoryLayout<signalfd_siginfo>.size ? Int32(info.ssi_signo) : nil
    }
}

/// Dispositions and masks of signals. signal(7).
public enum Signals {
    /// splice(2) has no MSG_NOSIGNAL, so a write to a reset peer would end the process.
    public static func ignoreBrokenPipe() { _ = plane_signal_ignore(SIGPIPE) }

    /// The signals that this process ignores. Those that it handles are reset by every exec, these are not.
    public static func ignored() -> [Int32] {
        (1..<65).filter { plane_signal_is_ignored(Int32($0)) == 1 }.map(Int32.init)
    }

    /// Unblocks every signal and gives some their default action.
    /// - Parameter ignored: those that may be ignored, found out beforehand.
    public static func resetForExec(ignored: [Int32]) {
        for signal in ignored { _ = plane_signal_default(signal) }
        _ = plane_sigmask(SIG_SETMASK, 0)
    }

    /// Unblocks every signal and gives each its default action, as a program expects that is about to be exec'ed.
    public static func resetForExec() {
        for signal in 1..<65 where signal != SIGKILL && signal != SIGSTOP { _ = plane_signal_default(Int32(signal)) }
        _ = plane_sigmask(SIG_SETMASK, 0)
    }
}

public import Linux

/// Time as a part of the control plane sees it: what it is, and a call when it has come.
///
/// An ``EventLoop`` is one. Whatever only needs this, and no descriptors, also runs under a virtual clock.
public protocol LoopClock: AnyObject {
    /// The boot clock now.
    var now: BootInstant { get }

    /// Calls the handler once, not before the duration has passed on the boot clock.
    @discardableResult
    func schedule(after delay: Duration, _ handler: @escaping () -> Void) -> TimerToken

    /// Forgets a timer. One that has fired or was cancelled is ignored.
    func cancel(_ timer: TimerToken)

    /// Calls the work after the handler that runs now has returned.
    func post(_ work: @escaping () -> Void)
}

extension EventLoop: LoopClock {
    public var now: BootInstant { .now }
}

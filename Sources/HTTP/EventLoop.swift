public import Linux
private import CLinux

/// One thread's waiting: descriptors, timers, signals and other threads' messages, each with a closure to call.
///
/// For the control plane only; the data path has a loop of its own without closures. Everything about a loop happens on
/// the thread that runs it: it is not Sendable, and a ``Mailbox`` is the only way in from elsewhere. Handlers may add and
/// remove anything, themselves included.
public final class EventLoop {
    /// A watched descriptor. Its number may be reused by the system; this handle never is.
    public struct Registration: Hashable, Sendable {
        fileprivate let slot: UInt32
        fileprivate let generation: UInt32
        fileprivate var token: UInt64 { UInt64(generation) << 32 | UInt64(slot) }
    }

    private struct Slot {
        var generation: UInt32 = 0
        var raw: Int32 = -1
        var handler: ((Interest) -> Void)?
    }

    private let epoll: Epoll
    private let timerDescriptor: TimerDescriptor
    private var slots: [Slot] = []
    private var freeSlots: [UInt32] = []
    private var timers = TimerQueue()
    private var armedFor: BootInstant?
    private var posted: [() -> Void] = []
    private var phase = Phase.idle
    /// Scratch space that whoever reads on this loop may use until its handler returns.
    let readBuffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 * 1024, alignment: 16)

    private enum Phase { case idle, running, stopping }

    /// A loop that watches nothing yet. Also ignores SIGPIPE for the process: a peer that is gone is an error, not an end.
    public init() throws(SystemError) {
        Signals.ignoreBrokenPipe()
        epoll = try Epoll()
        timerDescriptor = try TimerDescriptor()
        _ = try add(timerDescriptor.raw, .readable) { [unowned self] _ in
            timerDescriptor.drain()
            // The timer fired, so nothing is armed any more; the turn re-arms it after running what is due.
            armedFor = nil
        }
    }

    deinit { readBuffer.deallocate() }

    /// Watches a descriptor, level-triggered. The caller keeps owning it and removes the registration before closing it.
    /// - Parameter handler: called with what is ready; errors and hang-ups come whether asked for or not.
    public func add(
        _ raw: Int32, _ interest: Interest, _ handler: @escaping (Interest) -> Void
    ) throws(SystemError) -> Registration {
        let slot = freeSlots.popLast() ?? UInt32(slots.count)
        if slot == slots.count { slots.append(Slot()) }
        let registration = Registration(slot: slot, generation: slots[Int(slot)].generation)
        do throws(SystemError) {
            try epoll.add(raw, interest, token: registration.token)
        } catch {
            freeSlots.append(slot)
            throw error
        }
        slots[Int(slot)].raw = raw
        slots[Int(slot)].handler = handler
        return registration
    }

    /// Changes what a descriptor is watched for.
    public func modify(_ registration: Registration, _ interest: Interest) throws(SystemError) {
        precondition(isCurrent(registration), "the registration was removed")
        try epoll.modify(slots[Int(registration.slot)].raw, interest, token: registration.token)
    }

    /// Stops watching. Events that were already fetched are dropped. Removing twice does nothing.
    public func remove(_ registration: Registration) {
        guard isCurrent(registration) else { return }
        let index = Int(registration.slot)
        // The descriptor is still open here, so the kernel knows it; there is nothing else that could fail.
        try? epoll.remove(slots[index].raw)
        slots[index].generation &+= 1
        slots[index].raw = -1
        slots[index].handler = nil
        freeSlots.append(registration.slot)
    }

    /// Calls the handler once, not before the duration has passed on the boot clock, which also runs in suspension.
    @discardableResult
    public func schedule(after delay: Duration, _ handler: @escaping () -> Void) -> TimerToken {
        timers.add(at: BootInstant.now + delay, handler)
    }

    /// Forgets a timer. One that has fired or was cancelled is ignored.
    public func cancel(_ timer: TimerToken) { timers.cancel(timer) }

    /// Calls the work on this loop, after the handler that runs now has returned.
    public func post(_ work: @escaping () -> Void) { posted.append(work) }

    /// Calls the handler for each of these signals, which are blocked in the calling thread. Call it before any other
    /// thread starts, else that thread takes the signals. signalfd(2).
    public func onSignal(_ signals: [Int32], _ handler: @escaping (Int32) -> Void) throws(SystemError) {
        let source = try SignalSource(signals)
        _ = try add(source.descriptor.raw, .readable) { _ in
            while let signal = source.descriptor.next() { handler(signal) }
        }
    }

    /// Delivers another thread's messages, in order, to the handler. The loop keeps the mailbox alive.
    @discardableResult
    public func attach<Message>(
        _ mailbox: Mailbox<Message>, _ handler: @escaping (Message) -> Void
    ) throws(SystemError) -> Registration {
        try add(mailbox.rawDescriptor, .readable) { _ in
            for message in mailbox.takeAll() { handler(message) }
        }
    }

    /// Waits and calls handlers until ``stop()``. May be run again afterwards.
    /// - Throws: only if waiting itself fails, which no peer can bring about.
    public func run() throws(SystemError) {
        precondition(phase != .running, "the loop is already running")
        if phase == .idle { phase = .running }
        let events = UnsafeMutableBufferPointer<epoll_event>.allocate(capacity: 64)
        defer {
            events.deallocate()
            phase = .idle
        }
        while phase == .running {
            try runDue()
            if phase != .running { break }
            let count = try epoll.wait(into: events, timeoutMilliseconds: posted.isEmpty ? -1 : 0)
            for index in 0..<count { dispatch(events[index].token, events[index].interest) }
        }
    }

    /// Lets ``run()`` return after the present turn; if it is not running, it will return at once when it is called.
    public func stop() { phase = .stopping }

    private func isCurrent(_ registration: Registration) -> Bool {
        let slot = slots[Int(registration.slot)]
        return slot.generation == registration.generation && slot.handler != nil
    }

    private func dispatch(_ token: UInt64, _ ready: Interest) {
        let registration = Registration(
            slot: UInt32(truncatingIfNeeded: token), generation: UInt32(truncatingIfNeeded: token >> 32))
        // An earlier handler of this turn may have removed it, and even put another descriptor into its slot.
        guard isCurrent(registration) else { return }
        slots[Int(registration.slot)].handler?(ready)
    }

    private func runDue() throws(SystemError) {
        let work = posted
        posted.removeAll()
        for item in work { item() }
        let now = BootInstant.now
        while let handler = timers.popDue(now) { handler() }
        if let next = timers.nextDeadline, armedFor.map({ next < $0 }) ?? true {
            try timerDescriptor.arm(at: next)
            armedFor = next
        }
    }
}

/// Keeps a signalfd alive inside a closure, which cannot capture a noncopyable value.
private final class SignalSource {
    let descriptor: SignalDescriptor

    init(_ signals: [Int32]) throws(SystemError) { descriptor = try SignalDescriptor(signals) }
}

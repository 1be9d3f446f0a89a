import HTTP
import Linux

/// A boot clock that moves only when a test says so.
final class VirtualClock: LoopClock {
    private(set) var now = BootInstant(nanoseconds: 1_000_000_000_000)
    private var timers: [(at: BootInstant, token: TimerToken, handler: () -> Void)] = []
    private var posted: [() -> Void] = []
    private var lastNumber: UInt64 = 0

    /// Milliseconds since 1970, a clock that goes as this one.
    var milliseconds: Int64 { 1_700_000_000_000 + Int64(now.nanoseconds / 1_000_000) }

    @discardableResult
    func schedule(after delay: Duration, _ handler: @escaping () -> Void) -> TimerToken {
        lastNumber += 1
        let token = TimerToken(number: lastNumber)
        timers.append((now + delay, token, handler))
        return token
    }

    func cancel(_ timer: TimerToken) { timers.removeAll { $0.token == timer } }

    func post(_ work: @escaping () -> Void) { posted.append(work) }

    /// Runs what is posted, and what that posts.
    func settle() {
        while !posted.isEmpty { posted.removeFirst()() }
    }

    /// Lets time pass, with all that is due in it.
    func advance(by time: Duration) {
        settle()
        let end = now + time
        // Those of one moment in the order in which they were scheduled: that of the array.
        while let next = timers.indices.min(by: { (timers[$0].at, $0) < (timers[$1].at, $1) }), timers[next].at <= end {
            let timer = timers.remove(at: next)
            now = max(now, timer.at)
            timer.handler()
            settle()
        }
        now = end
    }
}

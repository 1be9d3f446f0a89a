import Glibc
import Linux
import Synchronization

/// A line on standard error every few seconds.
final class ProgressLine: Sendable {
    private let total: Int
    private let start: BootInstant
    private let lastShown: Mutex<BootInstant>

    init(total: Int, start: BootInstant) {
        self.total = total
        self.start = start
        lastShown = Mutex(start)
    }

    func update(_ done: Int) {
        let now = BootInstant.now
        let isDue = lastShown.withLock { last in
            guard now - last >= .seconds(5) else { return false }
            last = now
            return true
        }
        guard isDue else { return }
        let seconds = max(1, (now - start).wholeNanoseconds / 1_000_000_000)
        let line = Array("\(done) of \(total) schedules, \(Int64(done) / seconds) per second\n".utf8)
        _ = line.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
    }
}

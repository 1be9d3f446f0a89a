import Linux
import Testing

@testable import Drone

private func at(_ seconds: UInt64) -> BootInstant { BootInstant(nanoseconds: seconds * 1_000_000_000) }

@Suite("Idle tracking")
struct IdleTrackerTests {
    @Test("Idle time begins with the tracker and grows while nothing happens")
    func growsUnused() {
        var idle = IdleTracker(now: at(10))
        idle.sample(active: 0, started: 0, now: at(14))
        #expect(!idle.isIdle(for: .seconds(5), now: at(14)))
        #expect(idle.isIdle(for: .seconds(5), now: at(15)))
    }

    @Test("An open connection is never idle, however long it is open")
    func openIsNeverIdle() {
        var idle = IdleTracker(now: at(0))
        for second in 1...100 { idle.sample(active: 1, started: 1, now: at(UInt64(second))) }
        #expect(!idle.isIdle(for: .seconds(1), now: at(500)))
    }

    @Test("Idle time begins when the last connection was first seen closed")
    func beginsAtClose() {
        var idle = IdleTracker(now: at(0))
        idle.sample(active: 1, started: 1, now: at(10))
        idle.sample(active: 0, started: 1, now: at(11))
        #expect(!idle.isIdle(for: .seconds(5), now: at(15)))
        #expect(idle.isIdle(for: .seconds(5), now: at(16)))
    }

    @Test("A request that began and ended between two samples counts")
    func shortRequestCounts() {
        var idle = IdleTracker(now: at(0))
        idle.sample(active: 0, started: 3, now: at(4))
        #expect(!idle.isIdle(for: .seconds(5), now: at(8)))
        #expect(idle.isIdle(for: .seconds(5), now: at(9)))
    }

    @Test("A token that was handed out counts as use")
    func touchCounts() {
        var idle = IdleTracker(now: at(0))
        idle.touch(now: at(4))
        #expect(!idle.isIdle(for: .seconds(5), now: at(8)))
        idle.touch(now: at(2))
        #expect(idle.isIdle(for: .seconds(5), now: at(9)))
    }
}

import Glibc
import Linux
import Testing

@testable import HTTP

@Suite("Event loop", .serialized)
struct EventLoopTests {
    @Test("Timers fire in the order of their deadlines, never early, and not when cancelled")
    func timers() throws {
        let loop = try EventLoop()
        var fired: [String] = []
        let start = BootInstant.now
        loop.schedule(after: .milliseconds(60)) {
            fired.append("third")
            #expect(BootInstant.now - start >= .milliseconds(60))
            loop.stop()
        }
        loop.schedule(after: .milliseconds(20)) { fired.append("first") }
        let cancelled = loop.schedule(after: .milliseconds(30)) { fired.append("cancelled") }
        loop.schedule(after: .milliseconds(20)) {
            fired.append("second")
            loop.cancel(cancelled)
            loop.schedule(after: .zero) { fired.append("nested") }
        }
        try loop.runOrFail()
        #expect(fired == ["first", "second", "nested", "third"])
    }

    @Test("Very many cancelled timers are forgotten and the rest keep their order")
    func timerHeap() {
        var queue = TimerQueue()
        var generator = SeededGenerator(seed: 5)
        var order: [UInt64] = []
        var tokens: [TimerToken] = []
        var expected: [UInt64] = []
        for index in 0..<5000 {
            let deadline = UInt64.random(in: 1...1_000_000, using: &generator)
            tokens.append(queue.add(at: BootInstant(nanoseconds: deadline)) { order.append(deadline) })
            if index % 3 != 0 { queue.cancel(tokens[index]) } else { expected.append(deadline) }
        }
        #expect(queue.popDue(BootInstant(nanoseconds: 0)) == nil)
        while let handler = queue.popDue(BootInstant(nanoseconds: .max)) { handler() }
        #expect(order == expected.sorted())
        #expect(queue.nextDeadline == nil)
    }

    @Test("A mailbox carries every message of every thread, in each sender's order")
    func mailbox() throws {
        struct Letter: Sendable { let sender, number: Int }
        let loop = try EventLoop()
        let mailbox = try Mailbox<Letter>()
        var counts = [0, 0, 0, 0]
        try loop.attach(mailbox) { letter in
            #expect(counts[letter.sender] == letter.number)
            counts[letter.sender] += 1
            if counts.allSatisfy({ $0 == 2000 }) { loop.stop() }
        }
        let threads = (0..<4).map { sender in
            onThread { for number in 0..<2000 { mailbox.send(Letter(sender: sender, number: number)) } }
        }
        try loop.runOrFail()
        for thread in threads { pthread_join(thread, nil) }
        #expect(counts == [2000, 2000, 2000, 2000])
    }

    @Test("An event of a removed descriptor is dropped, even when its slot has a new owner")
    func staleEvents() throws {
        let loop = try EventLoop()
        let first = try EventDescriptor()
        let second = try EventDescriptor()
        let third = try EventDescriptor()
        var registrations: [EventLoop.Registration] = []
        var calls: [String] = []
        var replacement: EventLoop.Registration?
        func removeOther(_ name: String, _ other: Int) {
            calls.append(name)
            loop.remove(registrations[other])
            replacement = try? loop.add(third.raw, .readable) { _ in calls.append("replacement") }
            loop.schedule(after: .milliseconds(20)) { loop.stop() }
            loop.remove(registrations[1 - other])
        }
        registrations.append(try loop.add(first.raw, .readable) { _ in removeOther("first", 1) })
        registrations.append(try loop.add(second.raw, .readable) { _ in removeOther("second", 0) })
        first.wake()
        second.wake()
        try loop.runOrFail()
        #expect(calls.count == 1)
        #expect(replacement != nil && !registrations.contains { $0 == replacement })
        loop.remove(registrations[0])
        third.wake()
        loop.schedule(after: .milliseconds(20)) { loop.stop() }
        if let replacement { loop.schedule(after: .milliseconds(10)) { loop.remove(replacement) } }
        try loop.runOrFail()
        #expect(calls.contains("replacement"))
    }

    @Test("A signal is an event, also from another thread")
    func signals() throws {
        // The signal is blocked in this thread only, so it must be sent to this thread.
        let loop = try EventLoop()
        var seen: Int32?
        try loop.onSignal([SIGUSR2]) { signal in
            seen = signal
            loop.stop()
        }
        let target = pthread_self()
        loop.post { _ = pthread_kill(target, SIGUSR2) }
        try loop.runOrFail()
        #expect(seen == SIGUSR2)
    }

    @Test("A loop that is stopped before it runs returns at once")
    func stopBeforeRun() throws {
        let loop = try EventLoop()
        loop.stop()
        try loop.runOrFail()
    }
}

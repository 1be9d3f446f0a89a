import Linux
import Model
import Testing

@testable import Drone

private func at(_ milliseconds: UInt64) -> BootInstant { BootInstant(nanoseconds: milliseconds * 1_000_000) }

@Suite("A command's output")
struct OutputRingTests {
    @Test("Lines are put together over reads, and the last one needs no end")
    func lines() {
        var ring = OutputRing(now: at(0))
        #expect(ring.append(Array("one\ntw".utf8), now: at(0)) == ["one"])
        #expect(ring.append(Array("o\nthree".utf8), now: at(1)) == ["two"])
        #expect(ring.finish(now: at(2)) == ["three"])
        #expect(ring.tail == "one\ntwo\nthree")
    }

    @Test("Only the end is kept, however much is written")
    func keepsTail() {
        var ring = OutputRing(now: at(0))
        for number in 0..<10_000 { _ = ring.append(Array("line \(number)\n".utf8), now: at(0)) }
        #expect(ring.tail.utf8.count == OutputRing.keptBytesMax)
        #expect(ring.tail.hasSuffix("line 9998\nline 9999\n"))
    }

    @Test("A flood is cut down, says so, and does not silence what comes later")
    func flood() {
        var ring = OutputRing(now: at(0))
        let lines = ring.append(Array(String(repeating: "x\n", count: 5_000).utf8), now: at(0))
        #expect(lines.count == Int(OutputRing.linesBurst))
        let later = ring.append(Array("y\n".utf8), now: at(1_000))
        #expect(later == ["… 4800 lines were left out", "y"])
    }

    @Test("Long lines are cut, and control characters do not reach a terminal")
    func harmless() {
        var ring = OutputRing(now: at(0))
        let long = ring.append([UInt8](repeating: 0x61, count: 100_000) + [0x0A], now: at(0))
        #expect(long.map(\.utf8.count) == [OutputRing.lineBytesMax])
        let wild = ring.append(Array("\u{1B}[31mred\u{202E}\r\n".utf8), now: at(0))
        #expect(wild == ["\u{FFFD}[31mred\u{FFFD}\u{FFFD}"])
    }
}

@Suite("Small parts")
struct SmallPartTests {
    @Test("Waits double up to a bound, jitter only shortens them, success starts over")
    func backoff() {
        var backoff = Backoff(first: .milliseconds(200), most: .seconds(5))
        #expect(
            (0..<6).map { _ in backoff.next(jitter: 0) }.map(\.millisecondsRoundedUp) == [
                200, 400, 800, 1600, 3200, 5000,
            ])
        #expect(backoff.next(jitter: 1) == .milliseconds(2_500))
        backoff.reset()
        #expect(backoff.next(jitter: 0) == .milliseconds(200))
    }

    @Test("A note reads back, and one of another version does not")
    func note() {
        let terms = BackendLifecycle.Terms(
            port: 8080, readiness: SandboxPlan.Readiness(port: 9000, path: "/up", timeoutSeconds: 5),
            grace: .seconds(10), lifetimeEnd: at(9))
        let note = BackendNote(keyName: "\"é/\"", terms: terms, startupDeadline: at(5), maxIdleSeconds: 3)
        #expect(BackendNote(note.encoded()) == note)
        #expect(note.terms(timeoutSeconds: 5) == terms)
        #expect(BackendNote(Array("{}".utf8)) == nil)
        // A policy's path is ASCII and at most 1,024 bytes long; quotes and backslashes take two bytes each in JSON.
        let longestTerms = BackendLifecycle.Terms(
            port: .max,
            readiness: SandboxPlan.Readiness(
                port: .max, path: String(repeating: "\\", count: 1024), timeoutSeconds: .max),
            grace: .seconds(Int64(UInt32.max)), lifetimeEnd: BootInstant(nanoseconds: .max))
        for letter in ["\"", "\u{10FFFF}"] {
            let longest = BackendNote(
                keyName: String(repeating: letter, count: 255), terms: longestTerms,
                startupDeadline: BootInstant(nanoseconds: .max), maxIdleSeconds: .max)
            #expect(longest.encoded().count <= 4096)
        }
    }
}

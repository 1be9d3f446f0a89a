import Glibc

/// Which seeds run just now, for the message of a process that dies of a broken precondition in the middle of one.
enum SeedOfThread {
    static let jobsMax = 64
    // Written by each job in its own place, read by a signal handler, which may not take a lock.
    nonisolated(unsafe) private static let seeds = UnsafeMutablePointer<UInt64>.allocate(capacity: jobsMax)

    static func note(_ seed: UInt64, _ job: Int) { seeds[job % jobsMax] = seed }

    /// Lets a trap print the seeds that were running.
    static func install() {
        seeds.initialize(repeating: 0, count: jobsMax)
        for number in [SIGILL, SIGTRAP, SIGSEGV, SIGABRT] {
            signal(number) { number in
                SeedOfThread.print()
                signal(number, SIG_DFL)
                raise(number)
            }
        }
    }

    private static func print() {
        for job in 0..<jobsMax where seeds[job] != 0 {
            // No allocation here.
            var text = (
                UInt8(0), UInt8(0), UInt8(0), UInt8(0), UInt8(0), UInt8(0), UInt8(0), UInt8(0), UInt8(0), UInt8(0),
                UInt8(0), UInt8(0), UInt8(0), UInt8(0), UInt8(0), UInt8(0), UInt8(0), UInt8(0), UInt8(0), UInt8(0),
                UInt8(10)
            )
            withUnsafeMutableBytes(of: &text) { bytes in
                var rest = seeds[job]
                var index = 20
                repeat {
                    index -= 1
                    bytes[index] = UInt8(48 + rest % 10)
                    rest /= 10
                } while rest > 0
                let label: StaticString = "plane-simulator: a program error in or near seed "
                _ = write(2, label.utf8Start, label.utf8CodeUnitCount)
                _ = write(2, bytes.baseAddress! + index, 21 - index)
            }
        }
    }
}

import Glibc

/// `plane-policy-fuzzer [CASES [SEED [FIRST]]]`: gives the policy parser and all behind it generated files. Each case
/// depends on the seed and its number alone, so that one that fails can be run again: CASES 1, the seed, its number.
@main
struct PolicyFuzzer {
    static func main() throws {
        let numbers = CommandLine.arguments.dropFirst().map { UInt64($0) }
        guard numbers.count <= 3, !numbers.contains(nil) else {
            say("usage: plane-policy-fuzzer [CASES [SEED [FIRST]]]", to: STDERR_FILENO)
            exit(2)
        }
        let cases = numbers.first.flatMap(\.self) ?? 10_000_000
        let seed = numbers.dropFirst().first.flatMap(\.self) ?? 2026
        let first = numbers.dropFirst(2).first.flatMap(\.self) ?? 0
        CurrentCase.nameWhenTrapped()
        let properties = try run(cases: cases, seed: seed, first: first) { done in
            if done % 1_000_000 == 0 { say("\(done) cases", to: STDOUT_FILENO) }
        }
        say(
            "\(cases) cases of seed \(seed) from \(first): \(properties.accepted) policies, "
                + "\(properties.contradicted) of them against the image, \(properties.refused) refused; no crash",
            to: STDOUT_FILENO)
    }

    private static func say(_ line: String, to descriptor: Int32) {
        let bytes = Array((line + "\n").utf8)
        write(descriptor, bytes, bytes.count)
    }

    /// - Throws: the first case in which a property does not hold.
    static func run(
        cases: UInt64, seed: UInt64, first: UInt64 = 0, progress: (UInt64) -> Void = { _ in }
    ) throws -> PolicyProperties {
        var properties = try PolicyProperties()
        for index in first..<first + cases {
            CurrentCase.number = index
            var generator = PolicyGenerator(seed: seed, index: index)
            let file = generator.file()
            do {
                try properties.check(file)
            } catch {
                throw PolicyProperties.Violation(
                    description: "case \(index) of seed \(seed): \(error)\n\(String(decoding: file, as: UTF8.self))")
            }
            progress(index - first + 1)
        }
        return properties
    }
}

/// The case that is being tried, for the message when it traps.
enum CurrentCase {
    /// Written by one thread, read by its own signal handler.
    nonisolated(unsafe) static var number: UInt64 = 0

    /// Only what signal-safety(7) allows happens in the handler.
    static func nameWhenTrapped() {
        for trap in [SIGILL, SIGTRAP, SIGSEGV, SIGABRT] {
            signal(trap) { trap in
                CurrentCase.writeNumber()
                signal(trap, SIG_DFL)
                raise(trap)
            }
        }
    }

    private static func writeNumber() {
        writeText("trapped at case ")
        var divisor: UInt64 = 10_000_000_000_000_000_000
        var isLeading = true
        while divisor > 0 {
            let digit = UInt8(number / divisor % 10)
            isLeading = isLeading && digit == 0 && divisor > 1
            if !isLeading {
                var byte = UInt8(ascii: "0") + digit
                write(STDERR_FILENO, &byte, 1)
            }
            divisor /= 10
        }
        writeText("\n")
    }

    private static func writeText(_ text: StaticString) { write(STDERR_FILENO, text.utf8Start, text.utf8CodeUnitCount) }
}

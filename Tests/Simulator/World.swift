import Model

/// True time and all that is going to happen in it. One schedule runs in one world, on one thread, and from one seed: the
/// same seed gives the same schedule.
final class World {
    let seed: UInt64
    /// The defect that is built in.
    let mutant: Mutant?
    /// The mutant for which the schedule is drawn; without its defect it must be clean.
    let favoured: Mutant?
    var random: SeededRandom
    /// True time, nanoseconds since the schedule began. No part of Plane ever sees it.
    private(set) var now: Int64 = 0
    private(set) var steps = 0
    /// Changes with all that happens: two runs that give the same number went the same way.
    private(set) var digest: UInt64 = 0xCBF2_9CE4_8422_2325
    var counts = Counts()
    private(set) var violation: Violation?
    /// Whether a rule was broken, which ends the schedule.
    private(set) var isOver = false
    private var queue = EventQueue()
    private let isTracing: Bool
    private let onLine: (String) -> Void

    /// A rule that was broken.
    struct Violation: Equatable {
        let rule: Rule
        /// What was seen, as a sentence.
        let sentence: String
        /// True time in nanoseconds.
        let time: Int64
    }

    /// - Parameter onLine: takes the lines of the printed schedule; nil prints none, which is faster.
    init(seed: UInt64, mutant: Mutant?, favoured: Mutant?, onLine: ((String) -> Void)? = nil) {
        self.favoured = favoured ?? mutant
        self.seed = seed
        self.mutant = mutant
        random = SeededRandom(seed: seed)
        isTracing = onLine != nil
        self.onLine = onLine ?? { _ in }
    }

    /// Defects that the cores have in this schedule.
    var defects: ProtocolDefects { mutant?.defects ?? [] }

    func has(_ mutant: Mutant) -> Bool { self.mutant == mutant }

    func at(_ time: Int64, _ work: @escaping () -> Void) { queue.add(at: max(time, now), work) }

    func after(_ nanoseconds: Int64, _ work: @escaping () -> Void) { queue.add(at: now + max(0, nanoseconds), work) }

    /// Lets time pass until a moment, or until a rule is broken. - Parameter step: called after each event.
    func run(until end: Int64, step: () -> Void) {
        while !isOver, let next = queue.nextTime, next <= end, let event = queue.pop() {
            now = event.time
            steps += 1
            mix(UInt64(truncatingIfNeeded: event.time))
            event.work()
            step()
        }
        if !isOver { now = max(now, end) }
    }

    /// Forgets what was still going to happen.
    func tearDown() { queue = EventQueue() }

    func mix(_ value: UInt64) { digest = (digest ^ value) &* 0x0000_0100_0000_01B3 }

    /// Notes a broken rule; the first one counts and ends the schedule.
    func violated(_ rule: Rule, _ sentence: @autoclosure () -> String) {
        guard !isOver else { return }
        isOver = true
        let found = Violation(rule: rule, sentence: sentence(), time: now)
        violation = found
        trace("VIOLATION", "\(rule.rawValue): \(found.sentence)")
    }

    /// A line of the printed schedule: true time, who, what.
    func trace(_ who: @autoclosure () -> String, _ what: @autoclosure () -> String) {
        guard isTracing else { return }
        let tenths = now / 100_000
        let seconds = String(tenths / 10_000)
        let fraction = String(10_000 + tenths % 10_000).dropFirst()
        let time = "\(String(repeating: " ", count: max(0, 4 - seconds.count)))\(seconds).\(fraction)"
        let name = who()
        onLine("\(time)  \(name)\(String(repeating: " ", count: max(1, 14 - name.count)))\(what())")
    }
}

extension Int64 {
    /// A duration in true or local nanoseconds.
    static func milliseconds(_ count: Int64) -> Int64 { count * 1_000_000 }
    /// A duration in true or local nanoseconds.
    static func seconds(_ count: Int64) -> Int64 { count * 1_000_000_000 }
}

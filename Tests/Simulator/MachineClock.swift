import Linux

/// One boot of one machine's clock: it runs at its own rate, from a reading that says nothing.
final class MachineClock {
    /// How much faster than true time it runs, parts per million.
    let driftPPM: Int64
    private let bootedAt: Int64
    private let offset: Int64
    private unowned let world: World
    /// Nanoseconds that a defective clock did not count because the machine slept.
    var lost: Int64 = 0

    init(_ world: World, driftPPM: Int64) {
        self.world = world
        self.driftPPM = driftPPM
        bootedAt = world.now
        offset = world.random.draw(.seconds(1)...(.seconds(1_000_000)))
    }

    /// Its reading now.
    var now: BootInstant { reading(at: world.now) }

    /// Its reading at a moment of true time.
    func reading(at time: Int64) -> BootInstant {
        let passed = time - bootedAt - lost
        return BootInstant(nanoseconds: UInt64(offset + passed + passed * driftPPM / 1_000_000))
    }

    /// The true time at which it will show a reading, not before.
    func trueTime(of instant: BootInstant) -> Int64 {
        guard instant.nanoseconds < UInt64(Int64.max / 4) else { return Int64.max / 2 }
        let wanted = Int64(instant.nanoseconds) - offset
        // The quotient first, so that nothing overflows: a million seconds are 10^15 nanoseconds.
        let (whole, rest) = wanted.quotientAndRemainder(dividingBy: 1_000_000 + driftPPM)
        var time = bootedAt + lost + whole * 1_000_000 + rest * 1_000_000 / (1_000_000 + driftPPM)
        while reading(at: time) < instant { time += 1 }
        return time
    }
}

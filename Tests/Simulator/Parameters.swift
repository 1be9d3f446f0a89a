import Model

/// What one schedule is made of, drawn from its seed. Each schedule has only some kinds of faults, so that rare ones are
/// not drowned by frequent ones and long undisturbed stretches occur, too.
struct Parameters {
    let controllerCount: Int
    /// Whether several controllers could use the store; with one controller either kind is drawn.
    let isStoreShared: Bool
    let droneCount: Int
    let keyCount: Int
    let clientCount: Int
    let lease: LeaseTimes
    /// Seconds without use until a backend is swept; nil for backends that are never swept.
    let maxIdleSeconds: Int64?
    /// Seconds that a backend may live; nil for ever.
    let lifetimeSeconds: Int64?
    /// Seconds that a backend may take to become ready.
    let readinessTimeoutSeconds: UInt32
    /// How long faults happen, true nanoseconds.
    let chaosEnd: Int64
    /// Between two faults on the average, true nanoseconds.
    let faultInterval: Int64
    let faults: [Fault]
    /// Of a thousand connects, how many wait until the backend is ready.
    let waitReadyPerMille: Int
    /// Of a thousand notices of a shared store, how many get lost.
    let noticesLostPerMille: Int

    init(_ random: inout SeededRandom, favoured: Mutant?) {
        isStoreShared = favoured?.needsSharedStore ?? random.happens(400)
        controllerCount = isStoreShared ? 1 + random.below(3) : 1
        droneCount = 1 + random.below(2)
        keyCount = 2 + random.below(2)
        clientCount = 2 + random.below(2)
        lease = Self.drawLease(&random)
        maxIdleSeconds = random.happens(500) || favoured == .sweepUnasked ? random.draw(3...6) : nil
        lifetimeSeconds = random.happens(200) ? random.draw(5...15) : nil
        readinessTimeoutSeconds = UInt32(random.draw(4...8))
        chaosEnd = .seconds(favoured == nil ? random.draw(6...20) : random.draw(12...25))
        let drawn = Fault.allCases.filter { _ in random.happens(350) }
        if let needed = favoured?.favouredFaults, !needed.isEmpty {
            // Little else, and often.
            faults = drawn.filter { random.happens(200) && !needed.contains($0) } + needed
            faultInterval = .milliseconds(random.draw(400...1_500))
        } else {
            faults = drawn
            faultInterval = .milliseconds(random.draw(500...3_000))
        }
        waitReadyPerMille = random.happens(500) ? 300 : 0
        noticesLostPerMille = random.pick([0, 100, 1_000])
    }

    /// Short times in the proportions that are allowed, often with no more margin than is demanded.
    private static func drawLease(_ random: inout SeededRandom) -> LeaseTimes {
        let renew = random.draw(400...1_000)
        let soft = renew * random.draw(3...4)
        let hard = soft + random.draw(200...1_500)
        let least = (hard * 102 + 99) / 100
        let expiry = least + (random.happens(700) ? 0 : random.draw(0...1_000))
        do throws(InvalidValue) {
            return try LeaseTimes(renew: renew, soft: soft, hard: hard, expiry: expiry)
        } catch { preconditionFailure("drawn times are not in order: \(error)") }
    }
}

/// How long a drone may go on without word from its controller, and what follows when.
///
/// **Assumptions.** Drone and controller each have a clock that runs at nearly the right rate (`driftAllowance`) and
/// counts time asleep; the clocks' readings are never compared. Messages may be lost, late or repeated.
///
/// **Promise.** For a key, no process of an older lease runs once the controller has given the key to a newer one.
///
/// **Why it holds.** The drone counts its deadlines from the moment it *sends* a renewal; the controller counts its
/// expiry from the moment it *receives* that renewal, which is not earlier. As hard < expiry by more than the clocks
/// can drift apart in that time, the warden has killed every sandbox before the controller lets go of its keys.
public struct LeaseTimes: Hashable, Sendable, Codable {
    /// Between renewals, milliseconds. Several fit before `softMilliseconds`, so a lost one costs nothing.
    public var renewMilliseconds: Int64
    /// From the last acknowledged renewal's sending until backends are asked to end, milliseconds.
    public var softMilliseconds: Int64
    /// … until the warden kills them, milliseconds.
    public var hardMilliseconds: Int64
    /// From a renewal's receipt until the controller takes the keys away, milliseconds.
    public var expiryMilliseconds: Int64

    /// The reference's order with a shorter renewal: 10 s, 40 s, 50 s, 60 s.
    public static let standard = LeaseTimes(ordered: (10_000, 40_000, 50_000, 60_000))

    /// Most that the two clocks' rates may differ: 1 part in 100, far beyond what a crystal does.
    public static let driftAllowance = 0.01

    /// The longest hard deadline: what a warden keeps of a drone's word at most, ten minutes.
    public static let hardMaxMilliseconds: Int64 = 600_000

    /// Checks the order, which is what the promise rests on. All in milliseconds.
    public init(renew: Int64, soft: Int64, hard: Int64, expiry: Int64) throws(InvalidValue) {
        guard renew > 0, soft >= 3 * renew, hard > soft else {
            throw InvalidValue(
                field: "lease times",
                problem: "renew \(renew) ms, soft \(soft) ms, hard \(hard) ms: soft must be at least three renewals, "
                    + "and hard later than soft")
        }
        guard hard <= Self.hardMaxMilliseconds else {
            throw InvalidValue(
                field: "lease times",
                problem: "hard \(hard) ms is longer than a warden lets a sandbox go on, \(Self.hardMaxMilliseconds) ms")
        }
        guard Double(expiry) >= Double(hard) * (1 + 2 * Self.driftAllowance) else {
            throw InvalidValue(
                field: "lease times",
                problem: "expiry \(expiry) ms must be at least 2 % after hard, \(hard) ms, for clocks that drift")
        }
        renewMilliseconds = renew
        softMilliseconds = soft
        hardMilliseconds = hard
        expiryMilliseconds = expiry
    }

    /// Times whose order is plain to see.
    private init(ordered times: (renew: Int64, soft: Int64, hard: Int64, expiry: Int64)) {
        (renewMilliseconds, softMilliseconds, hardMilliseconds, expiryMilliseconds) = times
    }
}

/// How long to wait before the next attempt: twice as long each time, up to a bound, with jitter so that many drones do
/// not come back to a restarted controller in step.
package struct Backoff: Equatable, Sendable {
    private let first: Duration
    private let most: Duration
    private var upcoming: Duration

    /// - Parameters:
    ///   - first: the first wait, and the first after a success.
    ///   - most: no wait is longer.
    package init(first: Duration, most: Duration) {
        self.first = first
        self.most = most
        upcoming = first
    }

    /// The next wait. - Parameter jitter: 0…1; takes up to half of the wait away.
    package mutating func next(jitter: Double) -> Duration {
        let wait = upcoming
        upcoming = min(upcoming * 2, most)
        return wait * (1 - jitter / 2)
    }

    /// An attempt succeeded.
    package mutating func reset() { upcoming = first }
}

package import Linux

/// Since when nobody has used a backend.
///
/// The reference forgets requests in flight, so that a long download can be swept under its reader. Here a backend is in
/// use while any connection or request of it is open, and each start of one counts, however short it was.
///
/// Pure: activity is sampled by the caller, about once a second.
package struct IdleTracker: Equatable, Sendable {
    private var lastUse: BootInstant
    private var wasActive = false
    private var started: UInt64

    /// - Parameters:
    ///   - now: counts as a use.
    ///   - started: connections and requests so far.
    package init(now: BootInstant, started: UInt64 = 0) {
        lastUse = now
        self.started = started
    }

    /// What the proxy counts at a moment.
    /// - Parameters:
    ///   - active: connections and requests that are open or held.
    ///   - started: connections and requests ever; only ever grows.
    package mutating func sample(active: Int, started: UInt64, now: BootInstant) {
        // What was active at the last sample ended at some moment since; the latest one is assumed.
        if active > 0 || wasActive || started != self.started { touch(now: now) }
        wasActive = active > 0
        self.started = started
    }

    /// Somebody is about to come: a token was handed out.
    package mutating func touch(now: BootInstant) { lastUse = max(lastUse, now) }

    /// Whether nobody has used it for that long.
    package func isIdle(for duration: Duration, now: BootInstant) -> Bool { !wasActive && now - lastUse >= duration }
}

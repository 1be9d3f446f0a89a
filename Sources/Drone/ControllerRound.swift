import HTTP

/// Which controller is dialled next, and when: each of them soon after the other, and when none was any good, all again after
/// a pause that grows. Pure.
struct ControllerRound {
    private let urls: [HTTPURL]
    private var index = 0
    private var failures = 0
    private var times: ConnectionTimes
    private var pause: Backoff

    /// - Parameter urls: one or more.
    init(_ urls: [HTTPURL], _ times: ConnectionTimes) {
        precondition(!urls.isEmpty, "a drone has a controller")
        self.urls = urls
        self.times = times
        pause = Backoff(first: times.firstPause, most: times.longestPause)
    }

    /// Whom to dial.
    var current: HTTPURL { urls[index] }

    /// The present one was lost or could not be reached: the next one's turn.
    /// - Parameter jitter: 0…1.
    /// - Returns: how long to wait before it is dialled.
    mutating func next(jitter: Double) -> Duration {
        index = (index + 1) % urls.count
        failures += 1
        if failures % urls.count == 0 { return pause.next(jitter: jitter) }
        return times.firstPause * (1 - jitter / 2)
    }

    /// The present one took the drone: after a loss there is no reason to wait.
    mutating func succeeded(_ times: ConnectionTimes) {
        failures = 0
        self.times = times
        pause = Backoff(first: times.firstPause, most: times.longestPause)
    }
}

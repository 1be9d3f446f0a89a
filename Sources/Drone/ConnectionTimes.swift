package import Model

/// How patient a connection to a controller is: so much less than the lease that a connection on which nothing comes through
/// is noticed, and another one made, while the lease still holds. Pure.
///
/// With the standard times of a lease all of these are those that hold before one is known.
package struct ConnectionTimes: Equatable, Sendable {
    /// Between pings.
    package var ping: Duration
    /// A peer from which nothing at all has come for so long is given up.
    package var silence: Duration
    /// A handshake may take so long.
    package var dial: Duration
    /// A hello or a renewal that is not answered for so long shows that the peer answers pings and nothing else.
    package var answer: Duration
    /// From a loss to the next attempt.
    package var firstPause: Duration
    /// From one attempt to the next when all controllers have been tried again and again.
    package var longestPause: Duration

    /// Before a controller has said what its lease is.
    package static let first = ConnectionTimes(.standard)

    /// - Parameter lease: at least three renewals fit before its soft end.
    package init(_ lease: LeaseTimes) {
        let soft = Duration.milliseconds(lease.softMilliseconds)
        ping = min(.seconds(3), .milliseconds(lease.renewMilliseconds))
        silence = min(ping * 3, soft / 2)
        dial = min(.seconds(5), soft / 4)
        answer = min(.seconds(15), soft / 3)
        firstPause = min(.milliseconds(200), soft / 20)
        longestPause = min(.seconds(5), soft / 8)
    }
}

/// How long what waits. In milliseconds.
///
/// A controller that stops in the middle of a transaction holds everyone's lock. So the server ends its session after
/// `idleInTransaction`, and all that wait for the lock wait longer than that: they go on, and only it has failed.
package struct PostgresLimits: Sendable {
    /// Until the server lets a connection in.
    package var connect: Int64 = 5000
    /// For a server that has just gone away to come back, before jobs are told that it is away.
    package var patience: Int64 = 3000
    /// Between two attempts to connect.
    package var pause: Int64 = 100
    /// An open transaction without a statement, until the server ends the session.
    package var idleInTransaction: Int64 = 4000
    /// For the lock, until the server gives up.
    package var lock: Int64 = 8000
    /// Any statement, until the server gives up.
    package var statement: Int64 = 10_000
    /// For an answer, until the connection is given up: the server is gone, or stopped.
    package var answer: Int64 = 15_000
    /// Silence on the listener's connection, until it asks whether the server is there.
    package var ping: Int64 = 5000
    /// Without notices, after the server had no more room for them.
    package var quiet: Int64 = 10_000

    /// As the properties say.
    package init() {}
}

package import HTTP
package import Model
package import Store

/// All that a controller touches outside itself. The program gives it an event loop, a database and sockets; the simulator
/// a virtual clock, a store in memory and a network that loses things. What decides is the same code.
package struct ControllerPorts {
    /// When it is, and calls when it is later.
    package var clock: any LoopClock
    /// What is durable.
    package var store: any ControllerStore
    /// Random bytes, as many as asked for: ids, tokens and secrets are made of them.
    package var random: (Int) -> [UInt8]
    /// Takes a line of the log: level, event, fields.
    package var log: (Log.Level, String, KeyValuePairs<String, String>) -> Void

    /// - Parameters: as the properties say.
    package init(
        clock: any LoopClock, store: any ControllerStore, random: @escaping (Int) -> [UInt8],
        log: @escaping (Log.Level, String, KeyValuePairs<String, String>) -> Void
    ) {
        self.clock = clock
        self.store = store
        self.random = random
        self.log = log
    }
}

/// The store as the controller's thread uses it: a job runs elsewhere, in a transaction, and how it went is told here once
/// it is durable, in the order of the jobs.
package protocol ControllerStore: AnyObject {
    /// Whether other controllers use it, too; `Store.isShared`.
    var isShared: Bool { get }

    /// Runs a job. An error may mean, where the connection to the store broke, that it happened all the same.
    func perform<Value: Sendable>(
        _ job: @escaping @Sendable (any StoreTransaction) throws(StoreError) -> Value,
        then: @escaping (Result<Value, StoreError>) -> Void)
}

/// One drone's connection, as its controller sends on it. What comes in, and that it is closed, the controller is told by
/// whoever made the connection.
package protocol DroneSocket: AnyObject {
    /// Sends, in order; what does not arrive is made good by the next hello.
    func send(_ message: ControllerMessage)

    /// Closes it. `linkClosed` follows, later.
    func close(_ reason: String)
}

/// Whoever is owed the answer to a connect, and gets it once.
package protocol ConnectCaller: AnyObject {
    /// Whether nobody would hear the answer.
    var isGone: Bool { get }

    /// Grants it.
    func answer(_ response: ConnectResponse)

    /// Refuses it.
    func refuse(_ failure: Failure)
}

package import HTTP
import Linux
package import Model
import Proxy
package import WardenProtocol

/// All that a drone touches outside itself. The program gives it an event loop and sockets; the simulator a virtual clock,
/// a warden's ledger and a network that loses things. What decides is the same code.
package struct DronePorts {
    /// When it is, and calls when it is later.
    package var clock: any LoopClock
    /// Makes the connection to the warden; what comes on it is told to the closure.
    package var warden: (@escaping (WardenEvent) -> Void) -> any WardenPort
    /// Makes the connection to a controller; what comes on it is told to the closure.
    package var link: (@escaping (LinkEvent) -> Void) -> any LinkPort
    /// The proxy.
    package var proxy: ProxyPort
    /// Makes what asks a backend's port whether it is ready: of what it is told, whom it asks for a socket, and whom it
    /// tells each attempt's outcome.
    package var readiness:
        (SandboxPlan.Readiness, _ askSocket: @escaping () -> Void, _ onOutcome: @escaping (ReadinessOutcome) -> Void)
            -> any ReadinessPort
    /// Begins to read a backend's output, given its name; nil when it cannot be read.
    package var output: (OwnedDescriptor, String) -> (any OutputPort)?
    /// Random bytes, as many as asked for.
    package var random: (Int) -> [UInt8]
    /// Takes a line of the log.
    package var log: (String) -> Void

    /// - Parameters: as the properties say.
    package init(
        clock: any LoopClock, warden: @escaping (@escaping (WardenEvent) -> Void) -> any WardenPort,
        link: @escaping (@escaping (LinkEvent) -> Void) -> any LinkPort, proxy: ProxyPort,
        readiness:
            @escaping (
                SandboxPlan.Readiness, _ askSocket: @escaping () -> Void,
                _ onOutcome: @escaping (ReadinessOutcome) -> Void
            ) -> any ReadinessPort,
        output: @escaping (OwnedDescriptor, String) -> (any OutputPort)?, random: @escaping (Int) -> [UInt8],
        log: @escaping (String) -> Void
    ) {
        self.clock = clock
        self.warden = warden
        self.link = link
        self.proxy = proxy
        self.readiness = readiness
        self.output = output
        self.random = random
        self.log = log
    }
}

/// What a connection to the warden tells. Descriptors belong to whoever takes the event.
package enum WardenEvent {
    /// A connection is up: what the warden is, and all that it has. Requests are taken from now on.
    case connected(WardenWelcome, [ListedSandbox])
    /// What the warden offers has changed.
    case offers([ImageOffer])
    case spawned(BackendID, output: OwnedDescriptor?)
    case refused(BackendID, message: String)
    case exited(BackendID, SandboxExit)
    case sockets(BackendID, [OwnedDescriptor], message: String?)
    /// The connection is gone, or could not be made. It will be tried again.
    case disconnected(cause: String)
}

/// One sandbox of a warden's list.
package struct ListedSandbox {
    package let sandbox: SandboxListing
    package let output: OwnedDescriptor?

    /// - Parameters: as the properties say.
    package init(sandbox: SandboxListing, output: OwnedDescriptor?) {
        self.sandbox = sandbox
        self.output = output
    }
}

/// A connection to the warden, made again whenever it is lost.
package protocol WardenPort: AnyObject {
    /// Whether requests are taken.
    var isReady: Bool { get }
    /// Connects, now and whenever the connection is lost. Events come later, never from inside this call.
    func start()
    /// Ends the connection for good.
    func stop()
    /// Sends a request. Without a warden it is dropped: the next list says what is.
    func send(_ request: WardenRequest)
}

/// What the connection to a controller tells.
package enum LinkEvent {
    /// The socket is open. The drone sends its hello, first of all.
    case opened
    /// The controller said something.
    case received(ControllerMessage)
    /// The socket is gone or could not be opened. It will be tried again.
    case closed(cause: String)
}

/// A connection to one of the controllers, made again, perhaps to another one, whenever it is lost.
package protocol LinkPort: AnyObject {
    /// Dials, now and whenever the socket is lost.
    func start()
    /// Ends the connection for good.
    func stop()
    /// Begins again with a new hello. `closed` comes from inside this call.
    func redial(because cause: String)
    /// The controller is one that can be worked with: after a loss it is dialled again at once, and connections from the next
    /// one on are as patient as its lease allows.
    func confirmed(_ lease: LeaseTimes)
    /// Sends a message; without a connection it is dropped: the next hello says all.
    func send(_ message: DroneMessage)
}

/// What one attempt to reach a backend came to.
package enum ReadinessOutcome {
    case answered
    /// What happened, without a full stop.
    case failed(String)
}

/// Asks a backend's port again and again until it answers.
package protocol ReadinessPort: AnyObject {
    /// Begins.
    func start()
    /// Ends it; nothing more is called.
    func stop()
    /// A socket of the backend's network namespace has come. One that nobody waits for is closed.
    func give(_ socket: OwnedDescriptor)
}

/// Reads one backend's output.
package protocol OutputPort: AnyObject {
    /// Reads what is left, when the backend has ended, and gives the last of it.
    func finish() -> String
}

import HTTP
import Linux
import Model
import Proxy
import WardenProtocol

/// One backend of this drone: its life, and what the drone holds open for it.
final class HostedBackend {
    let id: BackendID
    let image: ImageName
    let fencingToken: FencingToken
    let keyName: String
    let maxIdle: Duration?
    /// The order, until the spawn request has been sent.
    var order: SpawnOrder?
    var lifecycle: BackendLifecycle
    /// What the proxy counts for it.
    let activity = BackendActivity()
    /// Since when nobody has used it; starts anew when it becomes ready.
    var idle: IdleTracker
    /// The number of the last connect that the controller told of.
    var connects: Int64 = 0
    /// When the controller was last asked whether it may be swept.
    var sweepAskedAt: BootInstant?
    var debts = SocketDebts(requestMax: Socket.packetDescriptorsMax)
    var output: (any OutputPort)?
    var readiness: (any ReadinessPort)?
    var timer: TimerToken?
    /// When its state was last sent to the controller.
    var reportedAt: BootInstant
    /// What was last told of its traffic.
    var toldTraffic: BackendTraffic?

    init(_ order: SpawnOrder, id: BackendID, image: ImageName, terms: BackendLifecycle.Terms, now: BootInstant) {
        self.id = id
        self.image = image
        fencingToken = FencingToken(order.fencingToken)
        keyName = order.keyName
        maxIdle = order.maxIdleSeconds.map(Duration.seconds)
        self.order = order
        lifecycle = BackendLifecycle(terms: terms)
        idle = IdleTracker(now: now)
        reportedAt = now
    }

    /// A sandbox that ran before this drone process did.
    init(_ listing: SandboxListing, _ note: BackendNote, timeoutSeconds: UInt32, now: BootInstant) {
        id = listing.backend
        image = listing.image
        fencingToken = listing.fencingToken
        keyName = note.keyName
        maxIdle = note.maxIdleSeconds.map(Duration.seconds)
        lifecycle = BackendLifecycle(
            adopting: note.terms(timeoutSeconds: timeoutSeconds),
            startupDeadline: BootInstant(nanoseconds: note.startupDeadline), now: now)
        idle = IdleTracker(now: now)
        reportedAt = now
    }

    /// Somebody is about to come: the controller told of a connect.
    func connected(_ number: Int64, now: BootInstant) {
        connects = max(connects, number)
        idle.touch(now: now)
    }

    /// Lets the proxy's threads serve it until then, whatever becomes of the drone's own loop.
    func admit(until deadline: BootInstant) {
        let before = activity.leaseDeadline
        // Only ever forward, as the warden's; the threads rely on that.
        activity.leaseDeadline = before == .max ? deadline.nanoseconds : max(before, deadline.nanoseconds)
    }

    /// Whether tokens may lead to it.
    var reach: RouteBook.Reach { lifecycle.status < .terminating ? .reachable : .unreachable }

    /// What the controller is told of it.
    var report: BackendReport {
        BackendReport(backend: id.text, fencingToken: fencingToken.value, state: lifecycle.state)
    }

    /// `NAME=VALUE` for the sandbox: the order's, then ours, which win as they do in the reference.
    static func environment(_ order: SpawnOrder, port: UInt16) -> [String] {
        var environment = order.environment
        environment["PORT"] = String(port)
        environment["SESSION_BACKEND_ID"] = order.backend
        environment["SESSION_BACKEND_KEY"] = order.keyName
        environment["SESSION_BACKEND_FENCING_TOKEN"] = String(order.fencingToken)
        environment["SESSION_BACKEND_STATIC_TOKEN"] = order.staticToken
        return environment.map { "\($0.key)=\($0.value)" }.sorted()
    }
}

import Linux
import Model
import Store

/// Names one drone connection for the life of the controller.
struct LinkID: Hashable, Sendable {
    let number: UInt64
}

/// A drone that can take orders now.
struct LinkedDrone: Hashable, Sendable {
    let name: DroneName
    let cluster: ClusterName
    let pool: String
    /// What it can start, and the most that a request may ask of each.
    let images: [ImageName: ResourceCeilings]
    var willingness: Willingness
    let version: String
}

/// Which drones are there, and when one that is silent has to be given up. Pure: time comes in as a parameter.
///
/// **Assumptions.** A session's lease counts from the moment a hello or renewal is *received* here; the drone counts
/// its own from when it *sent* it, which is not later. Both clocks run at the same rate but for
/// `LeaseTimes.driftAllowance`.
///
/// **Promise.** `expire` names a drone only when the warden there has passed its hard deadline for every backend, so
/// that its keys may be given away. A renewal that arrives afterwards is refused, even if the timer that should have
/// noticed the end is late: what decides is the time, not the timer.
///
/// A controller that starts knows nothing of renewals its predecessor received a moment ago. So every drone that has
/// live backends then gets a full lease from the start.
struct SessionTable {
    private struct Session {
        /// The drone process; nil when only the database told of the drone.
        var process: String?
        var lastHeard: BootInstant
        var phase: Phase
    }

    private enum Phase {
        /// No connection.
        case silent
        /// It said hello; what it said is being recorded.
        case greeting(LinkID)
        /// It was welcomed and takes orders.
        case linked(LinkID, LinkedDrone)

        var link: LinkID? {
            switch self {
            case .silent: nil
            case .greeting(let link), .linked(let link, _): link
            }
        }
    }

    private let expiry: Duration
    private var sessions: [DroneName: Session] = [:]

    /// Drones that can take orders, by name. Kept so that a connect need not build it.
    private(set) var linked: [LinkedDrone] = []

    /// - Parameters:
    ///   - lease: only its expiry matters here.
    ///   - known: drones that have backends from before.
    ///   - now: when this controller started to listen.
    init(lease: LeaseTimes, known: [DroneName], now: BootInstant) {
        expiry = .milliseconds(lease.expiryMilliseconds)
        for name in known { sessions[name] = Session(process: nil, lastHeard: now, phase: .silent) }
    }

    /// What becomes of a hello.
    enum Hello: Equatable {
        /// It is the drone's connection now; an older one of the same process is to be closed.
        case accepted(replacing: LinkID?)
        /// Another process of that name has an open connection. Both cannot be the drone: each would be told that the
        /// other's backends are lost.
        case nameInUse
    }

    mutating func hello(_ name: DroneName, process: String, link: LinkID, now: BootInstant) -> Hello {
        let old = sessions[name]
        if let open = old?.phase.link, old?.process != process {
            precondition(open != link, "a link says hello once")
            return .nameInUse
        }
        sessions[name] = Session(process: process, lastHeard: now, phase: .greeting(link))
        collectLinked()
        return .accepted(replacing: old?.phase.link)
    }

    /// Its hello is recorded. - Returns: whether the link is still the drone's, so that it may be welcomed.
    mutating func welcome(_ drone: LinkedDrone, link: LinkID) -> Bool {
        guard case .greeting(link) = sessions[drone.name]?.phase else { return false }
        sessions[drone.name]?.phase = .linked(link, drone)
        collectLinked()
        return true
    }

    /// What becomes of a renewal.
    enum Renewal: Equatable {
        /// Its lease counts from now.
        case renewed
        /// Its time was over before this arrived; the link is to be closed, so that the drone says hello anew.
        case expired
        /// The link is not the drone's any more.
        case superseded
    }

    mutating func renew(_ name: DroneName, link: LinkID, now: BootInstant) -> Renewal {
        guard let session = sessions[name], session.phase.link == link else { return .superseded }
        guard now < session.lastHeard + expiry else { return .expired }
        sessions[name]?.lastHeard = now
        return .renewed
    }

    /// A connection is over. The session goes on: the drone has until its expiry to return.
    mutating func closed(_ name: DroneName, link: LinkID) {
        guard sessions[name]?.phase.link == link else { return }
        sessions[name]?.phase = .silent
        collectLinked()
    }

    /// Changes whether a drone takes backends, if it is linked.
    mutating func set(_ willingness: Willingness, of name: DroneName) {
        guard case .linked(let link, var drone) = sessions[name]?.phase else { return }
        drone.willingness = willingness
        sessions[name]?.phase = .linked(link, drone)
        collectLinked()
    }

    /// A drone whose time is over, and the connection it may still have.
    struct Expired: Equatable {
        let name: DroneName
        let link: LinkID?
    }

    /// Forgets the sessions whose time is over; their backends are lost.
    mutating func expire(now: BootInstant) -> [Expired] {
        let over = sessions.filter { now >= $0.value.lastHeard + expiry }
        if over.isEmpty { return [] }
        for name in over.keys { sessions[name] = nil }
        collectLinked()
        return over.map { Expired(name: $0.key, link: $0.value.phase.link) }.sorted { $0.name.text < $1.name.text }
    }

    /// Whether the drone holds a lease. If not, nothing that is placed on it can run.
    func holdsLease(_ name: DroneName) -> Bool { sessions[name] != nil }

    /// The connection that a drone takes orders on.
    func link(of name: DroneName) -> LinkID? {
        guard case .linked(let link, _) = sessions[name]?.phase else { return nil }
        return link
    }

    /// How long ago the drone was heard of.
    func silence(of name: DroneName, now: BootInstant) -> Duration? {
        sessions[name].map { now - $0.lastHeard }
    }

    private mutating func collectLinked() {
        linked = sessions.values.compactMap {
            if case .linked(_, let drone) = $0.phase { drone } else { nil }
        }.sorted { $0.name.text < $1.name.text }
    }
}

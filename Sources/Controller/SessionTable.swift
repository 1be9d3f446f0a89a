package import Linux
package import Model
package import Store

/// Which drones there are, which session each holds, and when one that is silent has to be given up. Pure: time comes in as
/// a parameter, and so does all that was read.
///
/// **Assumptions.** This controller's boot clock and each drone's run at the same rate but for
/// `LeaseTimes.driftAllowance`; their readings are never compared. A drone counts its deadlines from the *sending* of the
/// newest hello or renewal that was acknowledged. Completions of the store come in the order of their jobs.
///
/// **Promise.** `expire` names a session only when, if nobody renewed it since, the warden there has passed its hard
/// deadline for every backend. Whether nobody did is asked again in the transaction that ends it.
///
/// **Why it holds.** With an exclusive store renewals are acknowledged by this table alone. Each moves `observedAt` to its
/// receipt, which is not earlier than its sending; once a session is named, none is acknowledged any more. With a shared
/// store one is acknowledged after it was recorded, by whichever controller. `observedAt` is then the moment after the read
/// returned that first gave the present count of renewals: each counted renewal had been sent by then. A later one
/// changes the count, so that the session is not ended, or comes after its end and is not acknowledged. So in both cases
/// no acknowledged word of the drone was sent after `observedAt`, and `expiry` exceeds the hard deadline by more than clocks
/// drift.
///
/// A controller that starts has seen every count only now. So every session gets a full lease from it.
package struct SessionTable {
    /// Whether other controllers write to the store.
    package enum Sharing: Sendable {
        /// None does: what this one heard is all there is to know.
        case exclusive
        /// Others may.
        case shared
    }

    private struct Drone {
        var row: DroneRow
        var images: [ImageName: ResourceCeilings]
        /// When the present count of renewals was seen first, or a renewal came here since.
        var observedAt: BootInstant
        var line = Line.none
        var end = End.none
    }

    private enum Line {
        case none
        /// Its hello is being recorded.
        case greeting(LinkID)
        /// It was welcomed and takes orders.
        case linked(LinkID)

        var link: LinkID? {
            switch self {
            case .none: nil
            case .greeting(let link), .linked(let link): link
            }
        }
    }

    /// How far the end of a session has come.
    private enum End {
        case none
        /// Its time is over; its end could not be recorded yet.
        case due
        /// That it ends is being recorded.
        case underWay
    }

    private struct Beats {
        var count: Int64
        var observedAt: BootInstant
    }

    private let name: ControllerName
    private let sharing: Sharing
    private let expiry: Duration
    /// After that a drone asks its backends to end, so nobody is sent to them.
    private let silence: Duration
    private var drones: [DroneName: Drone] = [:]
    /// Connections whose hello is being recorded, of drones that nobody knew before.
    private var newcomers: [DroneName: LinkID] = [:]
    private var controllers: [ControllerName: Beats] = [:]
    private var cachedView: (view: DroneView, at: BootInstant)?
    package var defects: ProtocolDefects = []

    /// - Parameters:
    ///   - lease: its expiry and its soft deadline matter here.
    ///   - name: of the controller whose table this is.
    ///   - sharing: whether there are others.
    package init(lease: LeaseTimes, name: ControllerName, sharing: Sharing) {
        self.name = name
        self.sharing = sharing
        expiry = .milliseconds(lease.expiryMilliseconds)
        silence = .milliseconds(lease.softMilliseconds)
    }

    // MARK: What was read

    /// Takes a drone's row. - Parameter now: not before the read that gave it had returned.
    package mutating func observe(_ row: DroneRow, now: BootInstant) {
        cachedView = nil
        guard var drone = drones[row.name] else {
            var drone = Drone(row: row, images: row.greeting.ceilings, observedAt: now)
            if let link = newcomers.removeValue(forKey: row.name) { drone.line = .greeting(link) }
            if defects.contains(.restartForgetsSessions), row.session != nil { drone.end = .due }
            drones[row.name] = drone
            return
        }
        if drone.row.session != row.session || drone.row.renewals != row.renewals {
            drone.observedAt = max(now, drone.observedAt)
            drone.end = .none
        }
        if drone.row.greeting.images != row.greeting.images { drone.images = row.greeting.ceilings }
        drone.row = row
        drones[row.name] = drone
    }

    /// Takes all rows there are: a drone that is not among them was deleted.
    package mutating func observeAll(_ rows: [DroneRow], now: BootInstant) {
        for row in rows { observe(row, now: now) }
        let names = Set(rows.map(\.name))
        drones = drones.filter { names.contains($0.key) || $0.value.line.link != nil }
        cachedView = nil
    }

    /// Takes the other controllers' rows.
    package mutating func observe(_ rows: [ControllerRow], now: BootInstant) {
        var seen: [ControllerName: Beats] = [:]
        for row in rows {
            let old = controllers[row.name]
            seen[row.name] = old?.count == row.beats ? old : Beats(count: row.beats, observedAt: now)
        }
        controllers = seen
        cachedView = nil
    }

    // MARK: Links

    /// A drone said hello; what it said goes to be recorded. - Returns: its older connection, which is to be closed now, as
    /// both are of one machine; nil when there is none, or when it is for the record to say who is the drone.
    package mutating func greeting(_ name: DroneName, machine: MachineIdentity, link: LinkID) -> LinkID? {
        guard var drone = drones[name] else { return newcomers.updateValue(link, forKey: name) }
        let old = drone.line.link
        if old != nil, drone.row.greeting.machine != machine { return nil }
        drone.line = .greeting(link)
        drones[name] = drone
        cachedView = nil
        return old
    }

    /// A hello was not taken.
    package mutating func refused(_ name: DroneName, link: LinkID) { _ = closed(name, link: link) }

    /// What a recorded hello comes to.
    package enum Welcome: Equatable {
        /// It is the drone's connection; an older one, if any, is to be closed.
        case linked(replacing: LinkID?)
        /// A newer hello came meanwhile, or the connection was lost.
        case superseded
    }

    /// A hello is recorded. - Parameters:
    ///   - row: as it left it.
    ///   - now: not before the record had returned.
    package mutating func welcome(_ row: DroneRow, link: LinkID, isOpen: Bool, now: BootInstant) -> Welcome {
        observe(row, now: now)
        guard var drone = drones[row.name] else { preconditionFailure("a drone that was observed is known") }
        // Also where another controller's reading came between: the hello was sent before it was recorded.
        drone.observedAt = max(drone.observedAt, now)
        drone.end = .none
        let old = drone.line.link
        let isNewest: Bool =
            switch drone.line {
            case .greeting(let newest): newest == link
            case .linked(let present): present < link
            case .none: true
            }
        guard isNewest, isOpen else {
            if old == link { drone.line = .none }
            drones[row.name] = drone
            return .superseded
        }
        drone.line = .linked(link)
        drones[row.name] = drone
        return .linked(replacing: old == link ? nil : old)
    }

    /// What becomes of a renewal.
    package enum Renewal: Equatable {
        /// It is to be acknowledged.
        case renewed
        /// It is to be recorded for this session, and acknowledged when that has happened.
        case toRecord(SessionNumber)
        /// Its time was over before this arrived; the link is to be closed, so that the drone says hello anew.
        case expired
        /// The link is not the drone's any more.
        case superseded
    }

    package mutating func renew(_ name: DroneName, link: LinkID, now: BootInstant) -> Renewal {
        guard let drone = drones[name], case .linked(link) = drone.line else { return .superseded }
        if defects.contains(.renewalRevivesExpired), drone.row.session == nil || isOver(drone, now) { return .renewed }
        guard let session = drone.row.session else { return .superseded }
        if sharing == .shared { return .toRecord(session) }
        if isOver(drone, now) { return .expired }
        drones[name]?.observedAt = now
        return .renewed
    }

    /// A renewal is durable. - Returns: whether the link still is the drone's, so that it may be told.
    package mutating func renewalRecorded(_ name: DroneName, link: LinkID, now: BootInstant) -> Bool {
        guard let drone = drones[name], case .linked(link) = drone.line else { return false }
        drones[name]?.observedAt = now
        return true
    }

    /// A connection is over. The session goes on: the drone has until its expiry to return.
    /// - Returns: whether it was the drone's.
    package mutating func closed(_ name: DroneName, link: LinkID) -> Bool {
        if newcomers[name] == link { newcomers[name] = nil }
        guard drones[name]?.line.link == link else { return false }
        drones[name]?.line = .none
        cachedView = nil
        return true
    }

    /// The connection that a drone takes orders on.
    package func link(of name: DroneName) -> LinkID? {
        guard case .linked(let link) = drones[name]?.line else { return nil }
        return link
    }

    /// Drones that take orders here, by name.
    package var linked: [DroneName] {
        drones.values.compactMap { if case .linked = $0.line { $0.row.name } else { nil } }.sorted { $0.text < $1.text }
    }

    // MARK: The end of sessions

    /// A session whose time is over, as it was seen.
    package struct Over: Equatable, Sendable {
        package let drone: DroneName
        package let session: SessionNumber
        package let renewals: Int64
    }

    /// The sessions that are to be ended now, by name of their drones. Each is named once, until it is known what came of it.
    package mutating func expire(now: BootInstant) -> [Over] {
        var over: [Over] = []
        for (name, drone) in drones where drone.end != .underWay && isOver(drone, now) {
            guard let session = drone.row.session else { continue }
            over.append(Over(drone: name, session: session, renewals: drone.row.renewals))
        }
        for end in over { drones[end.drone]?.end = .underWay }
        if !over.isEmpty { cachedView = nil }
        return over.sorted { $0.drone.text < $1.drone.text }
    }

    /// A session has ended for good. - Returns: the connection that it had.
    package mutating func ended(_ over: Over) -> LinkID? {
        guard let drone = drones[over.drone], drone.row.session == over.session else { return nil }
        drones[over.drone]?.row.session = nil
        drones[over.drone]?.end = .none
        cachedView = nil
        if defects.contains(.renewalRevivesExpired) { return nil }
        drones[over.drone]?.line = .none
        return drone.line.link
    }

    /// A session was renewed since it was seen, or another controller ended it: nothing is known of it now.
    package mutating func isNotAsSeen(_ over: Over, now: BootInstant) {
        guard let drone = drones[over.drone], drone.row.session == over.session, drone.end == .underWay else { return }
        drones[over.drone]?.end = .none
        drones[over.drone]?.observedAt = now
        cachedView = nil
    }

    /// The end could not be recorded: it will be named again. Until then it stays unrenewed.
    package mutating func endFailed(_ over: Over) {
        if drones[over.drone]?.end == .underWay { drones[over.drone]?.end = .due }
    }

    private func isOver(_ drone: Drone, _ now: BootInstant) -> Bool {
        drone.row.session != nil && (drone.end != .none || now >= drone.observedAt + expiry(of: drone))
    }

    /// A controller with longer times, an earlier run of this one perhaps, may have granted more.
    private func expiry(of drone: Drone) -> Duration { max(expiry, .milliseconds(drone.row.leaseMilliseconds)) }

    // MARK: Health

    /// Whether a drone can be expected to answer.
    package enum Health: Equatable, Sendable {
        /// It takes orders here.
        case linked(LinkID)
        /// It takes orders from another controller, which is there.
        case elsewhere(ControllerName)
        /// It holds a session, and nobody has heard of it for some time.
        case silent
        /// It holds no session.
        case away
    }

    package func health(of name: DroneName, now: BootInstant) -> Health {
        drones[name].map { health($0, now) } ?? .away
    }

    private func health(_ drone: Drone, _ now: BootInstant) -> Health {
        guard drone.row.session != nil else { return .away }
        guard drone.end == .none, now - drone.observedAt < silence else { return .silent }
        switch drone.line {
        case .linked(let link): return .linked(link)
        case .greeting: return .silent
        case .none: break
        }
        guard sharing == .shared, let other = drone.row.controller, other != name, isThere(other, now) else {
            return .silent
        }
        return .elsewhere(other)
    }

    /// Whether another controller has beaten lately, or was first seen lately.
    private func isThere(_ controller: ControllerName, _ now: BootInstant) -> Bool {
        guard let beats = controllers[controller] else { return false }
        return now - beats.observedAt < ControllerConfiguration.beatInterval * 3
    }

    /// Whether a drone holds exactly that session, as far as is known here, and its end is not near.
    package func holds(_ name: DroneName, _ session: SessionNumber) -> Bool {
        guard let drone = drones[name] else { return false }
        return drone.row.session == session && drone.end == .none
    }

    /// What is known of a drone.
    package func row(of name: DroneName) -> DroneRow? { drones[name]?.row }

    /// How long ago the drone was heard of.
    package func silence(of name: DroneName, now: BootInstant) -> Duration? {
        drones[name].map { now - $0.observedAt }
    }

    /// How long until a session is over if nobody renews it.
    package func timeLeft(of name: DroneName, now: BootInstant) -> Duration? {
        drones[name].flatMap { $0.row.session == nil ? nil : max(.zero, $0.observedAt + expiry(of: $0) - now) }
    }

    /// The drones as jobs see them. May be up to a quarter of a second old: what they decide by is read again.
    package mutating func view(now: BootInstant) -> DroneView {
        if let (view, at) = cachedView, now - at < .milliseconds(250) { return view }
        let known = drones.values.map { drone in
            KnownDrone(
                greeting: drone.row.greeting, images: drone.images, willingness: drone.row.willingness,
                session: drone.row.session, isHeard: isHeard(drone, now))
        }
        let view = DroneView(known.sorted { $0.name.text < $1.name.text })
        cachedView = (view, now)
        return view
    }

    private func isHeard(_ drone: Drone, _ now: BootInstant) -> Bool {
        switch health(drone, now) {
        case .linked, .elsewhere: true
        case .silent, .away: false
        }
    }

    /// Changes whether a drone takes backends.
    package mutating func set(_ willingness: Willingness, of name: DroneName) {
        drones[name]?.row.willingness = willingness
        cachedView = nil
    }
}

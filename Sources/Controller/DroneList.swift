import Linux
import Model
import Store

/// `/ctrl/drones`, added to the reference's API: one page of all drones that are known, by name.
struct DroneList: Encodable {
    var drones: [Drone]
    /// The `after` of the next page; null on the last.
    var next: String?

    struct Drone: Encodable {
        var name: String
        var cluster: String
        var pool: String
        var version: String
        /// Whose sandboxes it speaks for.
        var machine: String
        /// Its session's number; null when it holds none.
        var session: Int64?
        var state: State
        /// The controller that it is connected to; null when it is to none.
        var controller: String?
        /// Whole seconds since it was heard of, by this controller's clock; null when it was not since the controller
        /// started and it holds no session.
        var heardSecondsAgo: Int64?
        var draining: Bool
        /// Seconds until what it still has is asked to end; null when nothing is to happen.
        var drainEndsInSeconds: Int64?
        var backends: Int64
        /// What its backends were promised together.
        var promised: ResourceAmount
        /// What it has for promises; null when it does not say.
        var capacity: ResourceAmount?
        var images: [String]

        enum State: String, Encodable {
            /// It takes orders.
            case linked
            /// It holds a session, and nobody has heard of it for some time.
            case silent
            /// It holds no session: what it ran is given up.
            case lost
        }

        enum CodingKeys: String, CodingKey {
            case name
            case cluster
            case pool
            case version
            case machine
            case session
            case state
            case controller
            case heardSecondsAgo = "heard_seconds_ago"
            case draining
            case drainEndsInSeconds = "drain_ends_in_seconds"
            case backends
            case promised
            case capacity
            case images
        }
    }

    enum CodingKeys: String, CodingKey {
        case drones
        case next
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(drones, forKey: .drones)
        // Present as null on the last page.
        try container.encode(next, forKey: .next)
    }
}

extension DroneList.Drone {
    /// - Parameters:
    ///   - row: as the store has it.
    ///   - health: as this controller sees it.
    ///   - silence: since this controller heard of it.
    ///   - here: this controller.
    ///   - nowMilliseconds: the store's clock, since 1970.
    init(
        _ row: DroneRow, health: SessionTable.Health, silence: Duration?, here: ControllerName, nowMilliseconds: Int64
    ) {
        name = row.name.text
        cluster = row.greeting.cluster.text
        pool = row.greeting.pool
        version = row.greeting.version
        machine = row.greeting.machine.text
        session = row.session?.value
        switch health {
        case .linked: (state, controller) = (.linked, here.text)
        case .elsewhere(let other): (state, controller) = (.linked, other.text)
        case .silent: (state, controller) = (.silent, nil)
        case .away: (state, controller) = (.lost, nil)
        }
        heardSecondsAgo = session == nil ? nil : silence?.components.seconds
        draining = row.willingness.isDraining
        if case .draining(let end?) = row.willingness {
            drainEndsInSeconds = max(0, (end - nowMilliseconds + 999) / 1000)
        }
        backends = row.backendCount
        promised = row.promised
        capacity = row.greeting.capacity == .unbounded ? nil : row.greeting.capacity
        images = row.greeting.images.map(\.name)
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(name, forKey: .name)
        try container.encode(cluster, forKey: .cluster)
        try container.encode(pool, forKey: .pool)
        try container.encode(version, forKey: .version)
        try container.encode(machine, forKey: .machine)
        // Present as null where there is nothing, all of them.
        try container.encode(session, forKey: .session)
        try container.encode(state, forKey: .state)
        try container.encode(controller, forKey: .controller)
        try container.encode(heardSecondsAgo, forKey: .heardSecondsAgo)
        try container.encode(draining, forKey: .draining)
        try container.encode(drainEndsInSeconds, forKey: .drainEndsInSeconds)
        try container.encode(backends, forKey: .backends)
        try container.encode(promised, forKey: .promised)
        try container.encode(capacity, forKey: .capacity)
        try container.encode(images, forKey: .images)
    }
}

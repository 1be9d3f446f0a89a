import HTTP
import Linux
import Model
import Store

/// What is asked about drones and controllers, and of them.
extension ControllerAPI {
    func drain(_ cluster: ClusterName, _ drone: DroneName, _ drain: Controller.Drain, _ caller: Caller) {
        controller.drain(drone, in: cluster, drain) { result in Self.answer(result, drone, caller) }
    }

    func undrain(_ cluster: ClusterName, _ drone: DroneName, _ caller: Caller) {
        controller.undrain(drone, in: cluster) { result in Self.answer(result, drone, caller) }
    }

    private static func answer(
        _ result: Result<Controller.WillingnessChange, StoreError>, _ drone: DroneName, _ caller: Caller
    ) {
        switch result {
        case .failure(let error): caller.refuse(error)
        case .success(.unknownDrone): caller.refuse(.noDrone(drone.text))
        case .success(.changed): caller.answer(Answer.json(["updated": true]))
        case .success(.asItWas): caller.answer(Answer.json(["updated": false]))
        }
    }

    func listDrones(_ query: QueryReader, _ caller: Caller) throws(Failure) {
        let limit = try query.limit()
        let after = try query.checked("after") { (text, field) throws(InvalidValue) in
            try DroneName(text, field: field)
        }
        read(
            caller,
            { store throws(StoreError) in
                (rows: try store.drones(after: after, limit: limit), now: store.nowMilliseconds)
            }
        ) { [controller] (page) throws(Failure) in
            let drones = page.rows.map { row in
                DroneList.Drone(
                    row, health: controller.sessions.health(of: row.name, now: controller.clock.now),
                    silence: controller.sessions.silence(of: row.name, now: controller.clock.now),
                    here: controller.name,
                    nowMilliseconds: page.now)
            }
            return Answer.json(
                DroneList(drones: drones, next: page.rows.count == limit ? page.rows.last?.name.text : nil))
        }
    }

    func listControllers(_ caller: Caller) {
        let (name, version) = (controller.name, controller.configuration.version)
        read(
            caller,
            { store throws(StoreError) in
                ControllerList(try store.controllers(), here: name, version: version, now: store.nowMilliseconds)
            }
        ) { (list) throws(Failure) in Answer.json(list) }
    }

    /// The reference's list of a cluster's drones.
    func answerState(_ cluster: ClusterName, _ caller: Caller) {
        read(
            caller,
            { store throws(StoreError) in
                var rows: [DroneRow] = []
                while true {
                    let page = try store.drones(after: rows.last?.name, limit: 1000)
                    rows += page
                    if page.count < 1000 { return rows.filter { $0.greeting.cluster == cluster } }
                }
            }
        ) { [weak self] (rows) throws(Failure) in
            Answer.json(ClusterState(drones: rows.compactMap { self?.state(of: $0) }))
        }
    }

    /// - Returns: nil for a drone that nobody hears.
    private func state(of row: DroneRow) -> ClusterState.Drone? {
        let now = controller.clock.now
        switch controller.sessions.health(of: row.name, now: now) {
        case .linked, .elsewhere: break
        case .silent, .away: return nil
        }
        return ClusterState.Drone(
            draining: row.willingness.isDraining,
            lastHeartbeatAge: controller.sessions.silence(of: row.name, now: now)?.components.seconds ?? 0,
            backendCount: row.backendCount,
            node: ClusterState.Node(
                name: ["Drone": row.name.text], planeVersion: row.greeting.version, planeHash: "unknown",
                controller: row.controller?.text ?? controller.name.text))
    }
}

import Model
import Store

/// Drones, their sessions, and the controllers that they are connected to.
extension MemoryTransaction {
    func drone(_ name: DroneName) throws(StoreError) -> DroneRow? { database.drones[name] }

    func drones(after name: DroneName?, limit: Int) throws(StoreError) -> [DroneRow] {
        let names = database.drones.keys.filter { each in name.map { $0.text < each.text } ?? true }
        return names.sorted { $0.text < $1.text }.prefix(limit).compactMap { database.drones[$0] }
    }

    func greet(
        _ greeting: DroneGreeting, by controller: ControllerName, leaseMilliseconds: Int64
    ) throws(StoreError) -> DroneRow {
        var greeting = greeting
        greeting.capacity = greeting.capacity.stored
        var row =
            database.drones[greeting.name] ?? DroneRow(greeting: greeting, session: nil, renewals: 0, controller: nil)
        row.leaseMilliseconds = row.session == nil ? leaseMilliseconds : max(row.leaseMilliseconds, leaseMilliseconds)
        row.session = row.session ?? database.nextSession()
        row.greeting = greeting
        row.renewals += 1
        row.controller = controller
        row.seenMilliseconds = nowMilliseconds
        database.set(row, for: row.name)
        return row
    }

    func renew(
        _ drone: DroneName, _ session: SessionNumber, by controller: ControllerName
    ) throws(StoreError) -> Bool {
        guard var row = database.drones[drone], row.session == session, row.controller == controller else {
            return false
        }
        row.renewals += 1
        row.seenMilliseconds = nowMilliseconds
        database.set(row, for: drone)
        return true
    }

    func endSession(
        of drone: DroneName, _ session: SessionNumber, renewals: Int64
    ) throws(StoreError) -> Bool {
        guard var row = database.drones[drone], row.session == session, row.renewals == renewals else { return false }
        row.session = nil
        database.set(row, for: drone)
        return true
    }

    func unlink(_ drone: DroneName, from controller: ControllerName) throws(StoreError) {
        guard var row = database.drones[drone], row.controller == controller else { return }
        row.controller = nil
        database.set(row, for: drone)
    }

    func seen(_ drones: [DroneName]) throws(StoreError) {
        for drone in drones {
            guard var row = database.drones[drone] else { continue }
            row.seenMilliseconds = nowMilliseconds
            database.set(row, for: drone)
        }
    }

    func set(
        _ willingness: Willingness, of drone: DroneName, in cluster: ClusterName
    ) throws(StoreError) -> Willingness? {
        guard var row = database.drones[drone], row.greeting.cluster == cluster else { return nil }
        let before = row.willingness
        row.willingness = willingness
        if before != willingness { database.set(row, for: drone) }
        return before
    }

    func deleteDrones(seenBefore milliseconds: Int64, limit: Int) throws(StoreError) -> Int {
        let away = database.drones.values
            .filter { $0.seenMilliseconds < milliseconds && database.countOnDrone[$0.name, default: 0] == 0 }
            .map(\.name).sorted { $0.text < $1.text }.prefix(limit)
        for name in away { database.set(nil, for: name) }
        return away.count
    }

    // MARK: Controllers

    func beat(_ controller: ControllerName, version: String) throws(StoreError) {
        let beats = database.controllers[controller]?.beats ?? 0
        database.set(
            ControllerRow(name: controller, version: version, beats: beats + 1, seenMilliseconds: nowMilliseconds),
            for: controller)
    }

    func controllers() throws(StoreError) -> [ControllerRow] {
        database.controllers.values.sorted { $0.name.text < $1.name.text }
    }

    func leave(_ controller: ControllerName) throws(StoreError) {
        if database.controllers[controller] != nil { database.set(nil, for: controller) }
        for (name, drone) in database.drones where drone.controller == controller {
            try unlink(name, from: controller)
        }
    }

    func deleteControllers(seenBefore milliseconds: Int64, limit: Int) throws(StoreError) -> Int {
        let silent = database.controllers.values.filter { $0.seenMilliseconds < milliseconds }
            .map(\.name).sorted { $0.text < $1.text }.prefix(limit)
        for name in silent { try leave(name) }
        return silent.count
    }
}

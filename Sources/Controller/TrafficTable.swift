import Model

/// What the drones' proxies last said of their backends. Kept in memory: it is for people to see, and a drone tells it
/// anew when something moves.
struct TrafficTable {
    private var rows: [BackendID: (drone: DroneName, traffic: BackendTraffic)] = [:]

    /// Takes a drone's report. A name that is no backend's is passed over.
    mutating func report(_ reports: [BackendTraffic], from drone: DroneName) {
        for traffic in reports {
            if let id = try? BackendID(traffic.backend) { rows[id] = (drone, traffic) }
        }
    }

    /// A drone's proxy starts to count from zero when the drone does.
    mutating func restarted(_ drone: DroneName) { rows = rows.filter { $0.value.drone != drone } }

    /// A backend that has ended is not told of any more.
    mutating func ended(_ backend: BackendID) { rows[backend] = nil }

    /// What the drone that has the backend said of it; what another drone says does not count.
    func traffic(of backend: BackendID, on drone: DroneName) -> BackendTraffic? {
        guard let row = rows[backend], row.drone == drone else { return nil }
        return row.traffic
    }
}

package import Model
package import Store

/// Whether drones take new backends, as people ask for it.
extension Controller {
    /// What happens to the backends that a draining drone has.
    package struct Drain: Hashable, Sendable {
        /// When those that are left are asked to end, milliseconds from now; nil never.
        package var endAfterMilliseconds: Int64?
        /// Whether they are asked to end now.
        package var isEndingNow: Bool

        /// - Parameters: as the properties say; by default they go on as long as they like.
        package init(endAfterMilliseconds: Int64? = nil, isEndingNow: Bool = false) {
            self.endAfterMilliseconds = endAfterMilliseconds
            self.isEndingNow = isEndingNow
        }
    }

    /// What a change of a drone's willingness came to.
    package enum WillingnessChange: Hashable, Sendable {
        case changed
        case asItWas
        case unknownDrone
    }

    /// Lets a drone take no new backends.
    package func drain(
        _ drone: DroneName, in cluster: ClusterName, _ drain: Drain = Drain(),
        then: @escaping (Result<WillingnessChange, StoreError>) -> Void
    ) {
        set(drone, in: cluster, isEndingNow: drain.isEndingNow, then: then) { now in
            .draining(
                endAtMilliseconds: drain.endAfterMilliseconds.map { now.addingReportingOverflow($0) }.map {
                    $0.overflow ? Int64.max : $0.partialValue
                })
        }
    }

    /// Lets a drone take backends again. Ends that were asked for stay asked for.
    package func undrain(
        _ drone: DroneName, in cluster: ClusterName, then: @escaping (Result<WillingnessChange, StoreError>) -> Void
    ) {
        set(drone, in: cluster, isEndingNow: false, then: then) { _ in .accepting }
    }

    private struct Changed: Sendable {
        var row: DroneRow
        var wasDraining: Bool
        var ends: [BackendRow]
    }

    private func set(
        _ drone: DroneName, in cluster: ClusterName, isEndingNow: Bool,
        then: @escaping (Result<WillingnessChange, StoreError>) -> Void,
        to willingness: @escaping @Sendable (_ nowMilliseconds: Int64) -> Willingness
    ) {
        store.perform({ store throws(StoreError) -> Changed? in
            guard let before = try store.set(willingness(store.nowMilliseconds), of: drone, in: cluster),
                let row = try store.drone(drone)
            else { return nil }
            return Changed(
                row: row, wasDraining: before.isDraining,
                ends: isEndingNow ? try DrainDeadlines.endAll(on: drone, store) : [])
        }) { [weak self] result in
            switch result {
            case .failure(let error):
                self?.orders.doubt()
                then(.failure(error))
            case .success(nil): then(.success(.unknownDrone))
            case .success(let changed?):
                self?.took(changed)
                then(.success(changed.wasDraining == changed.row.willingness.isDraining ? .asItWas : .changed))
            }
        }
    }

    private func took(_ changed: Changed) {
        sessions.set(changed.row.willingness, of: changed.row.name)
        for row in changed.ends { orders.ends(row) }
        if sessions.link(of: changed.row.name) != nil { drains.watch(changed.row) }
        log(
            .info, changed.row.willingness.isDraining ? "draining" : "accepting",
            ["drone": changed.row.name.text, "ended": "\(changed.ends.count)"])
    }
}

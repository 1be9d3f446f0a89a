import HTTP
import Linux
import Model
import Store

/// Ends what is left on a linked drone that drains, when its deadline has come. The deadline is on the store's clock, which
/// every controller reads alike; so it is asked, not kept here.
final class DrainDeadlines {
    private struct Watch {
        var deadlineMilliseconds: Int64
        var timer: TimerToken?
    }

    private unowned let controller: Controller
    private var watches: [DroneName: Watch] = [:]

    init(_ controller: Controller) { self.controller = controller }

    /// A drone's row was read or written.
    func watch(_ row: DroneRow) {
        switch row.willingness {
        case .draining(let deadline?):
            if watches[row.name]?.deadlineMilliseconds == deadline { return }
            forget(row.name)
            watches[row.name] = Watch(deadlineMilliseconds: deadline)
            check(row.name)
        case .draining(nil), .accepting: forget(row.name)
        }
    }

    private func forget(_ drone: DroneName) {
        if let timer = watches.removeValue(forKey: drone)?.timer { controller.clock.cancel(timer) }
    }

    private enum Check: Sendable {
        /// It is not draining until a deadline.
        case none
        /// Milliseconds that are left.
        case notYet(Int64)
        /// Those whose end was asked for now.
        case over([BackendRow])
    }

    private func check(_ drone: DroneName) {
        // Whoever has the link does it; a link that comes later brings the row with it.
        guard controller.sessions.link(of: drone) != nil else { return forget(drone) }
        controller.store.perform({ store throws(StoreError) -> Check in
            guard let row = try store.drone(drone), case .draining(let deadline?) = row.willingness else {
                return .none
            }
            if store.nowMilliseconds < deadline { return .notYet(deadline - store.nowMilliseconds) }
            return .over(try Self.endAll(on: drone, store))
        }) { [weak self] result in
            switch result {
            case .failure: self?.checkAgain(drone, after: .seconds(1))
            case .success(.none): self?.forget(drone)
            // A wall clock may be set: asked again after a minute at the latest.
            case .success(.notYet(let left)): self?.checkAgain(drone, after: .milliseconds(min(left, 60_000)))
            case .success(.over(let rows)):
                // The watch stays, without a timer: the same deadline needs nothing more.
                for row in rows { self?.controller.orders.ends(row) }
            }
        }
    }

    private func checkAgain(_ drone: DroneName, after time: Duration) {
        guard watches[drone] != nil else { return }
        watches[drone]?.timer = controller.after(time) { [weak self] in self?.check(drone) }
    }

    /// Asks for the end of all that is left. - Returns: the rows whose end was not asked for before.
    static func endAll(on drone: DroneName, _ store: any StoreTransaction) throws(StoreError) -> [BackendRow] {
        var rows: [BackendRow] = []
        for row in try store.liveBackends(on: drone) where row.desiredEnd == nil {
            let end = DesiredEnd(kind: .soft, reason: .external)
            if case .requested(let row) = try store.requestEnd(of: row.id, end) { rows.append(row) }
        }
        return rows
    }
}

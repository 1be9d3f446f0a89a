import Model
import Store

/// The end of a session whose time is over, as one job: unless it was renewed since it was seen, it ends, and with it all
/// that it promised. From this very transaction on the keys are free.
struct ConcludeJob: Sendable {
    let over: SessionTable.Over
    let defects: ProtocolDefects

    /// - Returns: the ends that were recorded; nil when the session is not as it was seen.
    func run(_ store: any StoreTransaction) throws(StoreError) -> [HistoryLine]? {
        var renewals = over.renewals
        if defects.contains(.expiryUnchecked), let row = try store.drone(over.drone) { renewals = row.renewals }
        guard try store.endSession(of: over.drone, over.session, renewals: renewals) else { return nil }
        let state = BackendState(
            .terminated, reason: .lost, message: "Its drone \(over.drone) did not renew its lease in time.")
        var lines: [HistoryLine] = []
        for row in try store.liveBackends(on: over.drone) {
            if case .recorded(let line) = try store.record(state, of: row.id, row.fencingToken) {
                lines.append(HistoryLine(backend: row.id, row: line))
            }
        }
        return lines
    }
}

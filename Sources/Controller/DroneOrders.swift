import Model
import Store

/// What each linked drone has been told of its orders, and what is still to be told.
///
/// An order counts from the transaction that wrote it: it is on the rows under a revision of its drone. This controller
/// sends at once what it wrote itself, in the order of completion. Whatever else is written, by another controller or by a
/// job of which nobody heard how it went, shows as a revision beyond the last that was told; then the rows are read from
/// there on. So an order may be told twice, which changes nothing at the drone, and is never lost.
final class DroneOrders {
    private struct Progress {
        let link: LinkID
        let session: SessionNumber
        /// All orders up to this revision were told.
        var told: Int64
        var reading = Reading.none
    }

    private enum Reading {
        case none
        case underWay
        /// Something was written after the read began.
        case underWayAndAgain
    }

    /// Most tokens in one message.
    static let revokedMax = 500

    private unowned let controller: Controller
    private var progress: [DroneName: Progress] = [:]

    init(_ controller: Controller) { self.controller = controller }

    /// A drone was welcomed and told all up to a revision.
    func began(_ drone: DroneName, _ link: LinkID, _ session: SessionNumber, told revision: Int64) {
        progress[drone] = Progress(link: link, session: session, told: revision)
    }

    /// A drone's link is gone. What it was not told its next hello brings.
    func ended(_ drone: DroneName, _ link: LinkID) {
        if progress[drone]?.link == link { progress[drone] = nil }
    }

    /// The session under which a drone takes orders here.
    func session(of drone: DroneName) -> SessionNumber? { progress[drone]?.session }

    // MARK: What was written here

    /// A backend was placed.
    func placed(_ row: BackendRow) {
        // An order of another session than the drone's would not be carried out, and rightly so.
        guard progress[row.spec.drone]?.session == row.session else { return }
        tell(.spawn(SpawnOrder(row)), row.spec.drone, row.revision)
    }

    /// The end of a backend was asked for.
    func ends(_ row: BackendRow) {
        guard let end = row.desiredEnd else { return }
        tell(.terminate(backend: row.id.text, kind: end.kind, reason: end.reason), row.spec.drone, row.revision)
    }

    /// The end of a backend was asked for by its drone, which has the answer.
    func answered(_ row: BackendRow) { advance(row.spec.drone, to: row.revision) }

    /// Tokens were revoked.
    func revoked(_ revocation: Revocation) {
        // Where there was nothing to revoke, the revision is that of an order of somebody else's, which is still to be told.
        if revocation.tokens.isEmpty { return seen(revocation.revision, of: revocation.drone) }
        send(revoked: revocation.tokens, to: revocation.drone)
        advance(revocation.drone, to: revocation.revision)
    }

    private func tell(_ message: ControllerMessage, _ drone: DroneName, _ revision: Int64) {
        controller.links.send(message, to: drone)
        advance(drone, to: revision)
    }

    private func advance(_ drone: DroneName, to revision: Int64) {
        guard let told = progress[drone]?.told, revision > told else { return }
        if revision == told + 1 { progress[drone]?.told = revision } else { read(drone) }
    }

    /// Tells a drone that tokens lead nowhere any more.
    func send(revoked tokens: [BearerToken], to drone: DroneName) {
        var rest = tokens.map(\.text)[...]
        while !rest.isEmpty {
            controller.links.send(.revoke(tokens: Array(rest.prefix(Self.revokedMax))), to: drone)
            rest = rest.dropFirst(Self.revokedMax)
        }
    }

    // MARK: What was written elsewhere

    /// A drone's row was read.
    func seen(_ revision: Int64, of drone: DroneName) {
        if let told = progress[drone]?.told, revision > told { read(drone) }
    }

    /// Something may have been written without anybody having been told so.
    func doubt() {
        for drone in progress.keys.sorted(by: { $0.text < $1.text }) { read(drone) }
    }

    private struct Unread: Sendable {
        var revision: Int64
        var rows: [BackendRow]
        var revoked: [BearerToken]
    }

    private func read(_ drone: DroneName) {
        guard let known = progress[drone] else { return }
        switch known.reading {
        case .none: progress[drone]?.reading = .underWay
        case .underWay, .underWayAndAgain:
            progress[drone]?.reading = .underWayAndAgain
            return
        }
        controller.store.perform({ [told = known.told] store throws(StoreError) -> Unread? in
            guard let row = try store.drone(drone) else { return nil }
            return Unread(
                revision: row.revision, rows: try store.orders(for: drone, after: told),
                revoked: try store.revokedTokens(for: drone, after: told))
        }) { [weak self, link = known.link] result in
            self?.take(result, drone, link)
        }
    }

    private func take(_ result: Result<Unread?, StoreError>, _ drone: DroneName, _ link: LinkID) {
        guard let known = progress[drone], known.link == link else { return }
        progress[drone]?.reading = .none
        switch result {
        case .failure(let error):
            controller.log(.error, "orders-not-read", ["drone": drone.text, "reason": error.description])
            controller.later { [weak self] in self?.read(drone) }
            return
        case .success(nil): break
        case .success(let unread?):
            progress[drone]?.told = max(known.told, unread.revision)
            for row in unread.rows { tell(row, known.session) }
            send(revoked: unread.revoked, to: drone)
        }
        switch known.reading {
        case .none, .underWay: break
        case .underWayAndAgain: read(drone)
        }
    }

    private func tell(_ row: BackendRow, _ session: SessionNumber) {
        guard row.session == session else { return }
        if let end = row.desiredEnd {
            controller.links.send(
                .terminate(backend: row.id.text, kind: end.kind, reason: end.reason), to: row.spec.drone)
        } else if row.state.status == .scheduled {
            controller.links.send(.spawn(SpawnOrder(row)), to: row.spec.drone)
        }
    }
}

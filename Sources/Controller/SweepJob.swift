import Model
import Store

/// A drone's question whether a backend that nobody uses may end, as one job of the store.
///
/// A drone that swept on its own could do so in the moment in which a connect is answered with that very backend, whose
/// URL would then be dead from the start. Here the job that promises a backend and the job that ends it come one after
/// the other: after this one every connect sees the end and waits for a successor; a connect before it has counted, and
/// if the drone had not heard of that count when it asked, the backend stays.
struct SweepJob: Sendable {
    let backend: BackendID
    let drone: DroneName
    /// The number of the last connect that the drone has heard of.
    let connects: Int64

    func run(_ store: any StoreTransaction) throws(StoreError) -> SweepAnswer {
        guard let row = try store.backend(backend), row.spec.drone == drone, row.state.status != .terminated else {
            return .end(DesiredEnd(kind: .hard, reason: .lost))
        }
        if row.desiredEnd == nil, row.connects > connects { return .inUse(connects: row.connects) }
        switch try store.requestEnd(of: backend, DesiredEnd(kind: .soft, reason: .swept)) {
        case .requested(let row): return .ordered(row)
        case .alreadyTerminated, .unknownBackend: return .end(DesiredEnd(kind: .hard, reason: .lost))
        }
    }
}

/// What a sweep comes to.
enum SweepAnswer: Sendable {
    /// The backend ends, as its row says now.
    case ordered(BackendRow)
    /// The drone has no such backend that could live.
    case end(DesiredEnd)
    /// A connect that the drone had not heard of was answered with it.
    case inUse(connects: Int64)

    /// What the drone is told.
    func message(about backend: BackendID) -> ControllerMessage {
        switch self {
        case .ordered(let row):
            .terminate(
                backend: backend.text, kind: row.desiredEnd?.kind ?? .soft, reason: row.desiredEnd?.reason ?? .swept)
        case .end(let end): .terminate(backend: backend.text, kind: end.kind, reason: end.reason)
        case .inUse(let connects): .inUse(backend: backend.text, connects: connects)
        }
    }
}

import Model
import Store

/// Keys and backends.
extension MemoryTransaction {
    func holder(namespace: String, name: String) throws(StoreError) -> BackendRow? {
        database.holders[KeyBytes(namespace: namespace, name: name)].flatMap { database.backends[$0] }
    }

    func backend(_ id: BackendID) throws(StoreError) -> BackendRow? { database.backends[id] }

    func insert(_ spec: BackendSpec, under session: SessionNumber) throws(StoreError) -> BackendRow? {
        guard var drone = database.drones[spec.drone], drone.session == session else { return nil }
        try refuseConflicts(spec)
        var spec = spec
        spec.promise = spec.promise.stored
        drone.revision += 1
        drone.backendCount += 1
        drone.promised = drone.promised + spec.promise
        database.set(drone, for: spec.drone)
        let row = BackendRow(
            spec: spec, fencingToken: database.nextFencingToken(), session: session,
            revision: drone.revision, state: BackendState(.scheduled), desiredEnd: nil,
            createdMilliseconds: nowMilliseconds, changedMilliseconds: nowMilliseconds)
        database.set(row, for: row.id)
        _ = appendHistory(row.state, of: row.id)
        return row
    }

    private func refuseConflicts(_ spec: BackendSpec) throws(StoreError) {
        if database.backends[spec.id] != nil { throw StoreError(.conflict, message: "the id is used") }
        if database.holders[KeyBytes(spec.key)] != nil { throw StoreError(.conflict, message: "the key is held") }
        if let token = spec.staticToken, database.byStaticToken[token] != nil {
            throw StoreError(.conflict, message: "the static token is used")
        }
    }

    func record(
        _ state: BackendState, of id: BackendID, _ fencingToken: FencingToken
    ) throws(StoreError) -> Recording {
        guard var row = database.backends[id], row.fencingToken == fencingToken else { return .unknownBackend }
        guard row.state.status < state.status else { return .stale(row.state.status) }
        row.state = state
        row.changedMilliseconds = nowMilliseconds
        database.set(row, for: id)
        if state.status == .terminated { free(row.spec) }
        return .recorded(appendHistory(state, of: id))
    }

    /// Takes a backend, which is not live any more, off its drone's sums.
    private func free(_ spec: BackendSpec) {
        guard var drone = database.drones[spec.drone] else { return }
        drone.backendCount -= 1
        let sum = drone.promised
        if max(sum.memoryBytes, sum.cpuMillis) < UInt64(Int64.max) {
            drone.promised = ResourceAmount(
                memoryBytes: sum.memoryBytes - spec.promise.memoryBytes,
                cpuMillis: sum.cpuMillis - spec.promise.cpuMillis)
        } else {
            // It may have been more than a sum can say.
            drone.promised = liveRows(on: spec.drone).reduce(.zero) { $0 + $1.spec.promise }
        }
        database.set(drone, for: spec.drone)
    }

    func countConnect(of id: BackendID) throws(StoreError) -> Int64 {
        guard var row = database.backends[id] else { return 0 }
        row.connects += 1
        database.set(row, for: id)
        return row.connects
    }

    func requestEnd(of id: BackendID, _ end: DesiredEnd) throws(StoreError) -> EndRequest {
        guard var row = database.backends[id] else { return .unknownBackend }
        if row.state.status == .terminated { return .alreadyTerminated }
        let merged = end.merged(into: row.desiredEnd)
        guard merged != row.desiredEnd, let revision = nextRevision(of: row.spec.drone) else { return .requested(row) }
        row.desiredEnd = merged
        row.revision = revision
        database.set(row, for: id)
        return .requested(row)
    }

    /// In no order.
    private func liveRows(on drone: DroneName) -> [BackendRow] {
        (database.live[drone] ?? []).compactMap { database.backends[$0] }
    }

    func liveBackends(on drone: DroneName) throws(StoreError) -> [BackendRow] {
        liveRows(on: drone).sorted { $0.id.text < $1.id.text }
    }

    func orders(for drone: DroneName, after revision: Int64) throws(StoreError) -> [BackendRow] {
        liveRows(on: drone).filter { $0.revision > revision }.sorted { $0.revision < $1.revision }
    }

    func holders(after position: KeyPosition?, limit: Int) throws(StoreError) -> [BackendRow] {
        func isBefore(_ a: KeyBytes, _ b: KeyBytes) -> Bool {
            sameBytes(a.namespace, b.namespace) ? precedes(a.name, b.name) : precedes(a.namespace, b.namespace)
        }
        let after = position.map { KeyBytes(namespace: $0.namespace, name: $0.name) }
        let keys = database.holders.keys.filter { key in after.map { isBefore($0, key) } ?? true }
        return keys.sorted(by: isBefore).prefix(limit)
            .compactMap { database.holders[$0].flatMap { database.backends[$0] } }
    }

    func backends(_ which: BackendSelection, after id: BackendID?, limit: Int) throws(StoreError) -> [BackendRow] {
        let ids = database.backends.values
            .filter { row in
                (which == .all || row.state.status < .terminated) && (id.map { $0.text < row.id.text } ?? true)
            }
            .map(\.id)
        return ids.sorted { $0.text < $1.text }.prefix(limit).compactMap { database.backends[$0] }
    }

    func history(of id: BackendID, after number: Int64) throws(StoreError) -> [HistoryRow] {
        (database.histories[id] ?? []).filter { $0.number > number }
    }

    func deleteBackends(terminatedBefore milliseconds: Int64, limit: Int) throws(StoreError) -> Int {
        let ended = database.backends.values
            .filter { $0.state.status == .terminated && $0.changedMilliseconds < milliseconds }
            .sorted { ($0.changedMilliseconds, $0.fencingToken) < ($1.changedMilliseconds, $1.fencingToken) }
            .prefix(limit)
        for row in ended {
            for token in database.tokensOfBackend[row.id] ?? [] { database.set(nil, for: token) }
            database.removeHistory(of: row.id)
            database.set(nil as BackendRow?, for: row.id)
        }
        return ended.count
    }
}

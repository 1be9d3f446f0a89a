import Glibc
import Model
import Store

/// The rows of a store in memory, and how to undo what was written to them.
///
/// Every write goes through one of the few functions here that note what was there before. Indexes follow from the rows
/// in the same functions, so undoing is writing the rows that were there.
///
/// Unchecked: a connection touches it only between `lock` and `unlock`.
package final class MemoryDatabase: @unchecked Sendable {
    let clock: () -> Int64
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)

    private(set) var backends: [BackendID: BackendRow] = [:]
    private(set) var histories: [BackendID: [HistoryRow]] = [:]
    private(set) var tokens: [BearerToken: StoredToken] = [:]
    private(set) var drones: [DroneName: DroneRow] = [:]
    private(set) var controllers: [ControllerName: ControllerRow] = [:]

    // Indexes.
    private(set) var holders: [KeyBytes: BackendID] = [:]
    private(set) var byStaticToken: [BearerToken: BackendID] = [:]
    private(set) var live: [DroneName: Set<BackendID>] = [:]
    private(set) var countOnDrone: [DroneName: Int] = [:]
    private(set) var tokensOfBackend: [BackendID: Set<BearerToken>] = [:]

    /// A deliberate defect, for the simulator alone: fencing tokens are the clock's reading.
    package var takesTokensFromClock = false

    /// How many transactions have changed anything.
    package private(set) var commits = 0

    private var sequences = Sequences()
    private var log: [Undo] = []

    /// The last numbers that were given; none is given twice.
    private struct Sequences {
        var fencing: Int64 = 0
        var session: Int64 = 0
        var line: Int64 = 0
    }

    /// A token, and when it was revoked, if it was.
    struct StoredToken {
        var row: TokenRow
        var revoked: (drone: DroneName, revision: Int64)?
    }

    /// What was there before a write.
    private enum Undo {
        case backend(BackendID, BackendRow?)
        case line(BackendID)
        case history(BackendID, [HistoryRow])
        case token(BearerToken, StoredToken?)
        case drone(DroneName, DroneRow?)
        case controller(ControllerName, ControllerRow?)
        case sequences(Sequences)
    }

    /// A moment within a transaction.
    struct Mark {
        fileprivate let count: Int
        static let beginning = Mark(count: 0)
    }

    /// An empty database. - Parameter clock: milliseconds since 1970; called once for each transaction.
    package init(clock: @escaping () -> Int64) {
        self.clock = clock
        pthread_mutex_init(mutex, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        mutex.deallocate()
    }

    /// Waits until no other connection is in a transaction, five seconds at most, as a database would.
    func lock() throws(StoreError) {
        if pthread_mutex_trylock(mutex) == 0 { return }
        var deadline = timespec()
        clock_gettime(CLOCK_REALTIME, &deadline)
        deadline.tv_sec += 5
        if pthread_mutex_timedlock(mutex, &deadline) != 0 {
            throw StoreError(.busy, message: "another connection's transaction has been open for five seconds")
        }
    }

    func unlock() { pthread_mutex_unlock(mutex) }

    // MARK: Writing

    /// Writes or deletes a backend. What hangs on it is the caller's to delete.
    func set(_ row: BackendRow?, for id: BackendID) {
        log.append(.backend(id, place(row, for: id)))
    }

    func append(_ line: HistoryRow, to id: BackendID) {
        log.append(.line(id))
        histories[id, default: []].append(line)
    }

    func removeHistory(of id: BackendID) {
        if let lines = histories.removeValue(forKey: id) { log.append(.history(id, lines)) }
    }

    func set(_ token: StoredToken?, for key: BearerToken) {
        log.append(.token(key, place(token, for: key)))
    }

    func set(_ row: DroneRow?, for name: DroneName) {
        log.append(.drone(name, drones[name]))
        drones[name] = row
    }

    func set(_ row: ControllerRow?, for name: ControllerName) {
        log.append(.controller(name, controllers[name]))
        controllers[name] = row
    }

    func nextFencingToken() -> FencingToken {
        if takesTokensFromClock { return FencingToken(clock()) }
        log.append(.sequences(sequences))
        sequences.fencing += 1
        return FencingToken(sequences.fencing)
    }

    func nextSession() -> SessionNumber {
        log.append(.sequences(sequences))
        sequences.session += 1
        return SessionNumber(sequences.session)
    }

    /// The number of the next line of history.
    func nextLine() -> Int64 {
        log.append(.sequences(sequences))
        sequences.line += 1
        return sequences.line
    }

    /// - Returns: what was there before.
    private func place(_ row: BackendRow?, for id: BackendID) -> BackendRow? {
        guard let row else {
            let before = backends.removeValue(forKey: id)
            if let before { removeFromIndexes(before) }
            return before
        }
        let before = backends.updateValue(row, forKey: id)
        // What a backend is made of never changes; its indexes do when it is made and when it has terminated.
        if let before {
            if (before.state.status < .terminated) == (row.state.status < .terminated) { return before }
            removeFromIndexes(before)
        }
        addToIndexes(row)
        return before
    }

    private func removeFromIndexes(_ row: BackendRow) {
        countOnDrone[row.spec.drone, default: 0] -= 1
        if let token = row.spec.staticToken { byStaticToken[token] = nil }
        if row.state.status == .terminated { return }
        holders[KeyBytes(row.spec.key)] = nil
        live[row.spec.drone]?.remove(row.id)
    }

    private func addToIndexes(_ row: BackendRow) {
        countOnDrone[row.spec.drone, default: 0] += 1
        if let token = row.spec.staticToken { byStaticToken[token] = row.id }
        if row.state.status == .terminated { return }
        holders[KeyBytes(row.spec.key)] = row.id
        live[row.spec.drone, default: []].insert(row.id)
    }

    /// - Returns: what was there before.
    private func place(_ token: StoredToken?, for key: BearerToken) -> StoredToken? {
        guard let token else {
            let before = tokens.removeValue(forKey: key)
            if let before { tokensOfBackend[before.row.backend]?.remove(key) }
            return before
        }
        let before = tokens.updateValue(token, forKey: key)
        if before == nil { tokensOfBackend[token.row.backend, default: []].insert(key) }
        return before
    }

    // MARK: Undoing

    /// Now.
    var mark: Mark { Mark(count: log.count) }

    /// Makes what was written so far stay.
    func forgetUndo() {
        if !log.isEmpty { commits += 1 }
        log.removeAll(keepingCapacity: true)
    }

    /// Takes back what was written since.
    func undo(to mark: Mark) {
        while log.count > mark.count {
            switch log.removeLast() {
            case .backend(let id, let row): _ = place(row, for: id)
            case .line(let id): histories[id]?.removeLast()
            case .history(let id, let lines): histories[id] = lines
            case .token(let key, let token): _ = place(token, for: key)
            case .drone(let name, let row): drones[name] = row
            case .controller(let name, let row): controllers[name] = row
            case .sequences(let numbers): sequences = numbers
            }
        }
    }
}

/// A key by the bytes of its namespace and name, as databases compare them. Strings that are canonically equivalent are
/// equal in Swift, and two keys to whoever sent them.
struct KeyBytes: Hashable {
    let namespace: String
    let name: String

    init(_ key: KeyConfig) { self.init(namespace: key.namespace, name: key.name) }

    init(namespace: String, name: String) {
        self.namespace = namespace
        self.name = name
    }

    static func == (a: KeyBytes, b: KeyBytes) -> Bool {
        a.name.utf8.elementsEqual(b.name.utf8) && a.namespace.utf8.elementsEqual(b.namespace.utf8)
    }

    func hash(into hasher: inout Hasher) {
        for part in [namespace, name] {
            var part = part
            hasher.combine(part.utf8.count)
            part.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        }
    }
}

import HTTP
import Linux
import Model
import Store

/// What this controller reads of the rows: all of them when it starts, and with a shared store again every second, and
/// earlier where a notice says so.
///
/// Nothing rests on notices. They only make things quick: whatever one would have told is seen a second later.
final class StoreWatch {
    private enum State {
        case idle
        case reading
        /// Something changed after the read began.
        case readingAndAgain
    }

    private unowned let controller: Controller
    private var state = State.idle
    private var hasRead = false
    private var callbacks: [() -> Void] = []
    private var hinted: (drones: Set<DroneName>, backends: Set<BackendID>) = ([], [])
    private var isHintPosted = false
    /// Of backends that somebody watches: the last line of the history that was published.
    private var lastLines: [BackendID: Int64] = [:]

    init(_ controller: Controller) { self.controller = controller }

    /// Reads everything, and goes on doing so every second if others write to the store, too.
    func start() {
        refresh { [weak self] in self?.readAgain() }
    }

    private func readAgain() {
        switch controller.sharing {
        case .exclusive where hasRead: return
        case .exclusive, .shared: break
        }
        controller.after(ControllerConfiguration.readInterval) { [weak self] in self?.start() }
    }

    // MARK: Reading all

    private struct Reading: Sendable {
        var drones: [DroneRow] = []
        var controllers: [ControllerRow] = []
        var lines: [HistoryLine] = []
    }

    /// Reads all rows. - Parameter then: called when it was tried, whether or not it went well.
    func refresh(then: @escaping () -> Void) {
        callbacks.append(then)
        switch state {
        case .idle: read()
        case .reading, .readingAndAgain: state = .readingAndAgain
        }
    }

    private func read() {
        state = .reading
        let done = callbacks
        callbacks = []
        let watched = watched
        let asked = controller.clock.now
        controller.store.perform({ store throws(StoreError) in
            Reading(
                drones: try Self.drones(store), controllers: try store.controllers(),
                lines: try Self.lines(watched, store))
        }) { [weak self] result in
            guard let self else { return }
            // Not the moment at which it was asked for: what is read may have been written in between.
            let seen = controller.defects.contains(.seenBeforeRead) ? asked : controller.clock.now
            switch result {
            case .success(let reading): take(reading, seen)
            case .failure(let error): controller.log(.error, "rows-not-read", ["reason": error.description])
            }
            let again = state == .readingAndAgain
            state = .idle
            for callback in done { callback() }
            if again, state == .idle { read() }
        }
    }

    private static func drones(_ store: any StoreTransaction) throws(StoreError) -> [DroneRow] {
        var rows: [DroneRow] = []
        while true {
            let page = try store.drones(after: rows.last?.name, limit: ControllerConfiguration.readBatch)
            rows += page
            if page.count < ControllerConfiguration.readBatch { return rows }
        }
    }

    private static func lines(
        _ watched: [(BackendID, Int64)], _ store: any StoreTransaction
    ) throws(StoreError) -> [HistoryLine] {
        var lines: [HistoryLine] = []
        for (backend, last) in watched {
            for row in try store.history(of: backend, after: last) {
                lines.append(HistoryLine(backend: backend, row: row))
            }
        }
        return lines
    }

    private func take(_ reading: Reading, _ now: BootInstant) {
        hasRead = true
        controller.sessions.observeAll(reading.drones, now: now)
        controller.sessions.observe(reading.controllers, now: now)
        for row in reading.drones { compare(row) }
        publish(reading.lines)
        controller.connects.retryAll()
    }

    /// What a row says that a link of ours does not know.
    private func compare(_ row: DroneRow) {
        guard let link = controller.sessions.link(of: row.name) else { return }
        if row.controller != controller.name {
            return controller.links.close(link, "it is connected to another controller")
        }
        if row.session != controller.orders.session(of: row.name) {
            return controller.links.close(link, "its session is over")
        }
        controller.orders.seen(row.revision, of: row.name)
        controller.drains.watch(row)
    }

    // MARK: Backends that somebody watches

    private var watched: [(BackendID, Int64)] {
        switch controller.sharing {
        case .exclusive: return []
        case .shared: break
        }
        let ids = Set(controller.streams.watched).union(controller.connects.awaited)
        lastLines = lastLines.filter { ids.contains($0.key) }
        return ids.sorted { $0.text < $1.text }.map { ($0, lastLines[$0] ?? 0) }
    }

    /// Lines of each backend in their order. Whoever waits for one to be ready goes by where it is now, not by where it was.
    private func publish(_ lines: [HistoryLine]) {
        for (index, line) in lines.enumerated() {
            lastLines[line.backend] = line.row.number
            controller.streams.publish(line.row, of: line.backend)
            let isLast = index + 1 == lines.count || lines[index + 1].backend != line.backend
            if isLast { controller.connects.reached(line.row.state, line.backend) }
        }
    }

    // MARK: Notices

    /// Takes hints. A burst of them is one read.
    func noticed(_ notices: [StoreNotice]) {
        for notice in notices {
            switch notice {
            case .drone(let name): hinted.drones.insert(name)
            case .backend(let id): hinted.backends.insert(id)
            case .missed: refresh {}
            }
        }
        if isHintPosted { return }
        isHintPosted = true
        controller.clock.post { [weak self] in
            self?.isHintPosted = false
            self?.readHinted()
        }
    }

    private func readHinted() {
        let names = hinted.drones.sorted { $0.text < $1.text }
        let watched = watched.filter { hinted.backends.contains($0.0) }
        hinted = ([], [])
        if names.isEmpty, watched.isEmpty { return }
        let asked = controller.clock.now
        controller.store.perform({ store throws(StoreError) in
            var reading = Reading()
            for name in names { if let row = try store.drone(name) { reading.drones.append(row) } }
            reading.lines = try Self.lines(watched, store)
            return reading
        }) { [weak self] result in
            // What could not be read now is read within a second.
            guard let self, case .success(let reading) = result else { return }
            let seen = controller.defects.contains(.seenBeforeRead) ? asked : controller.clock.now
            for row in reading.drones {
                controller.sessions.observe(row, now: seen)
                compare(row)
                switch controller.sessions.health(of: row.name, now: seen) {
                case .linked, .elsewhere: controller.connects.returned(row.name)
                case .silent, .away: break
                }
            }
            publish(reading.lines)
        }
    }
}

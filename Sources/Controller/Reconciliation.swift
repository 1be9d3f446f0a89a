package import Model
package import Store

/// What a drone's hello and the store's rows come to together. Pure.
///
/// Both sides converge by level: whatever was missed while they were apart is seen in the difference of the two lists,
/// and a hello that is repeated changes nothing more.
///
/// A hello may have been long under way, and been overtaken by a later one of the same drone. What it says of a backend was
/// true and can only have gone further; what it does not say proves nothing. So a missing backend is not recorded as ended:
/// the drone is asked to end it, on this very connection, and its answer that nothing of it runs there is recorded.
package struct Reconciliation: Equatable, Sendable {
    /// A state to record.
    package struct Record: Equatable, Sendable {
        package let backend: BackendID
        package let fencingToken: FencingToken
        package let state: BackendState
    }

    /// An end to ask the drone for.
    package struct End: Equatable, Sendable {
        package let backend: BackendID
        package let end: DesiredEnd
    }

    /// A report that the drone need not repeat.
    package struct Saved: Equatable, Sendable {
        package let backend: String
        package let status: BackendStatus
    }

    /// Backends that the drone has and shall keep. It kills any other.
    package var keep: [BackendID] = []
    /// Reported states that are further than the rows'.
    package var record: [Record] = []
    /// Backends that were promised and that the drone never heard of.
    package var spawn: [BackendRow] = []
    /// Backends that were promised, of which nobody can tell whether they ever ran: their end is to be put on their rows.
    package var doubtful: [BackendID] = []
    /// Ends that were asked for while the drone was away, those that it had begun and forgot in a restart, and those of
    /// what it does not have.
    package var terminate: [End] = []
    /// What to acknowledge.
    package var saved: [Saved] = []

    /// What the drone process that says hello can know.
    package enum Memory: Sendable {
        /// It is the one that said hello before: it remembers what it has started, and that it has ended.
        case whole
        /// It is another one. What its predecessor started and did not report may have run and ended, and a warden that was
        /// restarted, too, does not remember it either.
        case restarted
    }

    /// - Parameters:
    ///   - drone: who said hello.
    ///   - reports: what it has.
    ///   - live: the rows of its backends that have not terminated.
    ///   - memory: what it can know.
    package init(_ drone: DroneName, reports: [BackendReport], live: [BackendRow], memory: Memory = .whole) {
        let rows = Dictionary(live.map { ($0.id.text, $0) }, uniquingKeysWith: { first, _ in first })
        var reported: Set<String> = []
        var others: Set<String> = []
        for report in reports {
            // The fencing token tells a backend from one of the same id that a restored database knows.
            guard let row = rows[report.backend], row.fencingToken.value == report.fencingToken else {
                // Unknown, ended or of another drone. What still runs is killed for not being in `keep`.
                if report.state.status == .terminated { saved.append(Saved(report)) }
                others.insert(report.backend)
                continue
            }
            reported.insert(report.backend)
            // What is known may be further: a drone process that was restarted learns from it what it had reached.
            saved.append(Saved(backend: report.backend, status: max(report.state.status, row.state.status)))
            if report.state.status > row.state.status {
                record.append(Record(row, row.completing(report.state)))
            }
            if report.state.status == .terminated { continue }
            keep.append(row.id)
            if let end = Self.end(of: row, reported: report.state.status) {
                terminate.append(End(backend: row.id, end: end))
            }
        }
        for row in live where !reported.contains(row.id.text) {
            if others.contains(row.id.text) { replaced(row) } else { missing(row, memory) }
        }
    }

    /// The end to ask for: the one that was requested, or the one that the drone itself had begun when it was last heard
    /// of. A drone process that was restarted knows nothing of the latter and takes the backend for a sound one.
    private static func end(of row: BackendRow, reported: BackendStatus) -> DesiredEnd? {
        guard row.state.status >= .terminating, reported < row.state.status else { return row.desiredEnd }
        let begun: TerminationKind = row.state.status >= .hardTerminating ? .hard : .soft
        let reason = row.desiredEnd?.reason ?? row.state.reason ?? .lost
        switch (begun, row.desiredEnd?.kind) {
        case (.hard, _), (_, .hard): return DesiredEnd(kind: .hard, reason: reason)
        case (.soft, _): return DesiredEnd(kind: .soft, reason: reason)
        }
    }

    /// The drone had another backend of its id at some time: this one is of a database that was restored.
    private mutating func replaced(_ row: BackendRow) {
        let message = "Its drone has another backend of that id."
        record.append(Record(row, BackendState(.terminated, reason: .lost, kind: row.state.kind, message: message)))
    }

    private mutating func missing(_ row: BackendRow, _ memory: Memory) {
        if row.state.status > .scheduled {
            let reason = row.desiredEnd?.reason ?? row.state.reason ?? .lost
            terminate.append(End(backend: row.id, end: DesiredEnd(kind: .hard, reason: reason)))
        } else if let end = row.desiredEnd {
            terminate.append(End(backend: row.id, end: end))
        } else {
            switch memory {
            case .whole: spawn.append(row)
            case .restarted:
                // No fencing token is ever given to two lives.
                doubtful.append(row.id)
                terminate.append(End(backend: row.id, end: DesiredEnd(kind: .hard, reason: .lost)))
            }
        }
    }
}

extension Reconciliation.Record {
    fileprivate init(_ row: BackendRow, _ state: BackendState) {
        self.init(backend: row.id, fencingToken: row.fencingToken, state: state)
    }
}

extension Reconciliation.Saved {
    fileprivate init(_ report: BackendReport) { self.init(backend: report.backend, status: report.state.status) }
}

extension BackendRow {
    /// A reported state with why its end was asked for, where the drone process that was asked is not the one that
    /// reports it: that one only knows that it was.
    package func completing(_ report: BackendState) -> BackendState {
        if state.status == .scheduled, report.endReason == .lost, let end = desiredEnd {
            let message =
                end.reason == .lost
                ? "Its drone was restarted, and does not know whether it ever ran."
                : "It was ended before its drone heard of it."
            return BackendState(.terminated, reason: end.reason, kind: end.kind, message: message)
        }
        guard report.endReason == .endedByDrone, let reason = state.reason ?? desiredEnd?.reason else { return report }
        var completed = report
        completed.reason = reason
        completed.kind = state.kind ?? desiredEnd?.kind
        completed.endReason = EndReason(reason)
        return completed
    }
}

/// What a single state report comes to, given what the store said. Pure.
package enum ReportAnswer: Equatable {
    /// The drone may forget it.
    case saved
    /// The store knows no such backend of this drone as running: it must not run.
    case kill

    /// Whether a report is the answer to an order to end what the drone never heard of: it knows no token of that, and will
    /// not start it any more.
    package static func isOfNone(_ reported: BackendStatus, _ token: FencingToken) -> Bool {
        reported == .terminated && token.value == 0
    }

    /// - Parameter known: the status of the drone's own backend before the report; nil when it has none of that id.
    package init(_ reported: BackendStatus, known: BackendStatus?) {
        switch known {
        case nil, .terminated?: self = reported == .terminated ? .saved : .kill
        default: self = .saved
        }
    }
}

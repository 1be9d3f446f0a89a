import Model
import Store
import Testing

@testable import Controller

/// What a hello and the rows come to.
@Suite struct ReconciliationTests {
    private let drone = Values.drone("dr-1")

    private func report(_ id: String, _ status: BackendStatus, fencing: Int64 = 1) -> BackendReport {
        BackendReport(backend: id, fencingToken: fencing, state: BackendState(status))
    }

    private func reconcile(_ reports: [BackendReport], _ live: [BackendRow]) -> Reconciliation {
        Reconciliation(drone, reports: reports, live: live)
    }

    @Test("What both know is kept, and what the drone knows better is recorded")
    func keep() {
        let plan = reconcile(
            [report("b1", .ready), report("b2", .ready)], [Values.row("b1"), Values.row("b2", .loading)])
        #expect(plan.keep.map(\.text) == ["b1", "b2"])
        #expect(
            plan.record == [
                .init(backend: Values.backend("b2"), fencingToken: FencingToken(1), state: BackendState(.ready))
            ])
        #expect(plan.spawn.isEmpty && plan.terminate.isEmpty)
        #expect(plan.saved.map(\.backend) == ["b1", "b2"])
    }

    @Test("A drone process that was restarted is told how far its backends had come")
    func knownFurther() {
        let plan = reconcile([report("b1", .waiting)], [Values.row("b1", .ready)])
        #expect(plan.saved == [.init(backend: "b1", status: .ready)])
        #expect(plan.keep.map(\.text) == ["b1"] && plan.record.isEmpty)
    }

    @Test("What only the drone knows is not kept; what has ended there is acknowledged so that it is forgotten")
    func unknown() {
        let plan = reconcile([report("b1", .ready), report("b2", .terminated)], [])
        #expect(plan.keep.isEmpty && plan.record.isEmpty)
        #expect(plan.saved == [.init(backend: "b2", status: .terminated)])
    }

    @Test("The same id with another fencing token is another backend")
    func otherFencingToken() {
        let plan = reconcile([report("b1", .ready, fencing: 2)], [Values.row("b1", fencing: 1)])
        #expect(plan.keep.isEmpty)
        #expect(plan.record.map(\.state.reason) == [.lost])
    }

    @Test("What ended while the link was down is recorded as it ended")
    func endedMeanwhile() {
        let exit = BackendState(.terminated, exit: BackendExit(code: 3, signal: nil, outOfMemory: false))
        let plan = reconcile(
            [BackendReport(backend: "b1", fencingToken: 1, state: exit)], [Values.row("b1")])
        #expect(plan.record == [.init(backend: Values.backend("b1"), fencingToken: FencingToken(1), state: exit)])
        #expect(plan.keep.isEmpty)
        #expect(plan.saved.map(\.status) == [.terminated])
    }

    @Test("An end that an earlier drone process was asked for is recorded with why it was asked for")
    func endedByEarlierDrone() {
        let report = BackendState(.terminated, message: "It was killed.", endReason: .endedByDrone)
        var row = Values.row("b1", end: DesiredEnd(kind: .hard, reason: .external))
        let expected = BackendState(.terminated, reason: .external, kind: .hard, message: "It was killed.")
        #expect(row.completing(report) == expected)
        #expect(
            reconcile([BackendReport(backend: "b1", fencingToken: 1, state: report)], [row]).record
                == [.init(backend: row.id, fencingToken: FencingToken(1), state: expected)])
        // What the drone itself had begun comes first.
        row.state = BackendState(.terminating, reason: .swept, kind: .soft)
        #expect(row.completing(report).endReason == .swept)
        #expect(Values.row("b1").completing(report) == report)
        let exit = BackendState(.terminated, endReason: .exited)
        #expect(row.completing(exit) == exit)
    }

    @Test(
        "What ran and is missing in a hello is asked to end, for the hello may be an old one",
        arguments: [BackendStatus.loading, .starting, .waiting, .ready, .terminating])
    func lost(_ status: BackendStatus) {
        let plan = reconcile([], [Values.row("b1", status)])
        #expect(plan.record.isEmpty && plan.spawn.isEmpty)
        #expect(
            plan.terminate
                == [.init(backend: Values.backend("b1"), end: DesiredEnd(kind: .hard, reason: .lost))])
    }

    @Test("What was promised and never started is ordered again, unless its end was asked for")
    func scheduled() {
        let row = Values.row("b1", .scheduled)
        #expect(reconcile([], [row]).spawn == [row])
        let end = DesiredEnd(kind: .soft, reason: .external)
        let ending = Values.row("b1", .scheduled, end: end)
        let plan = reconcile([], [ending])
        #expect(plan.spawn.isEmpty && plan.record.isEmpty)
        #expect(plan.terminate == [.init(backend: ending.id, end: end)])
        // The drone's answer, that it knows no such backend, is recorded with why its end was asked for.
        #expect(ending.completing(BackendState(.terminated, reason: .lost)).endReason == .external)
    }

    @Test("What a restarted drone may have started is not started again: its fencing token would have two lives")
    func scheduledBeforeRestart() {
        let row = Values.row("b1", .scheduled)
        let plan = Reconciliation(row.spec.drone, reports: [], live: [row], memory: .restarted)
        #expect(plan.spawn.isEmpty && plan.record.isEmpty)
        #expect(plan.doubtful == [row.id])
        #expect(plan.terminate == [.init(backend: row.id, end: DesiredEnd(kind: .hard, reason: .lost))])
    }

    @Test("An end that was asked for while the drone was away is asked for again")
    func desiredEnd() {
        let end = DesiredEnd(kind: .hard, reason: .external)
        let plan = reconcile([report("b1", .ready)], [Values.row("b1", end: end)])
        #expect(plan.keep.map(\.text) == ["b1"])
        #expect(plan.terminate == [.init(backend: Values.backend("b1"), end: end)])
    }

    @Test("An end that a drone had begun and forgot in a restart is asked for again, and never a weaker one")
    func forgottenEnd() {
        func ends(
            _ reported: BackendStatus, _ status: BackendStatus, _ end: DesiredEnd? = nil
        ) -> [Reconciliation.End] {
            var row = Values.row("b1", status, end: end)
            row.state.reason = .swept
            return reconcile([report("b1", reported)], [row]).terminate
        }
        func end(_ kind: TerminationKind, _ reason: TerminationReason) -> [Reconciliation.End] {
            [.init(backend: Values.backend("b1"), end: DesiredEnd(kind: kind, reason: reason))]
        }
        #expect(ends(.ready, .terminating) == end(.soft, .swept))
        #expect(ends(.waiting, .terminating) == end(.soft, .swept))
        #expect(ends(.ready, .hardTerminating) == end(.hard, .swept))
        #expect(ends(.terminating, .hardTerminating) == end(.hard, .swept))
        #expect(ends(.terminating, .terminating) == [])
        #expect(ends(.ready, .terminating, DesiredEnd(kind: .hard, reason: .external)) == end(.hard, .external))
        let soft = DesiredEnd(kind: .soft, reason: .external)
        #expect(ends(.ready, .hardTerminating, soft) == end(.hard, .external))
        #expect(ends(.ready, .terminating, soft) == end(.soft, .external))
    }

    @Test("A second, equal hello changes nothing more")
    func idempotent() {
        let reports = [report("b1", .ready), report("b2", .terminated), report("b3", .ready)]
        var rows = [Values.row("b1", .loading), Values.row("b2"), Values.row("b4")]
        let plan = reconcile(reports, rows)
        for record in plan.record {
            for index in rows.indices where rows[index].id == record.backend { rows[index].state = record.state }
        }
        rows.removeAll { $0.state.status == .terminated }
        let again = reconcile(reports, rows)
        #expect(again.record.isEmpty && again.spawn.isEmpty)
        #expect(again.keep == plan.keep)
    }

    @Test("A report is acknowledged, or its sender told to kill what must not run")
    func reportAnswers() {
        #expect(ReportAnswer(.ready, known: .loading) == .saved)
        #expect(ReportAnswer(.loading, known: .ready) == .saved)
        #expect(ReportAnswer(.ready, known: .terminated) == .kill)
        #expect(ReportAnswer(.ready, known: nil) == .kill)
        #expect(ReportAnswer(.terminated, known: .terminated) == .saved)
        #expect(ReportAnswer(.terminated, known: nil) == .saved)
        // The answer to an order to end what the drone never heard of is about whatever has that id.
        #expect(ReportAnswer.isOfNone(.terminated, FencingToken(0)))
        #expect(!ReportAnswer.isOfNone(.ready, FencingToken(0)) && !ReportAnswer.isOfNone(.terminated, FencingToken(1)))
    }
}

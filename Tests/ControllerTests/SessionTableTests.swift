import Linux
import Model
import Store
import Testing

@testable import Controller

/// When a drone is there, and when its session is to be ended. Times are seconds of the controller's boot clock; the lease
/// is 60 with a soft deadline of 40.
@Suite struct SessionTableTests {
    private let one = Values.drone("dr-1")
    private let machine = Values.greeting("dr-1").machine
    private let here = Values.controller("co-here")
    private let there = Values.controller("co-there")
    private let first = LinkID(number: 1)
    private let second = LinkID(number: 2)

    private func table(_ sharing: SessionTable.Sharing = .exclusive) -> SessionTable {
        SessionTable(lease: .standard, name: here, sharing: sharing)
    }

    private func linked(_ sharing: SessionTable.Sharing = .exclusive, at time: Int = 0) -> SessionTable {
        var table = table(sharing)
        _ = table.greeting(one, machine: machine, link: first)
        let row = Values.droneRow("dr-1", controller: here)
        let verdict = table.welcome(row, link: first, isOpen: true, now: Values.seconds(time))
        #expect(verdict == .linked(replacing: nil))
        return table
    }

    private func over(_ renewals: Int64 = 1, session: Int64 = 1) -> SessionTable.Over {
        .init(drone: one, session: SessionNumber(session), renewals: renewals)
    }

    @Test("A drone takes orders from its welcome on, not from its hello")
    func welcomeFirst() {
        var table = table()
        #expect(table.greeting(one, machine: machine, link: first) == nil)
        #expect(table.link(of: one) == nil)
        _ = table.welcome(Values.droneRow("dr-1"), link: first, isOpen: true, now: Values.seconds(0))
        #expect(table.linked == [one])
        #expect(table.link(of: one) == first)
        #expect(table.health(of: one, now: Values.seconds(0)) == .linked(first))
    }

    @Test("A session that was granted a longer lease, by an earlier controller, gets that much")
    func longerLease() {
        var table = table()
        var row = Values.droneRow("dr-1")
        row.leaseMilliseconds = 100_000
        table.observe(row, now: Values.seconds(0))
        #expect(table.expire(now: Values.seconds(99)).isEmpty)
        #expect(table.expire(now: Values.seconds(100)) == [over()])
    }

    @Test("A session is to be ended an expiry after the last renewal, to the nanosecond, and is named once")
    func expiry() {
        var table = linked()
        #expect(table.renew(one, link: first, now: Values.seconds(59)) == .renewed)
        let nearly = BootInstant(nanoseconds: Values.seconds(119).nanoseconds - 1)
        #expect(table.expire(now: nearly).isEmpty)
        #expect(table.expire(now: Values.seconds(119)) == [over()])
        #expect(table.expire(now: Values.seconds(120)).isEmpty)
        #expect(!table.holds(one, SessionNumber(1)))
        #expect(table.ended(over()) == first)
        #expect(table.link(of: one) == nil)
        #expect(table.expire(now: Values.seconds(500)).isEmpty)
    }

    @Test(
        "A renewal that comes after the session's time is refused although no timer has noticed, and until the end is recorded"
    )
    func lateRenewal() {
        var table = linked()
        #expect(table.renew(one, link: first, now: Values.seconds(60)) == .expired)
        #expect(table.expire(now: Values.seconds(60)) == [over()])
        table.endFailed(over())
        #expect(table.renew(one, link: first, now: Values.seconds(61)) == .expired)
        #expect(table.expire(now: Values.seconds(61)) == [over()])
        _ = table.ended(over())
        #expect(table.renew(one, link: first, now: Values.seconds(62)) == .superseded)
        table.defects = .renewalRevivesExpired
        var wrong = linked()
        wrong.defects = .renewalRevivesExpired
        #expect(wrong.renew(one, link: first, now: Values.seconds(60)) == .renewed)
    }

    @Test("A drone that lost its connection keeps its session until it is over, and may return")
    func returning() {
        var table = linked()
        let wasItsOwn = table.closed(one, link: first)
        #expect(wasItsOwn)
        #expect(table.holds(one, SessionNumber(1)))
        #expect(table.health(of: one, now: Values.seconds(1)) == .silent)
        #expect(table.greeting(one, machine: machine, link: second) == nil)
        let row = Values.droneRow("dr-1", renewals: 2, controller: here)
        _ = table.welcome(row, link: second, isOpen: true, now: Values.seconds(30))
        #expect(table.expire(now: Values.seconds(89)).isEmpty)
        #expect(table.expire(now: Values.seconds(90)) == [over(2)])
    }

    @Test("The same machine replaces its own stale connection; the old one's end then changes nothing")
    func replacing() {
        var table = linked()
        #expect(table.greeting(one, machine: machine, link: second) == first)
        #expect(table.renew(one, link: first, now: Values.seconds(2)) == .superseded)
        let wasItsOwn = table.closed(one, link: first)
        #expect(!wasItsOwn)
        let verdict = table.welcome(
            Values.droneRow("dr-1", renewals: 2), link: second, isOpen: true, now: Values.seconds(2))
        #expect(verdict == .linked(replacing: nil))
        #expect(table.link(of: one) == second)
    }

    @Test("Another machine's hello leaves the connection as it is until the record says who the drone is")
    func otherMachine() {
        var table = linked()
        let other = Values.greeting("dr-1", machine: "m2").machine
        #expect(table.greeting(one, machine: other, link: second) == nil)
        #expect(table.link(of: one) == first)
        table.refused(one, link: second)
        #expect(table.link(of: one) == first)
    }

    @Test("A welcome for a connection that is gone, or that a newer hello has followed, is not given")
    func lateWelcome() {
        var table = table()
        _ = table.greeting(one, machine: machine, link: first)
        _ = table.closed(one, link: first)
        let row = Values.droneRow("dr-1")
        #expect(table.welcome(row, link: first, isOpen: false, now: Values.seconds(0)) == .superseded)
        _ = table.greeting(one, machine: machine, link: first)
        #expect(table.greeting(one, machine: machine, link: second) == first)
        #expect(table.welcome(row, link: first, isOpen: false, now: Values.seconds(0)) == .superseded)
        #expect(table.welcome(row, link: second, isOpen: true, now: Values.seconds(0)) == .linked(replacing: nil))
    }

    @Test("After a restart every session gets a full lease from the moment at which it was read")
    func restart() {
        var table = table()
        table.observeAll([Values.droneRow("dr-1", backends: 3)], now: Values.seconds(1000))
        #expect(table.holds(one, SessionNumber(1)))
        #expect(table.expire(now: Values.seconds(1059)).isEmpty)
        #expect(table.expire(now: Values.seconds(1060)) == [over()])
        var wrong = self.table()
        wrong.defects = .restartForgetsSessions
        wrong.observeAll([Values.droneRow("dr-1")], now: Values.seconds(1000))
        #expect(wrong.expire(now: Values.seconds(1000)) == [over()])
    }

    @Test(
        "With a shared store a count of renewals that stood for an expiry names the session; one that changes begins anew"
    )
    func countStands() {
        var table = table(.shared)
        table.observeAll([Values.droneRow("dr-1", renewals: 5)], now: Values.seconds(0))
        table.observeAll([Values.droneRow("dr-1", renewals: 6)], now: Values.seconds(50))
        table.observeAll([Values.droneRow("dr-1", renewals: 6)], now: Values.seconds(100))
        #expect(table.expire(now: Values.seconds(109)).isEmpty)
        #expect(table.expire(now: Values.seconds(110)) == [over(6)])
        // It was renewed after all: it gets its whole time again.
        table.isNotAsSeen(over(6), now: Values.seconds(111))
        #expect(table.expire(now: Values.seconds(170)).isEmpty)
        #expect(table.expire(now: Values.seconds(171)) == [over(6)])
    }

    @Test("With a shared store a renewal is for the store to accept, and counts from when that was known")
    func renewalIsRecorded() {
        var table = linked(.shared)
        #expect(table.renew(one, link: first, now: Values.seconds(300)) == .toRecord(SessionNumber(1)))
        let isLinked = table.renewalRecorded(one, link: first, now: Values.seconds(301))
        #expect(isLinked)
        #expect(table.expire(now: Values.seconds(360)).isEmpty)
        #expect(table.expire(now: Values.seconds(361)) == [over()])
    }

    @Test("A session that another controller ended or began anew is known from its row")
    func othersEndIt() {
        var table = table(.shared)
        table.observeAll([Values.droneRow("dr-1")], now: Values.seconds(0))
        table.observeAll([Values.droneRow("dr-1", session: nil)], now: Values.seconds(1))
        #expect(table.health(of: one, now: Values.seconds(1)) == .away)
        #expect(table.expire(now: Values.seconds(100)).isEmpty)
        table.observeAll([Values.droneRow("dr-1", session: 2, renewals: 2)], now: Values.seconds(100))
        #expect(table.holds(one, SessionNumber(2)) && !table.holds(one, SessionNumber(1)))
        #expect(table.expire(now: Values.seconds(160)) == [over(2, session: 2)])
    }

    @Test("A drone of another controller is healthy while that one beats and the drone renews")
    func elsewhere() {
        var table = table(.shared)
        func beats(_ count: Int64) -> [ControllerRow] {
            [ControllerRow(name: there, version: "1", beats: count, seenMilliseconds: 0)]
        }
        table.observeAll([Values.droneRow("dr-1", controller: there)], now: Values.seconds(0))
        #expect(table.health(of: one, now: Values.seconds(0)) == .silent)
        table.observe(beats(1), now: Values.seconds(0))
        #expect(table.health(of: one, now: Values.seconds(5)) == .elsewhere(there))
        table.observe(beats(1), now: Values.seconds(6))
        #expect(table.health(of: one, now: Values.seconds(6)) == .silent)
        table.observe(beats(2), now: Values.seconds(7))
        #expect(table.health(of: one, now: Values.seconds(7)) == .elsewhere(there))
        table.observe(beats(20), now: Values.seconds(39))
        #expect(table.health(of: one, now: Values.seconds(40)) == .silent)
    }

    @Test("A drone that was deleted is forgotten, but not one whose hello is being recorded")
    func deleted() {
        var table = linked(.shared)
        let two = Values.drone("dr-2")
        _ = table.greeting(two, machine: machine, link: second)
        table.observeAll([], now: Values.seconds(1))
        #expect(table.link(of: one) == first)
        _ = table.closed(one, link: first)
        table.observeAll([], now: Values.seconds(2))
        #expect(table.health(of: one, now: Values.seconds(2)) == .away)
        let verdict = table.welcome(Values.droneRow("dr-2"), link: second, isOpen: true, now: Values.seconds(2))
        #expect(verdict == .linked(replacing: nil))
    }

    @Test("Draining and silence are seen by the next placement")
    func view() {
        var table = linked()
        #expect(table.view(now: Values.seconds(0)).drones.map(\.isHeard) == [true])
        table.set(.draining(endAtMilliseconds: nil), of: one)
        #expect(table.view(now: Values.seconds(0)).drones.map(\.willingness.isDraining) == [true])
        _ = table.closed(one, link: first)
        #expect(table.view(now: Values.seconds(0))[one]?.isHeard == false)
    }
}

import Linux
import Model
import Store
import Testing

@testable import Controller

/// When a drone is there, and when it is given up. Times are seconds of the controller's boot clock; the lease is 60.
@Suite struct SessionTableTests {
    private let one = Values.drone("dr-1")
    private let first = LinkID(number: 1)
    private let second = LinkID(number: 2)

    private func table(known: [DroneName] = [], at start: Int = 0) -> SessionTable {
        SessionTable(lease: .standard, known: known, now: Values.seconds(start))
    }

    private func linked(at time: Int = 0) -> SessionTable {
        var table = table()
        _ = table.hello(one, process: "p", link: first, now: Values.seconds(time))
        _ = table.welcome(Values.linked("dr-1"), link: first)
        return table
    }

    @Test("A drone takes orders from its welcome on, not from its hello")
    func welcomeFirst() {
        var table = table()
        #expect(table.hello(one, process: "p", link: first, now: Values.seconds(0)) == .accepted(replacing: nil))
        #expect(table.linked.isEmpty)
        #expect(table.link(of: one) == nil)
        let isWelcome = table.welcome(Values.linked("dr-1"), link: first)
        #expect(isWelcome)
        #expect(table.linked.map(\.name) == [one])
        #expect(table.link(of: one) == first)
    }

    @Test("A lease ends an expiry after the last renewal, to the nanosecond")
    func expiry() {
        var table = linked()
        #expect(table.renew(one, link: first, now: Values.seconds(59)) == .renewed)
        let nearly = BootInstant(nanoseconds: Values.seconds(119).nanoseconds - 1)
        #expect(table.expire(now: nearly).isEmpty)
        #expect(table.expire(now: Values.seconds(119)) == [.init(name: one, link: first)])
        #expect(!table.holdsLease(one))
        #expect(table.linked.isEmpty)
        #expect(table.expire(now: Values.seconds(500)).isEmpty)
    }

    @Test("A renewal that comes after the lease's end is refused although no timer has noticed the end")
    func lateRenewal() {
        var table = linked()
        #expect(table.renew(one, link: first, now: Values.seconds(60)) == .expired)
        #expect(table.expire(now: Values.seconds(60)).map(\.name) == [one])
        #expect(table.renew(one, link: first, now: Values.seconds(61)) == .superseded)
    }

    @Test("A drone that lost its connection keeps its lease until it is over, and may return")
    func returning() {
        var table = linked()
        table.closed(one, link: first)
        #expect(table.holdsLease(one))
        #expect(table.linked.isEmpty)
        #expect(table.hello(one, process: "p", link: second, now: Values.seconds(30)) == .accepted(replacing: nil))
        _ = table.welcome(Values.linked("dr-1"), link: second)
        #expect(table.expire(now: Values.seconds(89)).isEmpty)
        #expect(table.expire(now: Values.seconds(90)) == [.init(name: one, link: second)])
    }

    @Test("The same process replaces its own stale connection; the old one's end then changes nothing")
    func replacing() {
        var table = linked()
        #expect(table.hello(one, process: "p", link: second, now: Values.seconds(1)) == .accepted(replacing: first))
        #expect(table.renew(one, link: first, now: Values.seconds(2)) == .superseded)
        table.closed(one, link: first)
        let isWelcome = table.welcome(Values.linked("dr-1"), link: second)
        #expect(isWelcome)
        #expect(table.link(of: one) == second)
    }

    @Test("Another process of the same name is turned away while the first is connected, and let in afterwards")
    func sameName() {
        var table = linked()
        #expect(table.hello(one, process: "q", link: second, now: Values.seconds(1)) == .nameInUse)
        #expect(table.link(of: one) == first)
        table.closed(one, link: first)
        #expect(table.hello(one, process: "q", link: second, now: Values.seconds(2)) == .accepted(replacing: nil))
    }

    @Test("A welcome that comes after the session's end is not given")
    func lateWelcome() {
        var table = table()
        _ = table.hello(one, process: "p", link: first, now: Values.seconds(0))
        _ = table.expire(now: Values.seconds(60))
        let isWelcome = table.welcome(Values.linked("dr-1"), link: first)
        #expect(!isWelcome)
        #expect(table.linked.isEmpty)
    }

    @Test("After a restart, drones with backends get a full lease from the start")
    func restart() {
        var table = table(known: [one], at: 1000)
        #expect(table.holdsLease(one))
        #expect(table.expire(now: Values.seconds(1059)).isEmpty)
        #expect(table.expire(now: Values.seconds(1060)) == [.init(name: one, link: nil)])
    }

    @Test("Draining is seen by the next placement")
    func draining() {
        var table = linked()
        table.set(.draining, of: one)
        #expect(table.linked.map(\.willingness) == [.draining])
    }
}

import Linux
import Model
import Testing

@testable import Drone

private func at(_ milliseconds: UInt64) -> BootInstant { BootInstant(nanoseconds: milliseconds * 1_000_000) }

private func grant(_ token: String, _ backend: String = "demo1", lifetime: Int64? = nil) -> RouteGrant {
    RouteGrant(
        token: token, backend: backend, cluster: "localhost", subdomain: nil, user: nil, userData: nil,
        secretToken: "", lifetimeMilliseconds: lifetime, connects: 1)
}

@Suite("Routes")
struct RouteBookTests {
    @Test("A question is asked once while it is fresh, and again when it is not")
    func asksOnce() {
        var routes = RouteBook()
        #expect(routes.needed("t", now: at(0)) == [.ask(token: "t")])
        #expect(routes.needed("t", now: at(500)) == [])
        #expect(routes.needed("t", now: at(1_500)) == [.ask(token: "t")])
    }

    @Test("Questions that the link lost are asked again over the next one, as long as somebody waits")
    func asksAgain() {
        var routes = RouteBook()
        _ = routes.needed("old", now: at(0))
        _ = routes.needed("new", now: at(9_000))
        #expect(routes.linkOpened(now: at(11_000)) == [.ask(token: "new")])
    }

    @Test("A flood of invented tokens is refused instead of asked about, and does not last")
    func flood() {
        var routes = RouteBook()
        for number in 0..<RouteBook.askedMax { _ = routes.needed("t\(number)", now: at(0)) }
        #expect(routes.needed("more", now: at(1)) == [.unknown(token: "more")])
        #expect(routes.needed("later", now: at(10_001)) == [.ask(token: "later")])
    }

    @Test("A grant lives from its arrival for as long as it says")
    func lifetime() {
        var routes = RouteBook()
        #expect(
            routes.granted(grant("t", lifetime: 5_000), .reachable, now: at(100))
                == [.set(grant("t", lifetime: 5_000), expires: at(5_100))])
        #expect(
            routes.granted(grant("u"), .reachable, now: at(100))
                == [.set(grant("u"), expires: BootInstant(nanoseconds: .max))])
    }

    @Test("A grant for a backend that takes no requests answers who asked, and is nothing to others")
    func unreachable() {
        var routes = RouteBook()
        #expect(routes.granted(grant("pushed"), .unreachable, now: at(0)) == [])
        _ = routes.needed("asked", now: at(0))
        #expect(routes.granted(grant("asked"), .unreachable, now: at(1)) == [.unknown(token: "asked")])
        #expect(routes.denied("t") == [.unknown(token: "t")])
    }

    @Test("A backend that closes takes its tokens along, and no others")
    func closes() {
        var routes = RouteBook()
        for token in ["a", "b", "a"] { _ = routes.granted(grant(token), .reachable, now: at(0)) }
        _ = routes.granted(grant("c", "demo2"), .reachable, now: at(0))
        #expect(Set(routes.closed(backend: "demo1").map { "\($0)" }).count == 2)
        #expect(routes.closed(backend: "demo1") == [])
        #expect(routes.closed(backend: "demo2") == [.remove(token: "c")])
    }

    @Test("A closed backend's tokens are answered without asking, until the backend is forgotten")
    func shut() {
        var routes = RouteBook()
        _ = routes.granted(grant("t"), .reachable, now: at(0))
        _ = routes.closed(backend: "demo1")
        #expect(routes.needed("t", now: at(1)) == [.unknown(token: "t")])
        routes.forgotten(backend: "demo1")
        #expect(routes.needed("t", now: at(2)) == [.ask(token: "t")])
    }

    @Test("A revoked token is cut and stays shut, also when its grant was on its way, and others are as before")
    func revoked() {
        var routes = RouteBook()
        _ = routes.granted(grant("known"), .reachable, now: at(0))
        _ = routes.granted(grant("other"), .reachable, now: at(0))
        _ = routes.needed("asked", now: at(0))
        let cut: [RouteBook.Action] = [.remove(token: "known"), .cut(token: "known")]
        #expect(routes.revoked(["known"]) == cut)
        #expect(routes.revoked(["known"]) == cut, "what is told again is done again")
        #expect(routes.needed("known", now: at(1)) == [.unknown(token: "known")])
        #expect(
            routes.revoked(["asked"]) == [.remove(token: "asked"), .cut(token: "asked"), .unknown(token: "asked")])
        #expect(routes.granted(grant("asked"), .reachable, now: at(2)) == [])
        #expect(routes.needed("other", now: at(3)) == [.ask(token: "other")])
    }

    @Test("Revoked tokens that are remembered are bounded, and the oldest go first")
    func revokedIsBounded() {
        var routes = RouteBook()
        for number in 0...RouteBook.revokedMax { _ = routes.revoked(["t\(number)"]) }
        #expect(routes.needed("t0", now: at(1)) == [.ask(token: "t0")])
        #expect(routes.needed("t1", now: at(1)) == [.unknown(token: "t1")])
    }

    @Test("Tokens of a long-lived backend do not grow without bound")
    func bounded() {
        var routes = RouteBook()
        for number in 0..<RouteBook.tokensMax + 100 {
            _ = routes.granted(grant("t\(number)", lifetime: 1), .reachable, now: at(UInt64(number)))
        }
        #expect(routes.closed(backend: "demo1").count <= RouteBook.tokensMax)
    }
}

@Suite("Sockets that are owed")
struct SocketDebtsTests {
    @Test("Large wishes are asked for in packets, and answered in order")
    func split() {
        var debts = SocketDebts(requestMax: 16)
        debts.ask(.proxy(thread: 1), count: 20)
        debts.ask(.probe, count: 1)
        #expect(debts.takeOwed().map(\.count) == [16, 4, 1])
        #expect(debts.takeOwed() == [])
        #expect(debts.answered(count: 16) == .proxy(thread: 1))
        #expect(debts.answered(count: 4) == .proxy(thread: 1))
        #expect(debts.answered(count: 1) == .probe)
        #expect(debts.answered(count: 1) == nil)
        #expect(!debts.isOwing)
    }

    @Test("What the warden did not deliver is owed still, except to the probe, which asks anew")
    func undelivered() {
        var debts = SocketDebts(requestMax: 16)
        debts.ask(.proxy(thread: 0), count: 5)
        debts.ask(.probe, count: 1)
        _ = debts.takeOwed()
        #expect(debts.answered(count: 2) == .proxy(thread: 0))
        #expect(debts.answered(count: 0) == .probe)
        #expect(debts.takeOwed().map(\.count) == [3])
        debts.disconnected()
        #expect(debts.takeOwed().map(\.count) == [3])
    }
}

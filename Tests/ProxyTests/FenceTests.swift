import Linux
import Synchronization
import Testing

@testable import Proxy

/// What a proxy lets through when a lease is over or a token was taken back, whoever tells it and whoever does not.
@Suite("Leases and tokens that end")
struct FenceTests {
    /// What a backend has received behind an upgrade.
    private final class Heard: Sendable {
        let bytes = Mutex<[UInt8]>([])
        let hasEnded = Atomic<Bool>(false)
        var all: [UInt8] { bytes.withLock { $0 } }

        /// Upgrades, and sends back what it hears.
        func serve(_ socket: RawSocket) {
            guard socket.readHead() != nil else { return }
            socket.send(TunnelTests.switched)
            while case .bytes(let more) = socket.receive() {
                bytes.withLock { $0 += more }
                socket.send(more)
            }
            hasEnded.store(true, ordering: .sequentiallyConsistent)
        }
    }

    @Test("Not a byte passes after the lease's end, though nobody told the proxy of it", arguments: [1, 4])
    func notAByte(_ threads: Int) throws {
        let heard = Heard()
        let backend = try TestBackend(connections: { heard.serve($0) })
        let site = try TestSite(threadCount: threads)
        defer { site.stop(); backend.stop() }
        site.add("b1", port: backend.port)
        try site.route("tok", to: "b1")
        let clients = try (0..<8).map { _ in try #require(TunnelTests.upgraded(site, "/tok/ws")) }
        for client in clients {
            client.send("in time")
            #expect(client.read(7) == Array("in time".utf8))
        }
        // What a stopped process finds when it goes on: only the clock has changed.
        site.setLease("b1", until: BootInstant.now.nanoseconds)
        for client in clients {
            client.send("too late")
            #expect(client.readToEnd() == [])
        }
        #expect(site.eventually { site.active("b1") == 0 && site.proxy.totals.open == 0 })
        #expect(heard.all.count == 8 * 7)
        let response = try #require(site.exchange(get("/tok/x")))
        #expect(response.status == 503)
        #expect(response.text.contains("lease"))
    }

    @Test("A response is cut off where the lease ends, and the rest of a request stays away from the backend")
    func cutsBodies() throws {
        let received = Mutex(0)
        let backend = try TestBackend(connections: { socket in
            guard let head = socket.readHead() else { return }
            if head.hasPrefix("POST") {
                while case .bytes(let bytes) = socket.receive() { received.withLock { $0 += bytes.count } }
            } else {
                socket.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
                guard case .bytes = socket.receive() else { return }
            }
        })
        let site = try TestSite()
        defer { site.stop(); backend.stop() }
        site.add("b1", port: backend.port)
        try site.route("tok", to: "b1")
        let reader = site.client()
        reader.send(get("/tok/x"))
        #expect(reader.readHead() != nil)
        #expect(reader.read(5) == Array("hello".utf8))
        let writer = site.client()
        writer.send("POST /tok/x HTTP/1.1\r\nHost: localhost:9090\r\nContent-Length: 10\r\n\r\nhello")
        #expect(site.eventually { received.withLock { $0 } == 5 })
        site.setLease("b1", until: 1)
        writer.send("world")
        #expect(writer.readResponse()?.status == 503)
        #expect(reader.readToEnd() == [])
        #expect(site.eventually { site.active("b1") == 0 })
        #expect(received.withLock { $0 } == 5)
    }

    @Test("Connections on which nothing moves are cut when the lease ends, and a renewed lease's are not")
    func cutsAtTheMoment() throws {
        let heard = Heard()
        let backend = try TestBackend(connections: { heard.serve($0) })
        let site = try TestSite()
        defer { site.stop(); backend.stop() }
        let end = BootInstant.now + .milliseconds(300)
        for name in ["ending", "renewed"] {
            site.add(name, port: backend.port, leaseDeadline: end.nanoseconds)
            try site.route(name, to: name)
        }
        let renewed = try #require(TunnelTests.upgraded(site, "/renewed/ws"))
        let ending = try #require(TunnelTests.upgraded(site, "/ending/ws"))
        site.setLease("renewed", until: (end + .seconds(3600)).nanoseconds)
        #expect(ending.readToEnd() == [])
        #expect(BootInstant.now >= end)
        #expect(site.eventually { heard.hasEnded.load(ordering: .sequentiallyConsistent) })
        renewed.send("still")
        #expect(renewed.read(5) == Array("still".utf8))
    }

    @Test("A backend whose lease is over is never entered, whatever the owner says of it")
    func neverEntered() throws {
        let backend = try TestBackend { _ in ok("in") }
        let site = try TestSite()
        defer { site.stop(); backend.stop() }
        site.add("b1", port: nil)
        try site.route("tok", to: "b1")
        let waiting = site.client()
        waiting.send(get("/tok/x"))
        #expect(site.eventually { site.proxy.totals.held == 1 })
        site.setLease("b1", until: 1)
        site.proxy.send(.setGate(backend: "b1", .ready(port: backend.port)))
        #expect(waiting.readResponse()?.status == 503)
        #expect(site.exchange(get("/tok/x"))?.status == 503)
        #expect(backend.connectionCount == 0)
        // One that was ready all along, and of which the thread has no open connection that would have it look.
        site.add("b2", port: backend.port)
        try site.route("two", to: "b2")
        #expect(site.exchange(get("/two/x", "Connection: close\r\n"))?.status == 200)
        #expect(site.eventually { site.proxy.totals.open <= 1 })
        site.setLease("b2", until: 1)
        #expect(site.exchange(get("/two/x"))?.status == 503)
        #expect(backend.connectionCount == 1)
    }

    @Test("A revoked token's connections are cut and its requests refused, and nobody else's", arguments: [1, 4])
    func revocation(_ threads: Int) throws {
        let heard = Heard()
        let backend = try TestBackend(connections: { heard.serve($0) })
        let site = try TestSite(threadCount: threads)
        defer { site.stop(); backend.stop() }
        site.add("b1", port: backend.port)
        for token in ["mine", "theirs"] { try site.route(token, to: "b1") }
        let mine = try (0..<8).map { _ in try #require(TunnelTests.upgraded(site, "/mine/ws")) }
        let theirs = try (0..<8).map { _ in try #require(TunnelTests.upgraded(site, "/theirs/ws")) }
        site.unroute("mine")
        site.proxy.send(.cutToken("mine"))
        site.proxy.send(.cutToken("never seen"))
        for client in mine { #expect(client.readToEnd() == []) }
        #expect(site.exchange(get("/mine/x"))?.status == 410)
        for client in theirs {
            client.send("here")
            #expect(client.read(4) == Array("here".utf8))
        }
        #expect(site.active("b1") == 8)
        // Once more, and of a token that has only waiters.
        site.proxy.send(.cutToken("mine"))
        #expect(site.active("b1") == 8)
    }

    @Test("Whatever a revoked token's connection is doing, it ends: between requests, held, or within an answer")
    func revocationInEveryPhase() throws {
        let backend = try TestBackend(connections: { socket in
            while let head = socket.readHead() {
                if head.contains("/whole") { socket.send(ok("done")) }
                if head.contains("/half") { socket.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello") }
            }
        })
        let site = try TestSite()
        defer { site.stop(); backend.stop() }
        site.add("b1", port: backend.port)
        site.add("b2", port: nil)
        try site.route("tok", to: "b1")
        try site.route("held", to: "b2")
        let idle = site.client()
        idle.send(get("/tok/whole"))
        #expect(idle.readResponse()?.text == "done")
        let half = site.client()
        half.send(get("/tok/half"))
        #expect(half.readHead() != nil)
        #expect(half.read(5) == Array("hello".utf8))
        let unanswered = site.client()
        unanswered.send(get("/tok/silent"))
        let held = site.client()
        held.send(get("/held/x"))
        #expect(site.eventually { site.active("b1") == 2 && site.proxy.totals.held == 1 })
        for token in ["tok", "held"] {
            site.unroute(token)
            site.proxy.send(.cutToken(token))
        }
        #expect(idle.readToEnd() == [])
        #expect(half.readToEnd() == [])
        #expect(unanswered.readResponse()?.status == 410)
        #expect(held.readResponse()?.status == 410)
        #expect(site.eventually { site.active("b1") == 0 && site.active("b2") == 0 })
    }

    @Test("A token is refused from the moment at which it expires, on a kept connection too")
    func expiry() throws {
        let backend = try TestBackend { _ in ok("in") }
        let site = try TestSite()
        defer { site.stop(); backend.stop() }
        site.add("b1", port: backend.port)
        let end = BootInstant.now + .milliseconds(300)
        try site.route("tok", to: "b1", expiresAt: end.nanoseconds)
        let client = site.client()
        var accepted = 0
        while true {
            let before = BootInstant.now
            client.send(get("/tok/x"))
            let status = try #require(client.readResponse()).status
            if before >= end {
                #expect(status == 410)
                break
            }
            if BootInstant.now < end { #expect(status == 200) }
            accepted += 1
        }
        #expect(accepted > 0)
        #expect(backend.requests.count <= accepted)
    }
}

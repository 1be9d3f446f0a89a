import Glibc
import Model
import Store
import Testing

/// A server that goes away, stands still or lets somebody else hold the lock.
@Suite struct PostgresFaultTests {
    /// Short times, so that what waits for one to be over need not wait long.
    private static let hasty: PostgresLimits = {
        var limits = PostgresLimits()
        limits.connect = 1000
        limits.patience = 300
        limits.idleInTransaction = 300
        limits.answer = 2000
        limits.ping = 200
        return limits
    }()

    @Test("After a crash of the server all that was committed is there, and the next job works")
    func crash() throws {
        let server = try PostgresServer()
        let site = try PostgresSite(server)
        let store = try site.store()
        try greet(in: store)
        for number in 1...5 { try place(spec("b\(number)", key: "k\(number)"), in: store) }
        let before = try store.run { try $0.backends(.all, after: nil, limit: 9) }
        try store.begin()
        try store.step { try $0.place(spec("b6", key: "k6")) }
        server.stop("immediate")
        #expect(failure { try store.commit() } != nil)
        #expect(!store.isInTransaction)
        // While it is away a job fails, and says why.
        let away = failure { try holder(of: "k1", in: store) }
        #expect(away?.kind == .busy)
        #expect(away?.message.contains("cannot connect to postgres://") == true)
        try server.start()
        #expect(try store.run { try $0.backends(.all, after: nil, limit: 9) } == before)
        let next = try place(spec("b6", key: "k6"), in: store)
        #expect(before.allSatisfy { $0.fencingToken < next.fencingToken })
    }

    @Test("A restart of the server between two jobs goes unnoticed")
    func restart() throws {
        let server = try PostgresServer()
        let site = try PostgresSite(server)
        let store = try site.store()
        try greet(in: store)
        server.stop("fast")
        try server.start()
        #expect(try place(spec("b1", key: "k"), in: store).fencingToken == FencingToken(1))
    }

    @Test("A job waits for a server that is just starting again")
    func patience() throws {
        let server = try PostgresServer()
        let site = try PostgresSite(server)
        var limits = PostgresLimits()
        limits.patience = 60_000
        let store = try site.store("co-1", limits)
        try greet(in: store)
        server.stop("fast")
        let starting = TestThread { try? server.start() }
        defer { starting.join() }
        try place(spec("b1", key: "k"), in: store)
        #expect(try holder(of: "k", in: store)?.id == id("b1"))
    }

    @Test("A session that the server ends within a transaction takes all of it along, and the next one works")
    func endedSession() throws {
        let site = try PostgresSite()
        let store = try site.store()
        try greet(in: store)
        try store.begin()
        try store.step { try $0.place(spec("b1", key: "k1")) }
        try site.endSessions()
        let lost = failure { try store.step { try $0.place(spec("b2", key: "k2")) } }
        #expect(lost != nil)
        #expect(!store.isInTransaction)
        try place(spec("b3", key: "k3"), in: store)
        #expect(try store.run { try $0.backends(.all, after: nil, limit: 9) }.map(\.id.text) == ["b3"])
    }

    @Test("A controller that stops within a transaction is cut off, and the others go on")
    func idleHolder() throws {
        let site = try PostgresSite()
        let (stopped, other) = (try site.store("co-1", Self.hasty), try site.store("co-2"))
        try greet(in: other)
        try stopped.begin()
        try stopped.step { try $0.place(spec("b1", key: "k")) }
        // It waits for the lock, gets it, and finds the key free.
        try place(spec("b2", key: "k"), in: other)
        #expect(failure { try stopped.commit() } != nil)
        #expect(try holder(of: "k", in: stopped)?.id == id("b2"))
    }

    @Test("Whoever waits too long for the lock is told so, and works when it is free again")
    func lockIsHeld() throws {
        let site = try PostgresSite()
        var limits = PostgresLimits()
        limits.lock = 200
        let (holding, waiting) = (try site.store("co-1"), try site.store("co-2", limits))
        try holding.begin()
        let error = failure { try greet(in: waiting) }
        #expect(error?.kind == .busy)
        #expect(error?.message.contains("SQLSTATE 55P03") == true)
        holding.rollBack()
        try greet(in: waiting)
    }

    @Test("A server that stands still fails the job in bounded time, and the next one works when it goes on")
    func stoppedServer() throws {
        let site = try PostgresSite()
        let store = try site.store("co-1", Self.hasty)
        try greet(in: store)
        let process = try site.servingProcess()
        kill(process, SIGSTOP)
        let error = failure { try place(spec("b1", key: "k"), in: store) }
        kill(process, SIGCONT)
        #expect(error?.kind == .busy)
        #expect(error?.message.contains("did not answer within 2000 ms") == true)
        try place(spec("b2", key: "k2"), in: store)
    }

    @Test("A server whose fsync is off is told of, and one whose is on is not")
    func durabilityDoubt() throws {
        let server = try PostgresServer()
        let site = try PostgresSite(server)
        #expect(try site.store().durabilityDoubt == nil)
        try site.sql("ALTER SYSTEM SET fsync = off")
        server.stop("fast")
        try server.start()
        #expect(try site.store().durabilityDoubt?.contains("fsync off") == true)
    }
}

/// The URL and what may be said of it.
@Suite struct PostgresURLTests {
    @Test("A password is in no message and no description")
    func passwordIsHidden() throws {
        let secret = "s3cr3t-p4ssw0rd"
        let url = try PostgresURL("postgres://plane:\(secret)@127.0.0.1:1/plane?connect_timeout=2")
        #expect("\(url)" == "postgres://plane@127.0.0.1:1/plane")
        var limits = PostgresLimits()
        limits.patience = 0
        let error = failure { try PostgresStore(url: url, writer: "co-1", limits: limits) }
        #expect(error?.kind == .busy)
        #expect(error?.description.contains("127.0.0.1") == true)
        #expect(error?.description.contains(secret) == false)
    }

    @Test(
        "A URL that is none is refused without being repeated",
        arguments: [
            "postgres://plane:s3cr3t/x@host/plane", "postgres://plane:s3cr3t@host:port/plane", "postgres://[s3cr3t",
            "postgres://plane@s3cr3t@host/plane", "postgres://plane:1234/s3cr3t@host/plane",
            "postgres://host/plane?s3cr3t=1", "plane.db",
        ])
    func malformed(_ text: String) {
        let error = failure { try PostgresURL(text) }
        #expect(error?.message.contains("%2F") == true)
        #expect(error?.description.contains("s3cr3t") == false)
    }

    @Test("What begins as a URL of PostgreSQL is one, and a path is not")
    func isOne() {
        #expect(PostgresURL.isOne("postgres://h/d"))
        #expect(PostgresURL.isOne("postgresql:///d"))
        #expect(!PostgresURL.isOne("/var/lib/plane.db"))
    }
}

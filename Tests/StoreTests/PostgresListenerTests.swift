import Glibc
import Model
import Store
import Synchronization
import Testing

/// What one controller hears of another's changes.
@Suite struct PostgresListenerTests {
    @Test("A controller hears what another changed, and not what it changed itself")
    func hearsTheOther() throws {
        let site = try PostgresSite()
        let (mine, other) = (try site.store("co-1"), try site.store("co-2"))
        let ear = try Ear(site.url, reader: "co-1")
        defer { ear.listener.stop() }
        #expect(ear.waits(for: [.missed]))
        try greet("dr-mine", in: mine)
        try greet("dr-1", in: other)
        try place(spec("b1", key: "k"), in: other)
        try record(BackendState(.ready), of: "b1", in: other)
        #expect(ear.waits(for: [.drone(droneName("dr-1")), .backend(id("b1"))]))
        #expect(!ear.heard.contains(.drone(droneName("dr-mine"))))
    }

    @Test("What was rolled back is not heard, and what a job undid changes nothing")
    func rolledBack() throws {
        let site = try PostgresSite()
        let other = try site.store("co-2")
        try greet(in: other)
        let ear = try Ear(site.url, reader: "co-1")
        defer { ear.listener.stop() }
        #expect(ear.waits(for: [.missed]))
        try other.begin()
        try other.step { try $0.place(spec("b1", key: "k")) }
        other.rollBack()
        try place(spec("b2", key: "k"), in: other)
        #expect(ear.waits(for: [.backend(id("b2"))]))
        #expect(!ear.heard.contains(.backend(id("b1"))))
    }

    @Test("More changes than one notice holds are heard all the same")
    func manyChanges() throws {
        let site = try PostgresSite()
        let other = try site.store("co-2")
        try greet(in: other)
        let ear = try Ear(site.url, reader: "co-1")
        defer { ear.listener.stop() }
        #expect(ear.waits(for: [.missed]))
        let names = (0..<400).map { "backend-with-a-name-of-45-characters-in-a-\($0 + 100)" }
        try other.begin()
        for name in names { try other.step { try $0.place(spec(name, key: name)) } }
        try other.commit()
        #expect(ear.waits(for: Set(names.map { .backend(id($0)) })))
    }

    @Test("After the server restarted, the listener says that it missed something and hears again")
    func restart() throws {
        let server = try PostgresServer()
        let site = try PostgresSite(server)
        let other = try site.store("co-2")
        let ear = try Ear(site.url, reader: "co-1")
        defer { ear.listener.stop() }
        #expect(ear.waits(for: [.missed]))
        ear.forget()
        server.stop("immediate")
        try server.start()
        #expect(ear.waits(for: [.missed]))
        try greet(in: other)
        #expect(ear.waits(for: [.drone(droneName("dr-1"))]))
    }

    @Test("A server that stands still is noticed, and heard again when it goes on")
    func stoppedServer() throws {
        let site = try PostgresSite()
        var limits = PostgresLimits()
        limits.ping = 200
        let ear = try Ear(site.url, reader: "co-1", limits)
        defer { ear.listener.stop() }
        #expect(ear.waits(for: [.missed]))
        ear.forget()
        let process = try site.servingProcess()
        kill(process, SIGSTOP)
        defer { kill(process, SIGCONT) }
        // Its session is given up and another one made.
        #expect(ear.waits(for: [.missed]))
    }

    @Test("A listener stops when it is told to, also while it waits for a server that never answers")
    func stops() throws {
        let away = try PostgresListener(url: PostgresURL("postgres:///plane?host=/nonexistent"), reader: "co-1") { _ in
        }
        away.stop()
        // It takes connections and says nothing.
        let mute = try MuteServer()
        var limits = PostgresLimits()
        limits.connect = 24 * 3600 * 1000
        let waiting = try PostgresListener(url: mute.url, reader: "co-1", limits: limits) { _ in }
        mute.takeOne()
        waiting.stop()
    }
}

/// A socket where a PostgreSQL server could be.
private final class MuteServer {
    let url: PostgresURL
    private let folder = TemporaryFolder()
    private let descriptor: Int32

    init() throws {
        url = try PostgresURL("postgres:///plane?host=\(folder.path)&user=postgres")
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: folder.file(".s.PGSQL.5432").utf8) }
        let code = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(code == 0 && listen(descriptor, 5) == 0)
    }

    deinit { close(descriptor) }

    /// Waits until somebody connects, and keeps it.
    func takeOne() { _ = accept(descriptor, nil, nil) }
}

/// A listener and what it heard.
private final class Ear: Sendable {
    let listener: PostgresListener
    private let box: Box

    private final class Box: @unchecked Sendable {
        let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
        let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
        var notices: Set<StoreNotice> = []

        init() {
            pthread_mutex_init(mutex, nil)
            pthread_cond_init(changed, nil)
        }

        func locked<Value>(_ body: () -> Value) -> Value {
            pthread_mutex_lock(mutex)
            defer { pthread_mutex_unlock(mutex) }
            return body()
        }
    }

    init(_ url: PostgresURL, reader: String, _ limits: PostgresLimits = PostgresLimits()) throws {
        let box = Box()
        self.box = box
        listener = try PostgresListener(url: url, reader: reader, limits: limits) { notices in
            box.locked {
                box.notices.formUnion(notices)
                pthread_cond_broadcast(box.changed)
            }
        }
    }

    var heard: Set<StoreNotice> { box.locked { box.notices } }

    func forget() { box.locked { box.notices = [] } }

    /// Waits until all of these were heard. - Returns: false when they were not within a minute.
    func waits(for wanted: Set<StoreNotice>) -> Bool {
        var end = timespec()
        clock_gettime(CLOCK_REALTIME, &end)
        end.tv_sec += 60
        return box.locked {
            while !wanted.isSubset(of: box.notices) {
                if pthread_cond_timedwait(box.changed, box.mutex, &end) == ETIMEDOUT { return false }
            }
            return true
        }
    }
}

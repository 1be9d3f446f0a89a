import Glibc
import Linux
import Testing

@testable import Proxy

/// What connections cost, and what happens when it runs out.
@Suite("Resources")
struct ResourceTests {
    static func descriptorCount() -> Int {
        guard let folder = opendir("/proc/self/fd") else { return -1 }
        defer { closedir(folder) }
        var count = 0
        while readdir(folder) != nil { count += 1 }
        return count
    }

    @Test("500 connections of every kind leave no descriptor behind")
    func noLeak() async {
        await #expect(processExitsWith: .success) {
            let backend = try TestBackend(connections: { socket in
                guard let request = TestBackend.readRequest(socket) else { return }
                switch request.target {
                case "/reset": socket.reset()
                case "/ws": socket.send(TunnelTests.switched + "hello")
                case "/big": socket.send(ok(String(repeating: "x", count: 400_000)))
                default: socket.send(ok("fine"))
                }
                _ = socket.receive()
            })
            let site = try TestSite()
            site.add("b1", port: backend.port)
            try site.route("tok", to: "b1")
            _ = site.exchange(get("/tok/warm"))
            func isQuiet() -> Bool { site.proxy.totals.open == 0 && site.active("b1") == 0 }
            precondition(site.eventually(isQuiet))
            let pipes = site.proxy.totals.pipes
            let before = ResourceTests.descriptorCount()
            for round in 0..<500 {
                let client = site.client()
                switch round % 5 {
                case 0: client.send(get("/tok/reset"))
                case 1: client.send(get("/tok/ws", TunnelTests.handshake))
                case 2: client.send(get("/tok/big"))
                case 3: client.send("GET /tok/x HTTP/1.1\r\nbad")
                default: client.send(get("/tok/x"))
                }
                if round % 2 == 0, round % 5 != 3 { _ = client.readHead() }
                if round % 3 == 0 { client.reset() } else { client.close() }
            }
            precondition(site.eventually(isQuiet))
            // Pipes and spare sockets are kept on purpose; nothing else may be.
            let kept = Int(site.proxy.totals.pipes - pipes) * 2 + BackendRecord.spareLimit
            precondition(
                site.eventually { ResourceTests.descriptorCount() <= before + kept },
                "\(before) descriptors before, \(ResourceTests.descriptorCount()) after, \(kept) kept")
            site.proxy.send(.removeBackend(id: "b1"))
            precondition(
                site.eventually {
                    ResourceTests.descriptorCount() <= before + Int(site.proxy.totals.pipes - pipes) * 2
                })
            exit(0)
        }
    }

    @Test("Without descriptors new connections wait, and the old ones go on")
    func descriptorsRunOut() async {
        await #expect(processExitsWith: .success) {
            let backend = try TestBackend(connections: { TunnelTests.upgradeAndEcho($0) })
            let site = try TestSite()
            site.add("b1", port: backend.port)
            try site.route("tok", to: "b1")
            guard let old = TunnelTests.upgraded(site, "/tok/ws") else { exit(1) }
            // A client that is connected in the kernel only: the limit below leaves no number to accept it with.
            let descriptor = try Socket.tcp().release()
            var limit = rlimit()
            getrlimit(__rlimit_resource_t(7), &limit)
            let former = limit.rlim_cur
            limit.rlim_cur = rlim_t(descriptor)
            setrlimit(__rlimit_resource_t(7), &limit)
            _ = try Socket.connect(descriptor, to: site.proxy.address)
            let new = RawSocket(descriptor)
            var flags = fcntl(descriptor, F_GETFL)
            flags &= ~O_NONBLOCK
            _ = fcntl(descriptor, F_SETFL, flags)
            new.send(get("/ready"))
            precondition(site.eventually { site.proxy.totals.acceptPauses >= 2 }, "accepting was not paused")
            old.send("still here")
            precondition(old.read(10) == Array("still here".utf8))
            limit.rlim_cur = former
            setrlimit(__rlimit_resource_t(7), &limit)
            precondition(new.readResponse()?.status == 200)
            exit(0)
        }
    }

    @Test("A full proxy takes the next connection when one ends")
    func connectionLimit() throws {
        let site = try TestSite(connectionLimit: 2)
        defer { site.stop() }
        let first = site.client()
        first.send(get("/none"))
        #expect(first.readResponse()?.status == 410)
        let second = site.client()
        second.send(get("/none"))
        #expect(second.readResponse()?.status == 410)
        let third = site.client()
        third.send(get("/none"))
        #expect(site.eventually { site.proxy.totals.acceptPauses == 1 })
        first.close()
        #expect(third.readResponse()?.status == 410)
    }

    @Test("Two threads share the port, and each serves what it accepts")
    func twoThreads() throws {
        let backend = try TestBackend { _ in ok("fine") }
        let site = try TestSite(threadCount: 2)
        defer { site.stop(); backend.stop() }
        site.add("b1", port: backend.port)
        try site.route("tok", to: "b1")
        for _ in 0..<100 { #expect(site.exchange(get("/tok/x"))?.text == "fine") }
        #expect(site.proxy.totals.accepted == 100)
        #expect(Set(site.questions) == ["tok"])
    }

    @Test("A draining proxy finishes what it has, and takes nothing new")
    func drain() throws {
        let backend = try TestBackend(connections: { TunnelTests.upgradeAndEcho($0) })
        let site = try TestSite()
        defer { site.stop(); backend.stop() }
        site.add("b1", port: backend.port)
        try site.route("tok", to: "b1")
        let tunnel = try #require(TunnelTests.upgraded(site, "/tok/ws"))
        let idle = site.client()
        idle.send(get("/none"))
        #expect(idle.readResponse()?.status == 410)
        site.proxy.send(.drain)
        #expect(idle.readToEnd() == [])
        tunnel.send("ping")
        #expect(tunnel.read(4) == Array("ping".utf8))
        let refused = try Socket.tcp()
        #expect(
            site.eventually {
                (try? Socket.connect(refused.raw, to: site.proxy.address)) == nil
                    || Socket.pendingError(refused.raw) == ECONNREFUSED
            })
    }
}

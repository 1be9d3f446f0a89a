import Glibc
import Linux
import Synchronization
import Testing

@testable import Proxy

/// Upgraded connections: bytes both ways, and what splice(2) makes hard about them.
@Suite("Tunnels")
struct TunnelTests {
    static let handshake =
        "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    static let switched =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n"

    static func upgradeAndEcho(_ socket: RawSocket) {
        guard socket.readHead() != nil else { return }
        socket.send(switched)
        while case .bytes(let bytes) = socket.receive() { if !socket.send(bytes) { return } }
        socket.shutdownWriting()
    }

    static func upgraded(_ site: TestSite, _ target: String) -> RawSocket? {
        let client = site.client()
        client.send(get(target, handshake))
        return client.readResponse()?.status == 101 ? client : nil
    }

    /// A site with one backend `b1` behind `tok`.
    static func site(_ handler: @escaping @Sendable (RawSocket) -> Void) throws -> (TestSite, TestBackend) {
        let backend = try TestBackend(connections: handler)
        let site = try TestSite()
        site.add("b1", port: backend.port)
        try site.route("tok", to: "b1")
        return (site, backend)
    }

    @Test("An upgraded connection carries small and large messages both ways")
    func echo() throws {
        let (site, backend) = try Self.site { Self.upgradeAndEcho($0) }
        defer { site.stop(); backend.stop() }
        let client = try #require(Self.upgraded(site, "/tok/ws"))
        for size in [1, 64, 4096, 40_000, 100_000] {
            let message = pattern(size, from: size)
            client.send(message)
            let isSame = client.read(size) == message
            #expect(isSame)
        }
        #expect(site.active("b1") == 1)
        client.shutdownWriting()
        #expect(client.readToEnd() == [])
        #expect(site.eventually { site.active("b1") == 0 && site.proxy.totals.open == 0 })
        #expect(site.proxy.totals.upgrades == 1)
    }

    @Test("Not a byte after the head reaches the backend before it has switched; then all of them do")
    func waitsForSwitch() throws {
        let (site, backend) = try Self.site { socket in
            guard socket.readHead() != nil else { return }
            var waiting = pollfd(fd: socket.descriptor, events: Int16(POLLIN), revents: 0)
            let early = poll(&waiting, 1, 100)
            socket.send(Self.switched)
            socket.send("early \(early) ")
            socket.send(socket.read(5))
        }
        defer { site.stop(); backend.stop() }
        let client = site.client()
        client.send(get("/tok/ws", Self.handshake) + "hello")
        #expect(client.readResponse()?.status == 101)
        #expect(String(decoding: client.readToEnd(), as: UTF8.self) == "early 0 hello")
    }

    @Test("A refused upgrade is answered with its body, and the connection goes on")
    func refused() throws {
        let backend = try TestBackend { request in
            request["upgrade"] == nil
                ? ok("plain") : Array("HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\n\r\nnot today".utf8)
        }
        let site = try TestSite()
        defer { site.stop(); backend.stop() }
        site.add("b1", port: backend.port)
        try site.route("tok", to: "b1")
        let client = site.client()
        client.send(get("/tok/ws", Self.handshake))
        let response = client.readResponse()
        #expect(response?.status == 403)
        #expect(response?.text == "not today")
        client.send(get("/tok/x"))
        #expect(client.readResponse()?.text == "plain")
        #expect(backend.connectionCount == 1)
    }

    @Test("A backend may not switch protocols uninvited")
    func uninvited() throws {
        let (site, backend) = try Self.site { Self.upgradeAndEcho($0) }
        defer { site.stop(); backend.stop() }
        #expect(site.exchange(get("/tok/ws"))?.status == 502)
    }

    @Test("The client's end is passed on, and the backend can still answer all it has")
    func clientEndsFirst() throws {
        let (site, backend) = try Self.site { socket in
            _ = socket.readHead()
            socket.send(Self.switched)
            let all = socket.readToEnd()
            socket.send(pattern(3_000_000))
            socket.send("read \(all.count)")
            socket.close()
        }
        defer { site.stop(); backend.stop() }
        let client = try #require(Self.upgraded(site, "/tok/ws"))
        client.send(pattern(700_000))
        client.shutdownWriting()
        let isWhole = client.read(3_000_000) == pattern(3_000_000)
        #expect(isWhole)
        #expect(String(decoding: client.readToEnd(), as: UTF8.self) == "read 700000")
        #expect(site.eventually { site.proxy.totals.open == 0 })
    }

    @Test("The backend's end is passed on, and the client can still send all it has")
    func backendEndsFirst() throws {
        let received = Received()
        let (site, backend) = try Self.site { socket in
            _ = socket.readHead()
            socket.send(Self.switched)
            socket.send("done")
            socket.shutdownWriting()
            received.set(socket.readToEnd())
        }
        defer { site.stop(); backend.stop() }
        let client = try #require(Self.upgraded(site, "/tok/ws"))
        #expect(client.readToEnd() == Array("done".utf8))
        let upload = pattern(2_000_000)
        client.send(upload)
        client.shutdownWriting()
        #expect(site.eventually { received.value != nil })
        let isWhole = received.value == upload
        #expect(isWhole)
        #expect(site.eventually { site.proxy.totals.open == 0 })
    }

    @Test("A reset of one side becomes a reset of the other", arguments: [SideName.client, .upstream])
    func resets(_ side: SideName) throws {
        let received = Received()
        let (site, backend) = try Self.site { socket in
            _ = socket.readHead()
            socket.send(Self.switched)
            _ = socket.read(4)
            if side == .upstream { return socket.reset() }
            socket.send("pong")
            if case .failed(let code) = socket.receive() { received.set([UInt8(code)]) } else { received.set([]) }
        }
        defer { site.stop(); backend.stop() }
        let client = try #require(Self.upgraded(site, "/tok/ws"))
        client.send("ping")
        switch side {
        case .upstream: #expect(client.receive() == .failed(ECONNRESET))
        case .client:
            #expect(client.read(4) == Array("pong".utf8))
            client.reset()
            #expect(site.eventually { received.value != nil })
            #expect(received.value == [UInt8(ECONNRESET)])
        }
        #expect(site.eventually { site.active("b1") == 0 && site.proxy.totals.open == 0 })
    }

    @Test("A reset while bytes are in a pipe loses them to nobody else, and the pipe is not used again")
    func resetWithFullPipe() throws {
        let (site, backend) = try Self.site { socket in
            guard let head = socket.readHead() else { return }
            socket.send(Self.switched)
            if head.contains("/fill") {
                while socket.send([UInt8](repeating: 0x58, count: 65536)) {}
            } else {
                socket.send(pattern(5_000_000))
                socket.close()
            }
        }
        defer { site.stop(); backend.stop() }
        for _ in 0..<4 {
            let client = try #require(Self.upgraded(site, "/tok/fill"))
            _ = client.read(100_000)
            let before = site.proxy.totals.bytesSpliced
            #expect(site.eventually { site.proxy.totals.bytesSpliced > before || before > 0 })
            client.reset()
            #expect(site.eventually { site.proxy.totals.open == 0 })
            let other = try #require(Self.upgraded(site, "/tok/pattern"))
            let isWhole = other.readToEnd() == pattern(5_000_000)
            #expect(isWhole)
        }
    }

    @Test("One byte of urgent data neither stalls the stream behind it nor keeps the thread busy")
    func urgentData() throws {
        let (site, backend) = try Self.site { socket in
            _ = socket.readHead()
            socket.send(Self.switched)
            socket.send(pattern(2_000_000))
            socket.sendUrgent(0x21)
            socket.send(pattern(2_000_000, from: 2_000_000))
            _ = socket.read(2)
            socket.sendUrgent(0x21)
            socket.send("abc")
            _ = socket.read(2)
            socket.close()
        }
        defer { site.stop(); backend.stop() }
        let client = try #require(Self.upgraded(site, "/tok/ws"))
        // The urgent bytes are out of band: the stream has what was sent in it.
        let isWhole = client.read(4_000_000) == pattern(4_000_000)
        #expect(isWhole)
        client.send("go")
        #expect(client.read(3) == Array("abc".utf8))
        client.send("go")
        #expect(client.readToEnd() == [])
    }

    @Test("A reader that stops holds its sender up, and gets every byte when it goes on")
    func slowReader() throws {
        let sent = Received()
        let (site, backend) = try Self.site { socket in
            _ = socket.readHead()
            socket.send(Self.switched)
            for block in 0..<400 { socket.send(pattern(100_000, from: block * 100_000)) }
            sent.set([1])
            socket.close()
        }
        defer { site.stop(); backend.stop() }
        let client = try #require(Self.upgraded(site, "/tok/ws"))
        var moved: UInt64 = 0
        // It stands still when nothing moved for a while.
        var still = 0
        while still < 20 {
            let total = site.proxy.totals.bytesSpliced + site.proxy.totals.bytesCopied
            still = total == moved ? still + 1 : 0
            moved = total
            usleep(10_000)
        }
        #expect(sent.value == nil)
        #expect(moved < 30_000_000)
        let isWhole = (0..<400).allSatisfy { client.read(100_000) == pattern(100_000, from: $0 * 100_000) }
        #expect(isWhole)
        #expect(client.readToEnd() == [])
    }

    @Test("Many small writes in both directions at once arrive in their order")
    func smallSegments() throws {
        let (site, backend) = try Self.site { Self.upgradeAndEcho($0) }
        defer { site.stop(); backend.stop() }
        let client = try #require(Self.upgraded(site, "/tok/ws"))
        let all = pattern(400_000)
        let writer = startThread {
            var at = 0
            var size = 1
            while at < all.count {
                let end = min(all.count, at + size)
                client.send(Array(all[at..<end]))
                at = end
                size = size % 97 + 1
            }
            client.shutdownWriting()
        }
        let isSame = client.readToEnd() == all
        #expect(isSame)
        pthread_join(writer, nil)
    }
}

/// What a backend's thread tells its test.
final class Received: Sendable {
    private let storage = Mutex<[UInt8]?>(nil)
    var value: [UInt8]? { storage.withLock { $0 } }
    func set(_ bytes: [UInt8]) { storage.withLock { $0 = bytes } }
}

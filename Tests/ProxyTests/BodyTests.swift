import Glibc
import Synchronization
import Testing

@testable import Proxy

/// Bodies of every framing and size, both ways.
@Suite("Bodies")
struct BodyTests {
    static let sizes = [0, 1, 65_536, 5_000_000]

    /// A backend that answers in the framing and size its path names, and says in a field what body it got.
    static func answer(_ request: SeenRequest) -> [UInt8]? {
        let parts = request.target.split(separator: "/").map(String.init)
        let size = Int(parts[1]) ?? 0
        let body =
            request.body.map { $0 == pattern($0.count) ? "\($0.count) whole" : "\($0.count) damaged" } ?? "broken"
        let start = "HTTP/1.1 200 OK\r\nX-Got: \(body)\r\n"
        switch parts[0] {
        case "length":
            return Array("\(start)Content-Length: \(size)\r\n\r\n".utf8)
                + (request.method == "HEAD" ? [] : pattern(size))
        case "chunked":
            return Array("\(start)Transfer-Encoding: chunked\r\n\r\n".utf8)
                + (request.method == "HEAD" ? [] : chunked(pattern(size)))
        case "204": return Array("HTTP/1.1 204 No Content\r\nX-Got: \(body)\r\nContent-Length: 5\r\n\r\n".utf8)
        case "304": return Array("HTTP/1.1 304 Not Modified\r\nX-Got: \(body)\r\nContent-Length: \(size)\r\n\r\n".utf8)
        default: return nil
        }
    }

    /// In chunks of growing size, some larger than a relay's buffer.
    static func chunked(_ bytes: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        var at = 0
        var size = 1
        while at < bytes.count {
            let end = min(bytes.count, at + size)
            result += Array(String(end - at, radix: 16).utf8) + [13, 10] + bytes[at..<end] + [13, 10]
            at = end
            size = size * 3 + 1
        }
        return result + Array("0\r\n\r\n".utf8)
    }

    static func site() throws -> (TestSite, TestBackend) {
        let backend = try TestBackend { answer($0) }
        let site = try TestSite()
        site.add("b1", port: backend.port)
        try site.route("tok", to: "b1")
        return (site, backend)
    }

    @Test("Every framing and size of request and response arrives whole, on one kept connection")
    func matrix() throws {
        let (site, backend) = try Self.site()
        defer { site.stop(); backend.stop() }
        let client = site.client()
        for up in Self.sizes {
            for down in Self.sizes {
                for upFraming in ["length", "chunked"] {
                    for downFraming in ["length", "chunked"] {
                        let name = "\(upFraming) \(up) / \(downFraming) \(down)"
                        let body = pattern(up)
                        let request =
                            upFraming == "length"
                            ? Array("Content-Length: \(up)\r\n\r\n".utf8) + body
                            : Array("Transfer-Encoding: chunked\r\n\r\n".utf8) + Self.chunked(body)
                        client.send(
                            Array("POST /tok/\(downFraming)/\(down) HTTP/1.1\r\nHost: localhost:9090\r\n".utf8)
                                + request)
                        let response = try #require(client.readResponse(), "\(name)")
                        #expect(response["x-got"] == "\(up) whole", "\(name)")
                        let isWhole = response.body == pattern(down)
                        #expect(isWhole, "\(name)")
                    }
                }
            }
        }
        #expect(backend.connectionCount == 1)
        #expect(site.eventually { site.active("b1") == 0 })
    }

    @Test("Answers without a body do not shift the ones behind them")
    func bodiless() throws {
        let (site, backend) = try Self.site()
        defer { site.stop(); backend.stop() }
        let client = site.client()
        for size in Self.sizes {
            let cases = [
                ("HEAD", "/tok/length/\(size)", 200), ("HEAD", "/tok/chunked/\(size)", 200),
                ("GET", "/tok/204/x", 204), ("GET", "/tok/304/\(size)", 304), ("DELETE", "/tok/length/3", 200),
            ]
            for (method, path, status) in cases {
                client.send("\(method) \(path) HTTP/1.1\r\nHost: localhost:9090\r\n\r\n")
                let response = try #require(client.readResponse(to: method), "\(method) \(path)")
                #expect(response.status == status, "\(method) \(path)")
                if status == 204 { #expect(response["content-length"] == nil) }
                if method == "HEAD", path.contains("length") { #expect(response["content-length"] == "\(size)") }
            }
        }
        #expect(backend.connectionCount == 1)
    }

    @Test("A response that ends with its connection arrives whole", arguments: sizes)
    func untilClose(_ size: Int) throws {
        let backend = try TestBackend(connections: { socket in
            _ = socket.readHead()
            socket.send(Array("HTTP/1.1 200 OK\r\n\r\n".utf8) + pattern(size))
            socket.close()
        })
        let site = try TestSite()
        defer { site.stop(); backend.stop() }
        site.add("b1", port: backend.port)
        try site.route("tok", to: "b1")
        let response = try #require(site.exchange(get("/tok/")))
        #expect(response["connection"] == "close")
        let isWhole = response.body == pattern(size)
        #expect(isWhole)
    }

    @Test("A response that breaks off does not look whole", arguments: ["length", "chunked", "close"])
    func truncated(_ framing: String) throws {
        let backend = try TestBackend(connections: { socket in
            _ = socket.readHead()
            switch framing {
            case "length": socket.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            case "chunked": socket.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf")
            default: socket.send("HTTP/1.1 200 OK\r\n\r\nhalf")
            }
            _ = socket.read(1)
            if framing == "close" { socket.reset() } else { socket.close() }
        })
        let site = try TestSite()
        defer { site.stop(); backend.stop() }
        site.add("b1", port: backend.port)
        try site.route("tok", to: "b1")
        let client = site.client()
        client.send("POST /tok/ HTTP/1.1\r\nHost: localhost:9090\r\nContent-Length: 1\r\n\r\n")
        _ = try #require(client.readHead())
        client.send("x")
        var ending = client.receive()
        while case .bytes = ending { ending = client.receive() }
        #expect(ending == .failed(ECONNRESET))
        #expect(site.eventually { site.active("b1") == 0 })
    }

    @Test("Requests sent in one go are answered one by one in their order")
    func pipelined() throws {
        let (site, backend) = try Self.site()
        defer { site.stop(); backend.stop() }
        let client = site.client()
        var all: [UInt8] = []
        for size in 0..<50 {
            all += Array("POST /tok/length/\(size) HTTP/1.1\r\nHost: localhost:9090\r\n".utf8)
            all +=
                size % 2 == 0
                ? Array("Content-Length: \(size)\r\n\r\n".utf8) + pattern(size)
                : Array("Transfer-Encoding: chunked\r\n\r\n".utf8) + Self.chunked(pattern(size))
        }
        client.send(all)
        for size in 0..<50 {
            let response = try #require(client.readResponse())
            #expect(response["x-got"] == "\(size) whole")
            #expect(response.body == pattern(size))
        }
        #expect(backend.requests.count == 50)
    }

    @Test("100-continue goes to the client before its body, and only from the backend")
    func expectContinue() throws {
        let (site, backend) = try Self.site()
        defer { site.stop(); backend.stop() }
        let client = site.client()
        client.send(
            "POST /tok/length/3 HTTP/1.1\r\nHost: localhost:9090\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        #expect(client.readHead()?.hasPrefix("HTTP/1.1 100 Continue\r\n") == true)
        client.send(pattern(4))
        #expect(client.readResponse()?["x-got"] == "4 whole")
    }

    @Test("An answer that overtakes the upload arrives, and ends the connection")
    func earlyAnswer() throws {
        let backend = try TestBackend(connections: { socket in
            _ = socket.readHead()
            socket.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 7\r\n\r\ntoo big")
            socket.close()
        })
        var deadlines = ProxyDeadlines()
        deadlines.linger = .milliseconds(50)
        let site = try TestSite(deadlines: deadlines)
        defer { site.stop(); backend.stop() }
        site.add("b1", port: backend.port)
        try site.route("tok", to: "b1")
        for _ in 0..<20 {
            let client = site.client()
            client.send("POST /tok/ HTTP/1.1\r\nHost: localhost:9090\r\nContent-Length: 100000000\r\n\r\n")
            let writer = startThread { while client.send([UInt8](repeating: 1, count: 65_536)) {} }
            let response = client.readResponse()
            #expect(response?.status == 413)
            #expect(response?["connection"] == "close")
            #expect(response?.text == "too big")
            pthread_join(writer, nil)
        }
        #expect(site.eventually { site.active("b1") == 0 })
    }

    @Test("Body and answer can flow at the same time")
    func bothAtOnce() throws {
        let backend = try TestBackend(connections: { socket in
            _ = socket.readHead()
            socket.send("HTTP/1.1 200 OK\r\nContent-Length: 30000000\r\n\r\n")
            var left = 30_000_000
            while left > 0, case .bytes(let bytes) = socket.receive() {
                socket.send(bytes)
                left -= bytes.count
            }
            _ = socket.receive()
        })
        let site = try TestSite()
        defer { site.stop(); backend.stop() }
        site.add("b1", port: backend.port)
        try site.route("tok", to: "b1")
        let client = site.client()
        client.send("POST /tok/ HTTP/1.1\r\nHost: localhost:9090\r\nContent-Length: 30000000\r\n\r\n")
        let body = pattern(30_000_000)
        let writer = startThread { client.send(body) }
        let isSame = client.readResponse()?.body == body
        #expect(isSame)
        pthread_join(writer, nil)
    }

    @Test("A 256 MiB download is identical and spliced, not copied")
    func bulk() throws {
        let size = 256 << 20
        let backend = try TestBackend(connections: { socket in
            _ = socket.readHead()
            socket.send("HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n")
            var at = 0
            while at < size {
                let count = min(4 << 20, size - at)
                if !socket.send(pattern(count, from: at)) { return }
                at += count
            }
            _ = socket.receive()
        })
        let site = try TestSite()
        defer { site.stop(); backend.stop() }
        site.add("b1", port: backend.port)
        try site.route("tok", to: "b1")
        let client = site.client()
        client.send(get("/tok/"))
        _ = try #require(client.readHead())
        var isSame = true
        for at in stride(from: 0, to: size, by: 1 << 20) where isSame {
            isSame = client.read(1 << 20) == pattern(1 << 20, from: at)
        }
        #expect(isSame)
        let totals = site.proxy.totals
        #expect(totals.bytesSpliced + totals.bytesCopied == UInt64(size))
        #expect(totals.bytesSpliced > UInt64(size) * 95 / 100)
        #expect(site.activity.withLock { $0["b1"]?.bytesSpliced } == totals.bytesSpliced)
    }
}

import HTTP
import Linux
import Model
import Testing

@testable import Controller

/// What a client may cost, tried on a whole controller.
@Suite struct RequestLimitTests {
    @Test("A body of more than 1 MiB is refused, announced or in chunks, before it is sent; one of that size is read")
    func bodies() async throws {
        let site = try await TestSite()
        let fitting = try await site.post("/ctrl/connect", String(repeating: " ", count: 1 << 20))
        #expect(fitting.status == 400)
        let client = try RawClient(port: site.port)
        try client.send(
            "POST /ctrl/connect HTTP/1.1\r\nhost: c\r\ncontent-type: application/json\r\ncontent-length: 1048577\r\n\r\n"
        )
        let refused = try client.readToEnd()
        #expect(refused.hasPrefix("HTTP/1.1 413 ") && refused.contains(#""kind":"InvalidRequest""#), "\(refused)")
        let chunked = try RawClient(port: site.port)
        try chunked.send("POST /ctrl/connect HTTP/1.1\r\nhost: c\r\ntransfer-encoding: chunked\r\n\r\n100001\r\n")
        #expect(try chunked.readToEnd().hasPrefix("HTTP/1.1 413 "))
        try await site.stop()
    }

    @Test("Bodies that are too much together are refused, until others are answered or gone")
    func bodiesTogether() async throws {
        let site = try await TestSite { $0.limits.bodyByteCountMaxTogether = 1000 }
        let head = "POST /ctrl/connect HTTP/1.1\r\nhost: c\r\nconnection: close\r\ncontent-length: 800\r\n\r\n"
        let part = String(repeating: " ", count: 700)
        do {
            let first = try RawClient(port: site.port)
            try first.send(head + part)
            // What was there before this answer has been read by then.
            #expect(try await site.get("/pub/health").status == 200)
            let second = try RawClient(port: site.port)
            try second.send(head + part)
            let refused = try second.readToEnd()
            #expect(refused.hasPrefix("HTTP/1.1 503 "), "\(refused)")
            try first.send(String(repeating: " ", count: 100))
            #expect(try first.readToEnd().hasPrefix("HTTP/1.1 415 "))
            let third = try RawClient(port: site.port)
            try third.send(head + part)
            #expect(try await site.get("/pub/health").status == 200)
        }
        // The third is gone without an answer: what it held is free when the server has seen that.
        while true {
            let later = try RawClient(port: site.port)
            try later.send(head + part + String(repeating: " ", count: 100))
            if try later.readToEnd().hasPrefix("HTTP/1.1 415 ") { break }
        }
        try await site.stop()
    }

    @Test("A head that is too long is refused")
    func heads() async throws {
        let site = try await TestSite()
        let client = try RawClient(port: site.port)
        try client.send("GET /pub/health HTTP/1.1\r\nhost: c\r\nx: \(String(repeating: "x", count: 20_000))\r\n")
        #expect(try client.readToEnd().hasPrefix("HTTP/1.1 431 "))
        try await site.stop()
    }

    @Test("A head or a body that does not arrive in time is a 408", arguments: [0, 1])
    func slow(_ part: Int) async throws {
        let site = try await TestSite {
            $0.limits.headDeadline = .milliseconds(50)
            $0.limits.bodyDeadline = .milliseconds(50)
        }
        let client = try RawClient(port: site.port)
        let head = "POST /ctrl/connect HTTP/1.1\r\nhost: c\r\ncontent-length: 4\r\n"
        try client.send(part == 0 ? head : head + "\r\nnu")
        let answer = try client.readToEnd()
        #expect(answer.hasPrefix("HTTP/1.1 408 ") && answer.contains("in time"), "\(answer)")
        try await site.stop()
    }

    @Test("A method that nobody knows is refused, also where another server is asked about each request")
    func method() async throws {
        let authority = try await TestAuthority(200)
        let url = try authority.url
        for configure: @Sendable (inout ControllerConfiguration) -> Void in [{ _ in }, { $0.access.forwardAuth = url }]
        {
            let site = try await TestSite(configure: configure)
            let client = try RawClient(port: site.port)
            try client.send("BREW /ctrl/status HTTP/1.1\r\nhost: c\r\nconnection: close\r\n\r\n")
            #expect(try client.readToEnd().hasPrefix("HTTP/1.1 405 "))
            #expect(try await site.get("/pub/health").status == 200)
            try await site.stop()
        }
        authority.stop()
    }
}

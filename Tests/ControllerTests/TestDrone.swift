import FoundationEssentials
import HTTP
import Linux
import Model
import Testing

@testable import Controller

/// The far end of a drone link: says what the test wants and keeps what the controller says.
final class TestDrone: Sendable {
    let name: String
    private let site: TestSite
    private let messages: AsyncStream<ControllerMessage>
    private let feed: AsyncStream<ControllerMessage>.Continuation
    private let key: String

    /// Opens the link and says hello; returns when that is sent.
    init(
        _ site: TestSite, _ name: String = "dr-1", process: String = "p1", machine: String = "m1",
        images: [String] = ["python-repl"],
        ceilings: ResourceCeilings = Values.ceilings, pool: String = "", cluster: String = "localhost:9090",
        capacity: ResourceAmount = .unbounded, backends: [BackendReport] = [], secret: String? = nil
    ) async throws {
        self.site = site
        self.name = name
        key = "\(name) \(process) \(UInt64.random(in: 0 ... .max))"
        (messages, feed) = AsyncStream.makeStream()
        let url = try site.url("/ctrl/c/localhost:9090/drone-socket")
        let hello = DroneMessage.hello(
            DroneHello(
                name: name, version: "1", cluster: cluster, pool: pool, process: process, machine: machine,
                capacity: capacity, images: images.map { OfferedImage(name: $0, ceilings: ceilings) },
                backends: backends))
        try await withCheckedThrowingContinuation { continuation in
            site.client.send { [feed, key] context in
                let fields: HeaderFields = secret.map { ["authorization": "Bearer \($0)"] } ?? [:]
                context.client.webSocket(url, fields: fields, deadline: .seconds(10)) { result in
                    do {
                        let socket = try result.get()
                        context.things[key] = socket
                        socket.onText = { text in
                            guard let message = JSONText.value(ControllerMessage.self, from: text) else {
                                Issue.record("not a message: \(text)")
                                return
                            }
                            feed.yield(message)
                        }
                        socket.onClose = { _ in feed.finish() }
                        socket.send(JSONText.text(of: hello))
                        continuation.resume()
                    } catch {
                        continuation.resume(throwing: error)
                    }
                }
            }
        }
    }

    /// Says something.
    func send(_ message: DroneMessage) {
        site.client.send { [key] context in
            (context.things[key] as? WebSocketConnection)?.send(JSONText.text(of: message))
        }
    }

    /// Sends text that may be no message at all.
    func send(raw text: String) {
        site.client.send { [key] context in (context.things[key] as? WebSocketConnection)?.send(text) }
    }

    /// Closes the link.
    func close() {
        site.client.send { [key] context in (context.things[key] as? WebSocketConnection)?.close() }
    }

    /// The next message; nil when the link is closed.
    func next() async -> ControllerMessage? {
        for await message in messages { return message }
        return nil
    }

    /// Reads on until a message is the right one. Fails the test if the link ends before.
    func next<Value>(_ pick: (ControllerMessage) -> Value?) async throws -> Value {
        while let message = await next() {
            if let value = pick(message) { return value }
        }
        throw LinkEnded()
    }

    struct LinkEnded: Error {}

    /// Waits for the welcome. - Returns: what to keep.
    func welcomed() async throws -> [String] {
        try await next { if case .welcome(_, _, _, let keep) = $0 { keep } else { nil } }
    }

    /// Waits for the order to start a backend.
    func order() async throws -> SpawnOrder {
        try await next { if case .spawn(let order) = $0 { order } else { nil } }
    }

    /// Reports a state and waits until it is durable.
    func report(_ connected: ConnectResponse, _ state: BackendState) async throws {
        send(.state(backend: connected.backendID, fencingToken: connected.fencingToken, state: state))
        // What is saved may be further than what was reported.
        try await next {
            if case .stateSaved(connected.backendID, let saved) = $0, saved >= state.status { () } else { nil }
        }
    }

    /// Waits until everything that was said has been read, and gives what came meanwhile.
    func all() async throws -> [ControllerMessage] {
        let mark = Int64.random(in: 1 ... .max)
        send(.renew(sequence: mark))
        var seen: [ControllerMessage] = []
        while let message = await next() {
            if case .renewed(mark) = message { return seen }
            seen.append(message)
        }
        throw LinkEnded()
    }
}

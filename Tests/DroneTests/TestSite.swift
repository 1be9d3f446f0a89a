import Glibc
import HTTP
import Linux
import Model
import Proxy
import Synchronization
import Testing
import WardenProtocol

@testable import Drone

/// A drone with a real proxy and real sockets between scripted peers, all on one loop, and a real HTTP server that stands
/// for the port in a sandbox.
final class TestSite {
    let loop: EventLoop
    let warden: ScriptedWarden
    let controller: ScriptedController
    let upstream: HTTPServer
    let proxy: Proxy
    let client: HTTPClient
    private(set) var drone: Drone?
    private(set) var refusal: DroneRefusal?
    /// The requests that reached the sandbox's port, without the probes.
    private(set) var received: [Request] = []
    /// What the sandbox's port answers a probe with.
    var probeStatus = 200
    /// What a probe with GET is answered with; nil while GET is what users send.
    var getProbeStatus: Int?
    /// The paths that probes asked for.
    private(set) var probed: [String] = []
    /// Requests for `/held`, which wait for the test to answer them.
    private(set) var held: [Responder] = []
    let logged = Lines()
    private let folder: String

    static let image = "python-repl"
    static let cluster = "localhost"

    /// - Parameter wardenOwner: who may connect to the warden.
    init(wardenOwner: UInt32 = geteuid()) throws {
        let loop = try EventLoop()
        self.loop = loop
        folder = "/tmp/plane-drone-\(CurrentProcess.randomBytes(6).map { String($0, radix: 16) }.joined())"
        try File.makeDirectories(folder, mode: 0o755)
        // Another test that binds its socket at this moment has narrowed the mask of the whole process.
        chmod(folder, 0o755)
        client = HTTPClient(loop: loop)
        var serve: (Request, Responder) -> Void = { _, _ in }
        upstream = try HTTPServer(loop: loop, address: .loopback(0)) { serve($0, $1) }
        let offer = ImageOffer(
            image: try ImageName(Self.image), port: upstream.address.port,
            readiness: SandboxPlan.Readiness(port: upstream.address.port, timeoutSeconds: 30),
            gracePeriodSeconds: 1,
            ceilings: ResourceCeilings(
                memoryBytes: 1 << 30, cpuQuotaMicroseconds: 100_000, cpuPeriodMicroseconds: 100_000,
                diskBytes: 1 << 30))
        warden = try ScriptedWarden(loop: loop, path: folder + "/warden.sock", owner: wardenOwner, offers: [offer]) {
            loop.stop()
        }
        controller = try ScriptedController(loop: loop) { loop.stop() }
        let events = try Mailbox<ProxyEvent>()
        proxy = try Proxy(ProxyConfiguration(address: .loopback(0), serverName: "Plane/test"), events: events)
        serve = { [unowned self] request, responder in
            if request.method == .head {
                probed.append(request.path)
                return responder.respond(.text(probeStatus, "probed"))
            }
            if let getProbeStatus, request.fields["x-plane-fencing-token"] == nil {
                return responder.respond(.text(getProbeStatus, "probed"))
            }
            received.append(request)
            if request.path == "/held" {
                held.append(responder)
                loop.stop()
            } else {
                responder.respond(.text(200, "hello from the sandbox"))
            }
        }
        try loop.attach(events) { [unowned self] event in drone?.take(event) }
    }

    /// A configuration that leads to this site's peers.
    func configuration(_ change: (inout DroneConfiguration) -> Void = { _ in }) throws -> DroneConfiguration {
        var configuration = DroneConfiguration(
            name: try DroneName("dr-test"), controllerURLs: [try HTTPURL("http://\(controller.server.address)/")],
            cluster: try ClusterName(Self.cluster), pool: "blue", wardenSocketPath: folder + "/warden.sock",
            proxyAddress: proxy.address, version: "test")
        change(&configuration)
        return configuration
    }

    /// Starts a drone process; the one before is gone without a word.
    func startDrone(_ change: (inout DroneConfiguration) -> Void = { _ in }) throws {
        drone?.close()
        let configuration = try configuration(change)
        let port = ProxyPort(send: proxy.send, giveSockets: proxy.giveSockets)
        let logged = logged
        let loop = loop
        let ports = DronePorts.live(configuration, loop: loop, proxy: port) {
            logged.append($0)
            loop.stop()
        }
        drone = Drone(configuration, ports: ports) { [unowned self] in
            refusal = $0
            loop.stop()
        }
        drone?.start()
    }

    /// Runs the loop until it is so. Each thing that a peer hears makes it look again.
    func wait(
        for what: String, within limit: Duration = .seconds(20), sourceLocation: SourceLocation = #_sourceLocation,
        _ condition: () -> Bool
    ) throws {
        let deadline = BootInstant.now + limit
        let timer = loop.schedule(after: limit) { [loop] in loop.stop() }
        defer { loop.cancel(timer) }
        while !condition() {
            if BootInstant.now >= deadline {
                Issue.record("waited \(limit) for \(what)\n\(logged.text)", sourceLocation: sourceLocation)
                throw DroneRefusal("not within \(limit): \(what)")
            }
            try loop.run()
        }
    }

    /// Sends a request through the proxy.
    func start(_ path: String, then take: @escaping (Result<Response, HTTPClientError>) -> Void) throws {
        let url = try HTTPURL("http://localhost:\(proxy.address.port)\(path)")
        client.send(.get, url, deadline: .seconds(30)) { [loop] in
            take($0)
            loop.stop()
        }
    }

    /// Sends a request through the proxy and waits for the answer.
    func get(_ path: String) throws -> Response {
        var result: Result<Response, HTTPClientError>?
        try start(path) { result = $0 }
        try wait(for: "an answer to \(path)") { result != nil }
        return try #require(try result?.get())
    }

    /// Answers every request for `/held`.
    func answerHeld() {
        held.forEach { $0.respond(.text(200, "at last")) }
        held = []
    }

    /// Lets time pass, with everything going on.
    func pass(_ duration: Duration) throws {
        let end = BootInstant.now + duration
        loop.schedule(after: duration) { [loop] in loop.stop() }
        try wait(for: "\(duration)") { BootInstant.now >= end }
    }

    func end() {
        answerHeld()
        drone?.close()
        proxy.stop()
        warden.close()
        controller.server.close(grace: .zero)
        upstream.close(grace: .zero)
        loop.schedule(after: .milliseconds(1)) { [loop] in loop.stop() }
        try? loop.run()
        rmdir(folder)
    }

    /// An order with a route to it, as a connect makes them.
    func order(_ backend: String, _ change: (inout SpawnOrder) -> Void = { _ in }) {
        var order = SpawnOrder(
            backend: backend, session: controller.session, image: Self.image,
            environment: ["GREETING": "hello", "PORT": "1"],
            limits: ResourceLimits(), keyName: "demo", fencingToken: 7, staticToken: nil, maxIdleSeconds: nil,
            lifetimeLimitSeconds: nil)
        change(&order)
        controller.send(.spawn(order))
    }

    func grant(_ token: String, _ backend: String, connects: Int64 = 1) -> RouteGrant {
        RouteGrant(
            token: token, backend: backend, cluster: "localhost:\(proxy.address.port)", subdomain: nil, user: "ada",
            userData: "{\"a\":1}", secretToken: "secret", lifetimeMilliseconds: 60_000,
            connects: connects)
    }
}

/// Log lines, from whatever thread.
final class Lines: Sendable {
    private let lines = Mutex<[String]>([])
    func append(_ line: String) { lines.withLock { $0.append(line) } }
    var text: String { lines.withLock { $0.joined(separator: "\n") } }
}

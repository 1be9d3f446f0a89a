import HTTP
import Linux
import Model
import Proxy
import WardenProtocol

@testable import Drone

/// A drone over ports that only note what it does, in one list, under a clock that stands still until it is moved.
final class VirtualSite {
    /// What the drone did, in its order.
    enum Deed: Equatable {
        case told(DroneMessage)
        case asked(WardenRequest)
        case gate(backend: String, BackendGate)
        case cut(token: String)
        case redialled
    }

    let clock = VirtualClock()
    private(set) var deeds: [Deed] = []
    /// What the proxy's threads look at.
    private(set) var activities: [String: BackendActivity] = [:]
    private(set) var drone: Drone!
    fileprivate var wardenEvent: (WardenEvent) -> Void = { _ in }
    fileprivate var linkEvent: (LinkEvent) -> Void = { _ in }
    /// Asks of the readiness ports, by the order in which they were made.
    private(set) var probes: [VirtualReadiness] = []
    var offer: ImageOffer

    init() throws {
        offer = ImageOffer(
            image: try ImageName(TestSite.image), port: 8080,
            readiness: SandboxPlan.Readiness(port: 8080, timeoutSeconds: 30), gracePeriodSeconds: 1,
            ceilings: ResourceCeilings(
                memoryBytes: 1 << 30, cpuQuotaMicroseconds: 100_000, cpuPeriodMicroseconds: 100_000,
                diskBytes: 1 << 30))
        let configuration = DroneConfiguration(
            name: try DroneName("dr-test"), controllerURLs: [try HTTPURL("http://controller/")],
            cluster: try ClusterName(TestSite.cluster),
            capacity: ResourceAmount(memoryBytes: 1 << 30, cpuMillis: 2_500),
            wardenSocketPath: "/nowhere", proxyAddress: .loopback(0), version: "test")
        drone = Drone(configuration, ports: ports) { _ in }
    }

    private var ports: DronePorts {
        DronePorts(
            clock: clock,
            warden: { [unowned self] in
                wardenEvent = $0
                return VirtualWarden(site: self)
            },
            link: { [unowned self] in
                linkEvent = $0
                return VirtualLink(site: self)
            },
            proxy: ProxyPort(send: { [unowned self] in note($0) }, giveSockets: { _, _, _ in }),
            readiness: { [unowned self] _, _, onOutcome in
                probes.append(VirtualReadiness(onOutcome))
                return probes[probes.count - 1]
            },
            output: { _, _ in nil }, random: { Array(repeating: 7, count: $0) }, log: { _ in })
    }

    fileprivate func note(_ deed: Deed) { deeds.append(deed) }

    private func note(_ command: ProxyCommand) {
        switch command {
        case .setGate(let backend, let gate): note(.gate(backend: backend, gate))
        case .cutToken(let token): note(.cut(token: token))
        case .addBackend(let id, let activity): activities[id] = activity
        case .removeBackend, .setRoute, .removeRoute, .routeUnknown, .setReadiness, .drain: break
        }
    }

    /// What it did since the last look.
    func take() -> [Deed] {
        defer { deeds = [] }
        return deeds
    }

    // MARK: What the peers say

    /// The warden answers, with what it has.
    func wardenConnects(_ listed: [SandboxListing] = []) throws {
        let welcome = WardenWelcome(
            version: WardenRequest.version, machine: try MachineIdentity("machine-1"), missingControllers: [],
            images: [offer])
        wardenEvent(.connected(welcome, listed.map { ListedSandbox(sandbox: $0, output: nil) }))
    }

    func warden(says event: WardenEvent) { wardenEvent(event) }
    func link(tells event: LinkEvent) { linkEvent(event) }
    func controller(says message: ControllerMessage) { linkEvent(.received(message)) }

    /// The link opens and the hello is answered.
    func welcomes(session: Int64 = 1, lease: LeaseTimes = .standard, keep: [String] = []) {
        linkEvent(.opened)
        controller(says: .welcome(controller: "co-test", session: session, lease: lease, keep: keep))
    }

    /// Brings a drone to the point at which it takes orders.
    func start(lease: LeaseTimes = .standard) throws {
        drone.start()
        try wardenConnects()
        welcomes(lease: lease)
    }

    func order(_ backend: String, session: Int64 = 1, fencingToken: Int64 = 7, maxIdleSeconds: Int64? = nil) {
        controller(
            says: .spawn(
                SpawnOrder(
                    backend: backend, session: session, image: TestSite.image, environment: [:],
                    limits: ResourceLimits(), keyName: "demo", fencingToken: fencingToken, staticToken: nil,
                    maxIdleSeconds: maxIdleSeconds, lifetimeLimitSeconds: nil)))
    }

    /// An order that is carried out until the backend is ready.
    func runs(_ backend: String) throws {
        order(backend)
        warden(says: .spawned(try BackendID(backend), output: nil))
        probes[probes.count - 1].onOutcome(.answered)
    }
}

extension [VirtualSite.Deed] {
    /// The backends whose start was asked of the warden.
    var spawned: [String] {
        compactMap { if case .asked(.spawn(let request)) = $0 { request.backend.text } else { nil } }
    }

    /// The states that were told of a backend, with its fencing token.
    func states(of backend: String) -> [(token: Int64, state: BackendState)] {
        compactMap { if case .told(.state(backend, let token, let state)) = $0 { (token, state) } else { nil } }
    }
}

/// A clock that its test moves.
final class VirtualClock: LoopClock {
    private(set) var now = BootInstant(nanoseconds: 1_000_000_000_000)
    private var timers: [(due: BootInstant, token: TimerToken, work: () -> Void)] = []
    private var posted: [() -> Void] = []
    private var lastNumber: UInt64 = 0

    func schedule(after delay: Duration, _ handler: @escaping () -> Void) -> TimerToken {
        lastNumber += 1
        let token = TimerToken(number: lastNumber)
        timers.append((now + delay, token, handler))
        return token
    }

    func cancel(_ timer: TimerToken) { timers.removeAll { $0.token == timer } }
    func post(_ work: @escaping () -> Void) { posted.append(work) }

    /// Lets time pass, with everything that is due in it.
    func advance(_ duration: Duration) {
        let end = now + duration
        drain()
        while let next = timers.indices.filter({ timers[$0].due <= end }).min(by: { timers[$0].due < timers[$1].due }) {
            let timer = timers.remove(at: next)
            now = max(now, timer.due)
            timer.work()
            drain()
        }
        now = end
    }

    /// Lets time pass as for a process that was stopped: nothing runs in it.
    func jump(_ duration: Duration) { now = now + duration }

    private func drain() {
        while !posted.isEmpty { posted.removeFirst()() }
    }
}

private final class VirtualWarden: WardenPort {
    private unowned let site: VirtualSite
    init(site: VirtualSite) { self.site = site }
    var isReady: Bool { true }
    func start() {}
    func stop() {}
    func send(_ request: WardenRequest) { site.note(.asked(request)) }
}

private final class VirtualLink: LinkPort {
    private unowned let site: VirtualSite
    init(site: VirtualSite) { self.site = site }
    func start() {}
    func stop() {}
    func confirmed(_ lease: LeaseTimes) {}
    func send(_ message: DroneMessage) { site.note(.told(message)) }
    func redial(because cause: String) {
        site.note(.redialled)
        site.linkEvent(.closed(cause: cause))
    }
}

/// Notes who is asked, and lets the test answer.
final class VirtualReadiness: ReadinessPort {
    let onOutcome: (ReadinessOutcome) -> Void
    init(_ onOutcome: @escaping (ReadinessOutcome) -> Void) { self.onOutcome = onOutcome }
    func start() {}
    func stop() {}
    func give(_ socket: OwnedDescriptor) {}
}

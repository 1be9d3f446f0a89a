import Controller
import Model
import Store

/// Somebody who uses Plane: connects to keys through any controller, tries again, uses the tokens, ends backends.
final class Client {
    private unowned let site: Site
    private let index: Int
    private var tokens: [Token] = []
    private static let users = ["ada", "bob", "eve"]
    private var world: World { site.world }
    private var name: String { "client \(index)" }

    /// What a connect gave.
    struct Token {
        let token: String
        let backend: BackendID
        let user: String
    }

    init(_ site: Site, index: Int) {
        self.site = site
        self.index = index
    }

    func start() { think() }

    private func think() {
        world.after(world.random.draw(.milliseconds(20)...(.seconds(2)))) { [self] in
            guard !site.isCalm else { return }
            act()
            think()
        }
    }

    private func act() {
        switch world.random.below(100) {
        case ..<55: connect(world.random.pick(site.keys), attempts: 3)
        case ..<75: useToken()
        case ..<85: endBackend()
        case ..<90: revoke()
        case ..<95: setWillingness()
        default: burst()
        }
    }

    /// Several at one moment.
    private func burst() {
        let key = world.random.pick(site.keys)
        for _ in 0..<3 { connect(key, attempts: 2) }
    }

    // MARK: Connect

    private func connect(_ key: String, attempts: Int) {
        let wait: ConnectRequest.Wait = world.random.happens(site.parameters.waitReadyPerMille) ? .ready : .none
        connect(key, wait) { [self] response in
            if response == nil, attempts > 1, !site.isCalm {
                world.after(world.random.draw(.milliseconds(100)...(.seconds(2)))) { [self] in
                    connect(key, attempts: attempts - 1)
                }
            }
        }
    }

    /// One attempt through one controller. - Parameter then: called once: the answer, or nil for a refusal or none.
    func connect(_ key: String, _ wait: ConnectRequest.Wait, then: @escaping (ConnectResponse?) -> Void) {
        let host = world.random.pick(site.controllers)
        let user = Self.users[world.random.below(Self.users.count)]
        let call = ConnectCall(
            site, user,
            then: { [self] response in
                if let response, let id = try? BackendID(response.backendID) {
                    tokens.append(Token(token: response.token, backend: id, user: user))
                    if tokens.count > 12 { tokens.removeFirst() }
                }
                then(response)
            })
        world.trace(name, "connects to \(key) through \(host.name)\(wait == .ready ? ", waits until it is ready" : "")")
        site.add(call)
        host.connect(site.request(key, user, wait), call)
        world.after(.seconds(wait == .ready ? 130 : 25)) { call.fail() }
    }

    // MARK: Other requests

    private func useToken() {
        guard let token = tokens.randomElement(using: &world.random) else { return }
        if world.random.happens(500) { stream(token, until: world.now + .seconds(10)) } else { use(token, attempts: 3) }
    }

    /// A connection that stays open: bytes come again and again until it is cut.
    private func stream(_ token: Token, until end: Int64) {
        for machine in site.machines {
            switch machine.droneHost?.proxy.request(token.token) {
            case .relayed?, .held?: break
            case .refused?: return
            case nil: continue
            }
        }
        if world.now < end { world.after(.milliseconds(400)) { [self] in stream(token, until: end) } }
    }

    private func use(_ token: Token, attempts: Int) {
        for machine in site.machines {
            guard let proxy = machine.droneHost?.proxy else { continue }
            switch proxy.request(token.token) {
            case .relayed:
                world.trace(name, "uses \(token.token.prefix(4)) of \(token.backend) on \(machine.drone)")
                return
            case .refused: return
            case .held: continue
            }
        }
        guard attempts > 1 else { return }
        world.after(.milliseconds(300)) { [self] in use(token, attempts: attempts - 1) }
    }

    private func endBackend() {
        guard let token = tokens.randomElement(using: &world.random) else { return }
        let kind: TerminationKind = world.random.happens(300) ? .hard : .soft
        world.trace(name, "ends \(token.backend) (\(kind))")
        world.random.pick(site.controllers).terminate(token.backend, kind)
    }

    private func revoke() {
        guard let token = tokens.randomElement(using: &world.random) else { return }
        world.trace(name, "revokes \(token.user) on \(token.backend)")
        site.checks.revocationBegins(of: token.user, on: token.backend)
        world.random.pick(site.controllers).revoke(token.user, token.backend)
    }

    private func setWillingness() {
        let drone = world.random.pick(site.droneNames)
        world.trace(name, "drains \(drone) for a while")
        let drain = Controller.Drain(
            endAfterMilliseconds: world.random.happens(300) ? world.random.draw(0...5_000) : nil,
            isEndingNow: world.random.happens(200))
        world.random.pick(site.controllers).drain(drone, drain)
        world.after(world.random.draw(.seconds(1)...(.seconds(8)))) { [self] in
            world.random.pick(site.controllers).undrain(drone)
        }
    }
}

/// One connect call as its controller sees the caller.
final class ConnectCall: ConnectCaller {
    private unowned let site: Site
    private let user: String
    private var then: ((ConnectResponse?) -> Void)?
    private(set) var isGone = false
    /// The process that owes the answer.
    private weak var debtor: SimulatedProcess?
    private var isAnswered = false
    /// When, true nanoseconds.
    private(set) var arrivedAt: Int64 = 0

    init(_ site: Site, _ user: String, then: @escaping (ConnectResponse?) -> Void) {
        self.site = site
        self.user = user
        self.then = then
    }

    func hasArrived(at process: SimulatedProcess) {
        debtor = process
        arrivedAt = site.world.now
    }

    /// Whether a living controller has neither granted nor refused it, and somebody still waits.
    var isOwed: Bool { !isAnswered && !isGone && debtor?.isAlive == true }

    func answer(_ response: ConnectResponse) {
        settle()
        site.world.trace(
            "controller",
            "grants \(response.backendID), token \(response.token.prefix(4)), fencing token "
                + "\(response.fencingToken), \(response.status)")
        site.checks.acknowledged(response, for: user)
        site.world.after(site.network.delay()) { [self] in finish(response) }
    }

    func refuse(_ failure: Failure) {
        settle()
        site.world.counts.connectsRefused += 1
        site.world.trace("controller", "refuses a connect: \(failure)")
        site.world.after(site.network.delay()) { [self] in finish(nil) }
    }

    /// The caller has waited long enough, or there is nobody to ask.
    func fail() {
        guard then != nil else { return }
        isGone = true
        finish(nil)
    }

    private func settle() {
        precondition(!isAnswered, "a connect is answered once")
        isAnswered = true
    }

    private func finish(_ response: ConnectResponse?) {
        let then = then
        self.then = nil
        then?(response)
    }
}

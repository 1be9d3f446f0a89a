import Model
import Store

/// What a connect needs and may not be guessed. Drawn before its job runs, so that the job depends on nothing else.
struct ConnectSecrets: Sendable {
    let backend: BackendID
    /// For a connect without a key.
    let key: KeyConfig
    let token: BearerToken
    let staticToken: BearerToken
    let secret: String
    /// Seeds the draw of drones.
    let seed: UInt64

    /// Draws all of them.
    init() {
        backend = BackendID(random: RandomBytes.draw(14))
        do throws(InvalidValue) {
            key = try KeyConfig(name: "lk-" + BackendID(random: RandomBytes.draw(14)).text)
        } catch {
            preconditionFailure("a generated key is not valid: \(error)")
        }
        token = BearerToken(random: RandomBytes.draw(32))
        staticToken = BearerToken(random: RandomBytes.draw(32), kind: .fixed)
        secret = BearerToken(random: RandomBytes.draw(32)).text
        var generator = SystemRandomNumberGenerator()
        seed = generator.next()
    }
}

/// What a connect's job did.
enum ConnectOutcome: Sendable {
    /// It is durable.
    case connected(Connected)
    /// Nothing was written.
    case wait(ConnectWait)
    /// Nothing was written.
    case refused(ConnectRefusal)

    /// A connect that was granted.
    struct Connected: Sendable {
        var backend: BackendRow
        var grant: RouteGrant
        /// Whether this connect started the backend.
        var origin: Origin
    }

    /// Where the backend comes from.
    enum Origin: Sendable {
        case spawned
        case reused
    }
}

/// A connect as one job of the store: it reads the key's holder, decides, and writes, all in one transaction. So two
/// connects that race for one key give one backend, whoever comes first.
struct ConnectJob: Sendable {
    let request: ConnectRequest
    let secrets: ConnectSecrets
    let linked: [LinkedDrone]
    let defaultCluster: ClusterName?
    let bestOf: Int

    func run(_ store: any StoreTransaction) throws(StoreError) -> ConnectOutcome {
        var random = SeededGenerator(state: secrets.seed)
        var holder: BackendRow?
        if let key = request.key { holder = try store.holder(namespace: key.namespace, name: key.name) }
        var isIDUsed = false
        if holder == nil, let id = request.spawn?.id { isIDUsed = try store.backend(id) != nil }
        let decision = ConnectDecision.decide(
            request, holder: holder, isIDUsed: isIDUsed, linked: linked, defaultCluster: defaultCluster,
            bestOf: bestOf, random: &random)
        switch decision {
        case .reuse(let backend): return .connected(try grant(backend, .reused, store))
        case .wait(let wait): return .wait(wait)
        case .refuse(.unknownImage(let image, let known)):
            return .refused(try afterAbsentDrones(image, known, store))
        case .refuse(let refusal): return .refused(refusal)
        case .spawn(let drones, let cluster, let config):
            let backend = try store.insert(spec(config, cluster, try leastLoaded(drones, store)))
            return .connected(try grant(backend, .spawned, store))
        }
    }

    /// An image that only a drone has which is away just now is not unknown: then the caller may wait, and need not
    /// correct anything.
    private func afterAbsentDrones(
        _ image: ImageName, _ known: [ImageName], _ store: any StoreTransaction
    ) throws(StoreError) -> ConnectRefusal {
        guard let cluster = request.spawn?.cluster ?? defaultCluster, let pool = request.spawn?.pool else {
            return .unknownImage(image, known: known)
        }
        let holders = try store.drones().filter {
            $0.cluster == cluster && $0.pool == pool && $0.images.contains(image)
        }
        if holders.isEmpty { return .unknownImage(image, known: known) }
        var reasons = Placement.NoDrone(cluster: cluster, pool: pool, image: image)
        reasons.linked = linked.count
        for drone in linked {
            if drone.cluster != cluster {
                reasons.otherCluster += 1
            } else if drone.pool != pool {
                reasons.otherPool += 1
            } else {
                reasons.withoutImage += 1
            }
        }
        return .noDrone(reasons)
    }

    /// The first of those with the fewest backends.
    private func leastLoaded(_ drones: [DroneName], _ store: any StoreTransaction) throws(StoreError) -> DroneName {
        var best = drones[0]
        if drones.count == 1 { return best }
        var bestCount = try store.backendCount(of: best)
        for drone in drones.dropFirst() {
            let count = try store.backendCount(of: drone)
            if count < bestCount { (best, bestCount) = (drone, count) }
        }
        return best
    }

    private func spec(
        _ config: SpawnConfig, _ cluster: ClusterName, _ drone: DroneName
    ) -> BackendSpec {
        BackendSpec(
            id: config.id ?? secrets.backend, key: request.key ?? secrets.key, cluster: cluster, pool: config.pool,
            drone: drone,
            executable: config.executable, staticToken: config.useStaticToken ? secrets.staticToken : nil,
            subdomain: config.subdomain, lifetimeLimitSeconds: config.lifetimeLimitSeconds,
            maxIdleSeconds: config.maxIdleSeconds)
    }

    private func grant(
        _ backend: BackendRow, _ origin: ConnectOutcome.Origin, _ store: any StoreTransaction
    ) throws(StoreError) -> ConnectOutcome.Connected {
        var backend = backend
        backend.connects = try store.countConnect(of: backend.id)
        let route: Route
        if let token = backend.spec.staticToken {
            route = .fixed(token, backend)
        } else {
            let row = TokenRow(
                token: secrets.token, backend: backend.id, user: request.user,
                auth: JSONValue.object(request.auth).text, secret: secrets.secret,
                expiresMilliseconds: store.nowMilliseconds + ControllerConfiguration.tokenLifetimeMilliseconds)
            try store.insert(row)
            route = .dynamic(row, backend)
        }
        return ConnectOutcome.Connected(
            backend: backend, grant: RouteGrant(route, nowMilliseconds: store.nowMilliseconds), origin: origin)
    }
}

extension RouteGrant {
    /// What a drone is told about a token.
    init(_ route: Route, nowMilliseconds: Int64) {
        let backend = route.backend.spec
        switch route {
        case .fixed(let token, _):
            self.init(
                token: token.text, backend: backend.id.text, cluster: backend.cluster.text,
                subdomain: backend.subdomain, user: nil, userData: nil, secretToken: "", lifetimeMilliseconds: nil,
                connects: route.backend.connects)
        case .dynamic(let token, _):
            self.init(
                token: token.token.text, backend: backend.id.text, cluster: backend.cluster.text,
                subdomain: backend.subdomain, user: token.user, userData: token.auth, secretToken: token.secret,
                lifetimeMilliseconds: max(0, token.expiresMilliseconds - nowMilliseconds),
                connects: route.backend.connects)
        }
    }
}

extension SpawnOrder {
    /// What a drone is told to start.
    init(_ row: BackendRow) {
        let spec = row.spec
        self.init(
            backend: spec.id.text, image: spec.executable.image.text, environment: spec.executable.environment,
            limits: spec.executable.limits, keyName: spec.key.name, fencingToken: row.fencingToken.value,
            staticToken: spec.staticToken?.text, maxIdleSeconds: spec.maxIdleSeconds,
            lifetimeLimitSeconds: spec.lifetimeLimitSeconds)
    }
}

/// The same numbers for the same seed: SplitMix64 of Steele, Lea and Flood, 2014.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

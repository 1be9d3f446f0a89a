import Model
import Store

/// What a connect's job did.
enum ConnectOutcome: Sendable {
    /// It is durable.
    case connected(Connected)
    /// Nothing was written.
    case wait(ConnectWait)
    /// Nothing was written.
    case refused(ConnectRefusal)
    /// Nothing was written: what is known of the drones is old, and would have been decisive.
    case viewOld(ConnectRefusal)

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
/// connects that race for one key give one backend, whoever comes first, and a drone that is chosen holds its session and
/// has room in the very transaction that places the backend on it.
struct ConnectJob: Sendable {
    let request: ConnectRequest
    let secrets: ConnectSecrets
    let drones: DroneView
    let defaultCluster: ClusterName?
    let bestOf: Int
    let defects: ProtocolDefects

    func run(_ store: any StoreTransaction) throws(StoreError) -> ConnectOutcome {
        var random = SeededGenerator(seed: secrets.seed)
        var holder: BackendRow?
        if let key = request.key { holder = try store.holder(namespace: key.namespace, name: key.name) }
        if defects.contains(.keyFreedOnRequest), let ending = holder, ending.isEnding {
            let end = BackendState(.terminated, reason: .external)
            if case .recorded = try store.record(end, of: ending.id, ending.fencingToken) { holder = nil }
        }
        var isIDUsed = false
        if holder == nil, let id = request.spawn?.id { isIDUsed = try store.backend(id) != nil }
        let decision = ConnectDecision.decide(
            request, holder: holder, isIDUsed: isIDUsed, drones: drones, defaultCluster: defaultCluster,
            nowMilliseconds: store.nowMilliseconds, random: &random)
        switch decision {
        case .reuse(let backend): return .connected(try grant(backend, .reused, store))
        case .wait(let wait): return .wait(wait)
        case .refuse(let refusal): return .refused(refusal)
        case .spawn(let candidates, let reasons, let cluster, let config):
            return try spawn(candidates, reasons, cluster, config, store)
        }
    }

    private func spawn(
        _ candidates: [Placement.Candidate], _ reasons: Placement.NoDrone, _ cluster: ClusterName,
        _ config: SpawnConfig, _ store: any StoreTransaction
    ) throws(StoreError) -> ConnectOutcome {
        var shortlist = Placement.Shortlist(size: bestOf, reasons)
        for candidate in candidates where !shortlist.isComplete {
            var row = try store.drone(candidate.drone)
            if defects.contains(.placementUnchecked) { row?.session = candidate.session }
            shortlist.add(candidate, row)
        }
        guard let best = shortlist.best else {
            return shortlist.isViewOld ? .viewOld(.noDrone(shortlist.refusal)) : .refused(.noDrone(shortlist.refusal))
        }
        let spec = spec(config, cluster, best)
        guard let backend = try store.insert(spec, under: best.session) else {
            if defects.contains(.placementUnchecked) { return .connected(unplaced(spec, best.session)) }
            // The row was read in this transaction, so only a store that breaks its promise comes here.
            return .viewOld(.noDrone(shortlist.refusal))
        }
        return .connected(try grant(backend, .spawned, store))
    }

    /// What whoever does not look would take for granted.
    private func unplaced(_ spec: BackendSpec, _ session: SessionNumber) -> ConnectOutcome.Connected {
        let backend = BackendRow(
            spec: spec, fencingToken: FencingToken(1), session: session, revision: 0, state: BackendState(.scheduled),
            desiredEnd: nil, createdMilliseconds: 0, changedMilliseconds: 0)
        let token = TokenRow(
            token: secrets.token, backend: spec.id, user: nil, auth: "{}", secret: secrets.secret,
            expiresMilliseconds: ControllerConfiguration.tokenLifetimeMilliseconds)
        let grant = RouteGrant(.dynamic(token, backend), nowMilliseconds: 0)
        return ConnectOutcome.Connected(backend: backend, grant: grant, origin: .spawned)
    }

    private func spec(_ config: SpawnConfig, _ cluster: ClusterName, _ place: Placement.Candidate) -> BackendSpec {
        BackendSpec(
            id: config.id ?? secrets.backend, key: request.key ?? secrets.key, cluster: cluster, pool: config.pool,
            drone: place.drone, executable: config.executable,
            staticToken: config.useStaticToken ? secrets.staticToken : nil, subdomain: config.subdomain,
            lifetimeLimitSeconds: config.lifetimeLimitSeconds, maxIdleSeconds: config.maxIdleSeconds,
            promise: place.promise)
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
            backend: spec.id.text, session: row.session.value, image: spec.executable.image.text,
            environment: spec.executable.environment, limits: spec.executable.limits, keyName: spec.key.name,
            fencingToken: row.fencingToken.value, staticToken: spec.staticToken?.text,
            maxIdleSeconds: spec.maxIdleSeconds, lifetimeLimitSeconds: spec.lifetimeLimitSeconds)
    }
}

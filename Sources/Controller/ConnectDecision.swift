import Model
import Store

/// What a connect comes to. Pure; the steps are in the reference's order, which its clients can see by which error
/// they get.
enum ConnectDecision: Equatable {
    /// The key's backend is there: another token for it.
    case reuse(BackendRow)
    /// The key is free (or there is none): start a backend on the least loaded of these drones.
    case spawn(on: [DroneName], in: ClusterName, SpawnConfig)
    /// Not now, but soon perhaps.
    case wait(ConnectWait)
    /// Never, as it is asked.
    case refuse(ConnectRefusal)

    /// - Parameters:
    ///   - holder: the backend that holds the key now.
    ///   - isIDUsed: whether `spawn_config.id` names a backend already.
    ///   - linked: drones that can take orders.
    static func decide(
        _ request: ConnectRequest, holder: BackendRow?, isIDUsed: Bool, linked: [LinkedDrone],
        defaultCluster: ClusterName?, bestOf: Int, random: inout some RandomNumberGenerator
    ) -> ConnectDecision {
        if let holder { return about(holder, request, linked) }
        guard let spawn = request.spawn else { return .refuse(.keyUnheld(ending: nil)) }
        guard let cluster = spawn.cluster ?? defaultCluster else { return .refuse(.noCluster) }
        let placement = Placement.choose(
            cluster: cluster, spawn, among: linked, bestOf: bestOf, random: &random)
        switch placement {
        case .none(let reasons): return .refuse(.noDrone(reasons))
        case .unknownImage(let known): return .refuse(.unknownImage(spawn.executable.image, known: known))
        case .beyondPolicy(let problem): return .refuse(.invalid(.value(problem)))
        case .shortlist(let drones):
            if isIDUsed, let id = spawn.id { return .refuse(.idUsed(id)) }
            return .spawn(on: drones, in: cluster, spawn)
        }
    }

    private static func about(
        _ holder: BackendRow, _ request: ConnectRequest, _ linked: [LinkedDrone]
    ) -> ConnectDecision {
        if holder.spec.key.tag != request.key?.tag { return .refuse(.keyHeld(holder.id)) }
        // The reference answers with the URL of a backend that ends, and that URL soon answers 410.
        if holder.isEnding {
            return request.spawn == nil ? .refuse(.keyUnheld(ending: holder.id)) : .wait(.end(of: holder.id))
        }
        if holder.spec.staticToken != nil {
            do throws(RequestProblem) {
                try request.refuseIdentity(because: "the key's backend has a static token")
            } catch {
                return .refuse(.invalid(error))
            }
        }
        // A drone that nobody hears may have lost the backend; within its lease it may also come back with it.
        guard linked.contains(where: { $0.name == holder.spec.drone }) else {
            return .wait(.drone(holder.spec.drone, of: holder.id))
        }
        return .reuse(holder)
    }
}

/// What a connect waits for.
enum ConnectWait: Hashable, Sendable {
    /// The end of the key's backend, so that a successor can start.
    case end(of: BackendID)
    /// The return of the drone that runs the key's backend, or its end.
    case drone(DroneName, of: BackendID)

    /// How it is refused when the wait has been long enough.
    var refusal: ConnectRefusal {
        switch self {
        case .end(let backend): .stillEnding(backend)
        case .drone(let drone, let backend): .droneSilent(drone, backend)
        }
    }
}

/// Why a connect is refused.
enum ConnectRefusal: Equatable, Sendable {
    case keyHeld(BackendID)
    /// Nobody holds the key, or only a backend that ends, and nothing was given to start.
    case keyUnheld(ending: BackendID?)
    case noCluster
    case noDrone(Placement.NoDrone)
    case unknownImage(ImageName, known: [ImageName])
    case idUsed(BackendID)
    case invalid(RequestProblem)
    case stillEnding(BackendID)
    case droneSilent(DroneName, BackendID)
}

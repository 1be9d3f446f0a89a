package import Model
package import Store

/// What a connect comes to. Pure; the steps are in the reference's order, which its clients can see by which error
/// they get.
package enum ConnectDecision: Equatable {
    /// The key's backend is there: another token for it.
    case reuse(BackendRow)
    /// The key is free (or there is none): start a backend on the least loaded of these drones.
    case spawn(on: [Placement.Candidate], Placement.NoDrone, in: ClusterName, SpawnConfig)
    /// Not now, but soon perhaps.
    case wait(ConnectWait)
    /// Never, as it is asked.
    case refuse(ConnectRefusal)

    /// - Parameters:
    ///   - holder: the backend that holds the key now.
    ///   - isIDUsed: whether `spawn_config.id` names a backend already.
    ///   - drones: what is known of them.
    ///   - nowMilliseconds: the store's clock.
    package static func decide(
        _ request: ConnectRequest, holder: BackendRow?, isIDUsed: Bool, drones: DroneView,
        defaultCluster: ClusterName?, nowMilliseconds: Int64, random: inout some RandomNumberGenerator
    ) -> ConnectDecision {
        if let holder { return about(holder, request, drones, nowMilliseconds) }
        guard let spawn = request.spawn else { return .refuse(.keyUnheld(ending: nil)) }
        guard let cluster = spawn.cluster ?? defaultCluster else { return .refuse(.noCluster) }
        switch Placement.choose(cluster: cluster, spawn, among: drones.drones, random: &random) {
        case .none(let reasons): return .refuse(.noDrone(reasons))
        case .unknownImage(let known): return .refuse(.unknownImage(spawn.executable.image, known: known))
        case .beyondPolicy(let problem): return .refuse(.invalid(.value(problem)))
        case .candidates(let candidates, let reasons):
            if isIDUsed, let id = spawn.id { return .refuse(.idUsed(id)) }
            return .spawn(on: candidates, reasons, in: cluster, spawn)
        }
    }

    private static func about(
        _ holder: BackendRow, _ request: ConnectRequest, _ drones: DroneView, _ nowMilliseconds: Int64
    ) -> ConnectDecision {
        if holder.spec.key.tag != request.key?.tag { return .refuse(.keyHeld(holder.id)) }
        // The reference answers with the URL of a backend that ends, and that URL soon answers 410.
        if holder.isEnding || holder.isOverdue(nowMilliseconds) {
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
        guard let drone = drones[holder.spec.drone], drone.isHeard, drone.session == holder.session else {
            return .wait(.drone(holder.spec.drone, of: holder.id))
        }
        return .reuse(holder)
    }
}

extension BackendRow {
    /// Whether it has lived as long as it may. Its drone ends it by its own clock, at about that moment.
    package func isOverdue(_ nowMilliseconds: Int64) -> Bool {
        guard let seconds = spec.lifetimeLimitSeconds else { return false }
        let (limit, overflow) = seconds.multipliedReportingOverflow(by: 1000)
        return !overflow && nowMilliseconds - createdMilliseconds >= limit
    }
}

/// What a connect waits for.
package enum ConnectWait: Hashable, Sendable {
    /// The end of the key's backend, so that a successor can start.
    case end(of: BackendID)
    /// The return of the drone that runs the key's backend, or its end.
    case drone(DroneName, of: BackendID)

    /// How it is refused when the wait has been long enough.
    package var refusal: ConnectRefusal {
        switch self {
        case .end(let backend): .stillEnding(backend)
        case .drone(let drone, let backend): .droneSilent(drone, backend)
        }
    }
}

/// Why a connect is refused.
package enum ConnectRefusal: Equatable, Sendable {
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
    /// It was to be answered when the backend is ready, and the backend ended before.
    case endedBeforeReady(BackendID, BackendState)
    /// It was to be answered when the backend is ready, which takes longer than a request may.
    case notReadyYet(BackendID)
}

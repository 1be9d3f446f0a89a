import HTTP
import Linux
import Model
import Store

/// What a controller does by itself and by the clock: it says that it is there, and deletes what is over.
final class Upkeep {
    private unowned let controller: Controller

    init(_ controller: Controller) { self.controller = controller }

    func start() {
        switch controller.sharing {
        case .exclusive: break
        case .shared: beat()
        }
        // Somewhere within the interval, so that controllers that start together do not clean together.
        let bytes = controller.random(2)
        let share = Double(UInt16(bytes[0]) << 8 | UInt16(bytes[1])) / Double(UInt16.max)
        controller.after(ControllerConfiguration.cleaningInterval * share) { [weak self] in self?.clean() }
    }

    // MARK: Beats

    private func beat() {
        let (name, version) = (controller.name, controller.configuration.version)
        controller.store.perform({ store throws(StoreError) in
            try store.beat(name, version: version)
        }) { [weak self] result in
            if case .failure(let error) = result {
                self?.controller.log(.error, "beat-failed", ["reason": error.description])
            }
            self?.controller.after(ControllerConfiguration.beatInterval) { self?.beat() }
        }
    }

    // MARK: Cleaning

    /// Deletes what is over, one bounded batch per job, until a batch is not full.
    private func clean() {
        let limit = ControllerConfiguration.cleaningBatch
        let linked = controller.sessions.linked
        controller.store.perform({ store throws(StoreError) -> Bool in
            let now = store.nowMilliseconds
            let keptSince = now - ControllerConfiguration.endedKeptMilliseconds
            let aliveSince = now - ControllerConfiguration.deadControllerKeptMilliseconds
            try store.seen(linked)
            let tokens = try store.deleteTokens(expiredBefore: now, limit: limit)
            let backends = try store.deleteBackends(terminatedBefore: keptSince, limit: limit)
            let drones = try store.deleteDrones(seenBefore: keptSince, limit: limit)
            let controllers = try store.deleteControllers(seenBefore: aliveSince, limit: limit)
            return [tokens, backends, drones, controllers].contains(limit)
        }) { [weak self] result in
            switch result {
            case .success(true): self?.clean()
            case .success(false): self?.cleanLater()
            case .failure(let error):
                self?.controller.log(.error, "cleaning-failed", ["reason": error.description])
                self?.cleanLater()
            }
        }
    }

    private func cleanLater() {
        controller.after(ControllerConfiguration.cleaningInterval) { [weak self] in self?.clean() }
    }
}

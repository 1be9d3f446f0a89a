import Controller
import Model
import Store

/// One controller process's way to the store. Jobs run one after the other, some time after they were given; the answers
/// come back in that order. A connection that breaks loses a job, or does it and loses the answer.
final class StoreDoor: ControllerStore {
    let isShared: Bool
    private let site: Site
    private let host: ControllerHost
    private let process: SimulatedProcess
    private var lastRun: Int64 = 0
    private var lastAnswer: Int64 = 0
    private var world: World { site.world }

    init(_ site: Site, _ host: ControllerHost, _ process: SimulatedProcess) {
        self.site = site
        self.host = host
        self.process = process
        isShared = site.parameters.isStoreShared
    }

    private func delay() -> Int64 {
        world.random.happens(30)
            ? world.random.draw(0...(.milliseconds(600)))
            : world.random.draw(200_000...(.milliseconds(4))) * site.store.slowness
    }

    func perform<Value: Sendable>(
        _ job: @escaping @Sendable (any StoreTransaction) throws(StoreError) -> Value,
        then: @escaping (Result<Value, StoreError>) -> Void
    ) {
        lastRun = max(lastRun, world.now + delay())
        world.at(lastRun) { [self] in
            // An embedded store stands still and dies with its process; a server has what was sent to it.
            if isShared { run(job, then) } else { process.deliver { [self] in run(job, then) } }
        }
    }

    private func run<Value: Sendable>(
        _ job: @escaping @Sendable (any StoreTransaction) throws(StoreError) -> Value,
        _ then: @escaping (Result<Value, StoreError>) -> Void
    ) {
        let hub = site.store
        if hub.isDown || host.isStoreUnreachable { return answer(.failure(Self.unreachable), then) }
        if !process.isAlive, world.random.happens(500) { return }
        if hub.lostPerMille > 0, world.random.happens(hub.lostPerMille) {
            world.counts.faults[Fault.jobLost.index] += 1
            return answer(.failure(Self.unreachable), then)
        }
        if world.has(.replyBeforeCommit) {
            answer(hub.rehearse(job), then)
            let commit = world.now + world.random.draw(.milliseconds(1)...(.milliseconds(30)))
            lastRun = max(lastRun, commit)
            world.at(commit) { [self] in if process.isAlive { _ = hub.run(job, from: host.index) } }
            return
        }
        let result = hub.run(job, from: host.index)
        // An embedded store knows whether it has committed.
        if isShared, hub.uncertainPerMille > 0, world.random.happens(hub.uncertainPerMille) {
            world.counts.faults[Fault.jobUncertain.index] += 1
            return answer(.failure(Self.unreachable), then)
        }
        answer(result, then)
    }

    private static let unreachable = StoreError(.other, message: "the connection to the store broke")

    private func answer<Value>(
        _ result: Result<Value, StoreError>, _ then: @escaping (Result<Value, StoreError>) -> Void
    ) {
        lastAnswer = max(lastAnswer, world.now + delay())
        world.at(lastAnswer) { [self] in process.deliver { then(result) } }
    }
}

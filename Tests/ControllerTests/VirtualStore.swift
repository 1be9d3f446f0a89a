import Model
import SimulatedStore
import Store

@testable import Controller

/// A store in memory as a controller uses it: jobs run when they are given, and how they went is told in a later turn.
final class VirtualStore: ControllerStore {
    /// How the next jobs go.
    enum Behaviour {
        case normal
        /// They wait.
        case held
        /// They fail, and nothing happens.
        case failing
        /// They happen, and are told to have failed.
        case uncertain
    }

    let isShared: Bool
    private let store: any Store
    private let clock: VirtualClock
    private var waiting: [() -> Void] = []
    private(set) var jobs = 0
    var behaviour = Behaviour.normal {
        didSet { if case .normal = behaviour { release() } }
    }

    init(_ database: MemoryDatabase, _ clock: VirtualClock, sharing: SessionTable.Sharing) {
        switch sharing {
        case .exclusive: store = MemoryStore(database)
        case .shared: store = SharedMemoryStore(database)
        }
        isShared = sharing == .shared
        self.clock = clock
    }

    func perform<Value: Sendable>(
        _ job: @escaping @Sendable (any StoreTransaction) throws(StoreError) -> Value,
        then: @escaping (Result<Value, StoreError>) -> Void
    ) {
        jobs += 1
        waiting.append { [self] in
            let result: Result<Value, StoreError>
            switch behaviour {
            case .failing: result = .failure(StoreError(.full, message: "the test's disk is full"))
            case .uncertain:
                _ = try? store.transaction(job)
                result = .failure(StoreError(.other, message: "the test's connection broke"))
            case .normal, .held:
                result = Result { () throws(StoreError) in try store.transaction(job) }
            }
            clock.post { then(result) }
        }
        if case .held = behaviour { return }
        release()
    }

    private func release() {
        let jobs = waiting
        waiting = []
        for job in jobs { job() }
    }

    /// Reads or writes behind the controller's back.
    func now<Value>(_ job: (any StoreTransaction) throws(StoreError) -> Value) throws -> Value {
        try store.transaction(job)
    }
}

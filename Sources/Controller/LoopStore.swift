import HTTP
import Linux
import Store
import Synchronization

/// The store as the loop's thread uses it: jobs go to the store's thread, and how they went comes back here, after it is
/// durable, in the order of the jobs.
final class LoopStore: ControllerStore {
    let isShared: Bool
    private let thread: StoreThread
    private let finished = FinishedJobs()
    private var completions: [UInt64: () -> Void] = [:]
    private var lastNumber: UInt64 = 0

    /// Opens the store on a thread of its own. - Parameter isShared: whether other controllers use it, too.
    init(
        loop: EventLoop, isShared: Bool, open: @escaping @Sendable () throws(StoreError) -> any Store
    ) throws(ControllerError) {
        self.isShared = isShared
        let mailbox: Mailbox<[@Sendable () -> Void]>
        do throws(SystemError) { mailbox = try Mailbox() } catch { throw .system(error) }
        do throws(StoreError) {
            thread = try StoreThread(open: open, deliver: { mailbox.send($0) })
        } catch {
            throw .store(error)
        }
        do throws(SystemError) {
            try loop.attach(mailbox) { [weak self] batch in
                for completion in batch { completion() }
                self?.complete()
            }
        } catch {
            thread.stop()
            throw .system(error)
        }
    }

    /// Runs a job in the store and calls back on the loop.
    func perform<Value: Sendable>(
        _ job: @escaping @Sendable (any StoreTransaction) throws(StoreError) -> Value,
        then: @escaping (Result<Value, StoreError>) -> Void
    ) {
        lastNumber += 1
        let number = lastNumber
        let box = ResultBox<Value>()
        // What the caller captured belongs to the loop and must not travel: only the number does.
        completions[number] = { then(box.take()) }
        thread.perform(job) { [finished] result in
            box.put(result)
            finished.append(number)
        }
    }

    /// Finishes what waits and closes the database. What is finished now is not called back any more.
    func stop() {
        thread.stop()
        completions = [:]
    }

    private func complete() {
        for number in finished.takeAll() { completions.removeValue(forKey: number)?() }
    }
}

/// Carries a result from the store's thread to the loop's.
private final class ResultBox<Value: Sendable>: Sendable {
    private let content = Mutex<Result<Value, StoreError>?>(nil)

    func put(_ result: Result<Value, StoreError>) { content.withLock { $0 = result } }

    func take() -> Result<Value, StoreError> {
        guard let result = content.withLock({ $0 }) else { preconditionFailure("a job was completed before it ran") }
        return result
    }
}

/// Numbers of jobs that are done, in their order.
private final class FinishedJobs: Sendable {
    private let numbers = Mutex<[UInt64]>([])

    func append(_ number: UInt64) { numbers.withLock { $0.append(number) } }

    func takeAll() -> [UInt64] {
        numbers.withLock {
            let taken = $0
            $0 = []
            return taken
        }
    }
}

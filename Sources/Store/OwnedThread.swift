import Glibc

/// A thread that its owner starts once and waits for.
///
/// Unchecked: `id` is set before anyone else has this, and read by the one that joins.
final class OwnedThread: @unchecked Sendable {
    private var id: pthread_t?

    /// Starts it. Once. - Parameter name: for the error, if it cannot be started.
    func start(named name: StaticString, _ body: @escaping @Sendable () -> Void) throws(StoreError) {
        precondition(id == nil, "the thread runs already")
        let context = Unmanaged.passRetained(ThreadBody(body))
        var started = pthread_t()
        let code = pthread_create(
            &started, nil,
            { context in
                guard let context else { preconditionFailure("pthread_create(3) passes its argument") }
                Unmanaged<ThreadBody>.fromOpaque(context).takeRetainedValue().run()
                return nil
            }, context.toOpaque())
        guard code == 0 else {
            context.release()
            throw StoreError(
                .other, message: "cannot start the store's thread \(name): \(String(cString: strerror(code)))")
        }
        id = started
    }

    /// Waits for its end. The second call returns at once. Not from two threads at a time.
    func join() {
        if let ended = id { pthread_join(ended, nil) }
        id = nil
    }
}

/// What a thread runs.
final class ThreadBody: Sendable {
    let run: @Sendable () -> Void

    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

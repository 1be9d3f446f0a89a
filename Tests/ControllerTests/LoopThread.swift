import Glibc
import HTTP
import Linux
import Synchronization

/// An event loop on a thread of its own, for tests: work is sent to it, and what it makes stays there.
final class LoopThread: Sendable {
    /// What lives on the loop's thread.
    final class Context {
        let loop: EventLoop
        let client: HTTPClient
        /// Whatever the test keeps here, by name.
        var things: [String: AnyObject] = [:]

        init(_ loop: EventLoop) {
            self.loop = loop
            client = HTTPClient(loop: loop)
        }
    }

    private let mailbox: Mailbox<@Sendable (Context) -> Void>
    private let thread: Mutex<pthread_t?>

    init() throws {
        let mailbox = try Mailbox<@Sendable (Context) -> Void>()
        self.mailbox = mailbox
        thread = Mutex(nil)
        let body: @Sendable () -> Void = {
            do {
                let context = Context(try EventLoop())
                try context.loop.attach(mailbox) { $0(context) }
                try context.loop.run()
                context.things = [:]
            } catch {
                preconditionFailure("a test's loop failed: \(error)")
            }
        }
        let argument = Unmanaged.passRetained(Box(body)).toOpaque()
        var id = pthread_t()
        let code = pthread_create(
            &id, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().body()
                return nil
            }, argument)
        precondition(code == 0, "pthread_create: \(code)")
        thread.withLock { [id] in $0 = id }
    }

    private final class Box: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    /// Runs work on the loop's thread.
    func send(_ work: @escaping @Sendable (Context) -> Void) { mailbox.send(work) }

    /// Runs work on the loop's thread and waits for its result.
    func run<Value: Sendable>(_ work: @escaping @Sendable (Context) throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            send { context in continuation.resume(with: Result { try work(context) }) }
        }
    }

    /// Ends the loop and waits for its thread.
    func stop() {
        send { $0.loop.stop() }
        let ended = thread.withLock {
            let id = $0
            $0 = nil
            return id
        }
        if let ended { pthread_join(ended, nil) }
    }
}

public import Linux
private import Synchronization

/// A queue into a loop from any thread; see ``EventLoop/attach(_:_:)``. Messages of one sender arrive in their order.
public final class Mailbox<Message: Sendable>: Sendable {
    private struct Contents: ~Copyable {
        let wakeup: EventDescriptor
        var messages: [Message] = []
    }

    private let contents: Mutex<Contents>

    /// An empty mailbox.
    public init() throws(SystemError) {
        contents = Mutex(Contents(wakeup: try EventDescriptor()))
    }

    /// Queues a message and wakes the loop. Never blocks for longer than another sender takes. What is sent before a loop
    /// is attached waits for it.
    public func send(_ message: Message) {
        contents.withLock { contents in
            contents.messages.append(message)
            if contents.messages.count == 1 { contents.wakeup.wake() }
        }
    }

    var rawDescriptor: Int32 { contents.withLock { $0.wakeup.raw } }

    func takeAll() -> [Message] {
        contents.withLock { contents in
            contents.wakeup.drain()
            let messages = contents.messages
            contents.messages = []
            return messages
        }
    }
}

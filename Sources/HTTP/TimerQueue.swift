internal import Linux

/// A scheduled call of an ``EventLoop``.
public struct TimerToken: Hashable, Sendable {
    let number: UInt64

    /// For clocks other than an ``EventLoop``; unique within one of them.
    public init(number: UInt64) { self.number = number }
}

/// The pending timers of one loop: a binary heap by deadline. Cancelled ones stay in it as husks until they are due or
/// outnumber the living.
struct TimerQueue {
    private struct Entry {
        let deadline: BootInstant
        let token: TimerToken
        func isBefore(_ other: Entry) -> Bool {
            (deadline.nanoseconds, token.number) < (other.deadline.nanoseconds, other.token.number)
        }
    }

    private var heap: [Entry] = []
    private var handlers: [TimerToken: () -> Void] = [:]
    private var lastNumber: UInt64 = 0

    /// When the next timer is due; may be that of a cancelled one.
    var nextDeadline: BootInstant? { heap.first?.deadline }

    mutating func add(at deadline: BootInstant, _ handler: @escaping () -> Void) -> TimerToken {
        lastNumber += 1
        let token = TimerToken(number: lastNumber)
        handlers[token] = handler
        heap.append(Entry(deadline: deadline, token: token))
        siftUp(from: heap.count - 1)
        return token
    }

    mutating func cancel(_ token: TimerToken) {
        guard handlers.removeValue(forKey: token) != nil, heap.count > 64, heap.count > 2 * handlers.count else {
            return
        }
        let living = heap.filter { handlers[$0.token] != nil }
        // A sorted array is a heap.
        heap = living.sorted { $0.isBefore($1) }
    }

    /// Takes the earliest timer that is due; equal deadlines in the order they were scheduled.
    mutating func popDue(_ now: BootInstant) -> (() -> Void)? {
        while let first = heap.first, first.deadline <= now {
            heap.swapAt(0, heap.count - 1)
            heap.removeLast()
            siftDown()
            if let handler = handlers.removeValue(forKey: first.token) { return handler }
        }
        return nil
    }

    private mutating func siftUp(from start: Int) {
        var index = start
        while index > 0, heap[index].isBefore(heap[(index - 1) / 2]) {
            heap.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    private mutating func siftDown() {
        var index = 0
        while true {
            var smallest = index
            for child in [2 * index + 1, 2 * index + 2] where child < heap.count {
                if heap[child].isBefore(heap[smallest]) { smallest = child }
            }
            if smallest == index { return }
            heap.swapAt(index, smallest)
            index = smallest
        }
    }
}

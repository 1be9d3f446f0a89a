/// What is going to happen, by true time; at one moment in the order in which it was planned. A binary heap of numbers, with
/// the closures beside it so that sifting touches no reference counts.
struct EventQueue {
    private struct Entry {
        let time: Int64
        let order: UInt64
        let slot: Int32

        func isBefore(_ other: Entry) -> Bool { time != other.time ? time < other.time : order < other.order }
    }

    private var heap: [Entry] = []
    private var slots: [(() -> Void)?] = []
    private var freeSlots: [Int32] = []
    private var lastOrder: UInt64 = 0

    var isEmpty: Bool { heap.isEmpty }

    /// When the next event is; true time in nanoseconds.
    var nextTime: Int64? { heap.first?.time }

    mutating func add(at time: Int64, _ work: @escaping () -> Void) {
        let slot = freeSlots.popLast() ?? Int32(slots.count)
        if slot == slots.count { slots.append(work) } else { slots[Int(slot)] = work }
        lastOrder += 1
        heap.append(Entry(time: time, order: lastOrder, slot: slot))
        siftUp()
    }

    mutating func pop() -> (time: Int64, work: () -> Void)? {
        guard let first = heap.first else { return nil }
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            siftDown()
        }
        guard let work = slots[Int(first.slot)] else { preconditionFailure("an event has no work") }
        slots[Int(first.slot)] = nil
        freeSlots.append(first.slot)
        return (first.time, work)
    }

    private mutating func siftUp() {
        var index = heap.count - 1
        let entry = heap[index]
        while index > 0, entry.isBefore(heap[(index - 1) / 2]) {
            heap[index] = heap[(index - 1) / 2]
            index = (index - 1) / 2
        }
        heap[index] = entry
    }

    private mutating func siftDown() {
        let entry = heap[0]
        var index = 0
        while true {
            var child = 2 * index + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count, heap[child + 1].isBefore(heap[child]) { child += 1 }
            guard heap[child].isBefore(entry) else { break }
            heap[index] = heap[child]
            index = child
        }
        heap[index] = entry
    }
}

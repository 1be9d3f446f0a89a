/// All connections of a thread at fixed addresses. Pages are touched as slots come into use.
struct ConnectionSlab: ~Copyable {
    private let slots: UnsafeMutablePointer<Connection>
    /// Beside the slots, so that looking for one token among all connections touches little memory.
    private let tokens: UnsafeMutablePointer<Int>
    private let capacity: Int
    private var touchedCount = 0
    private var firstFree = ListHead.none
    private(set) var usedCount = 0

    init(capacity: Int) {
        self.capacity = capacity
        slots = .allocate(capacity: capacity)
        tokens = .allocate(capacity: capacity)
    }

    deinit {
        slots.deallocate()
        tokens.deallocate()
    }

    /// Hash of the token of the connection's present request or of its last one; 0 before the first.
    @inline(__always)
    func token(of connection: UnsafeMutablePointer<Connection>) -> Int { tokens[connection - slots] }

    @inline(__always)
    func setToken(_ hash: Int, of connection: UnsafeMutablePointer<Connection>) { tokens[connection - slots] = hash }

    var isFull: Bool { usedCount == capacity }
    /// Slots with a lower index have been used at least once.
    var indexLimit: UInt32 { UInt32(truncatingIfNeeded: touchedCount) }

    @inline(__always)
    subscript(index: UInt32) -> UnsafeMutablePointer<Connection> {
        precondition(Int(index) < touchedCount, "connection index beyond the slab")
        return slots + Int(index)
    }

    /// The connection that an event speaks of; nil when that one has ended since.
    @inline(__always)
    func connection(of token: EventToken) -> UnsafeMutablePointer<Connection>? {
        let connection = self[token.index]
        guard connection.pointee.generation == token.generation, connection.pointee.phase != .vacant else { return nil }
        return connection
    }

    @inline(__always)
    func index(of connection: UnsafeMutablePointer<Connection>) -> UInt32 {
        UInt32(truncatingIfNeeded: connection - slots)
    }

    mutating func allocate() -> UnsafeMutablePointer<Connection>? {
        let slot: UnsafeMutablePointer<Connection>
        if firstFree != ListHead.none {
            slot = slots + Int(firstFree)
            firstFree = slot.pointee.queue.next
            let generation = slot.pointee.generation
            slot.pointee = Connection()
            slot.pointee.generation = generation
        } else if touchedCount < capacity {
            slot = slots + touchedCount
            touchedCount += 1
            slot.initialize(to: Connection())
        } else {
            return nil
        }
        usedCount += 1
        setToken(0, of: slot)
        return slot
    }

    mutating func free(_ connection: UnsafeMutablePointer<Connection>) {
        connection.pointee.phase = .vacant
        connection.pointee.generation &+= 1
        connection.pointee.queue.next = firstFree
        firstFree = index(of: connection)
        usedCount -= 1
    }
}

import Model

/// The last so many ids that were put in; the oldest are dropped.
struct RecentIDs: Equatable, Sendable {
    private var ids: Set<BackendID> = []
    private var order: [BackendID] = []
    private var oldest = 0
    private let capacity: Int

    /// - Parameter capacity: how many are kept, 1 or more.
    init(capacity: Int) {
        precondition(capacity > 0, "room for one at least")
        self.capacity = capacity
    }

    /// Puts one in.
    mutating func insert(_ id: BackendID) {
        guard ids.insert(id).inserted else { return }
        if order.count < capacity { return order.append(id) }
        ids.remove(order[oldest])
        order[oldest] = id
        oldest = (oldest + 1) % capacity
    }

    /// Whether it is among them.
    func contains(_ id: BackendID) -> Bool { ids.contains(id) }
}

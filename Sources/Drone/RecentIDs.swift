package import Model

/// The last so many backends that are over; the oldest are dropped.
///
/// An id alone does not say which: whoever chooses ids may use one again when the controller has cleaned up the first
/// backend of that id. The fencing token tells them apart.
package struct RecentIDs: Equatable, Sendable {
    private var tokens: [BackendID: FencingToken] = [:]
    private var order: [BackendID] = []
    private var oldest = 0
    private let capacity: Int

    /// - Parameter capacity: how many are kept, 1 or more.
    package init(capacity: Int) {
        precondition(capacity > 0, "room for one at least")
        self.capacity = capacity
    }

    /// Puts one in.
    package mutating func insert(_ id: BackendID, _ token: FencingToken) {
        if let known = tokens[id] {
            tokens[id] = max(known, token)
            return
        }
        tokens[id] = token
        if order.count < capacity { return order.append(id) }
        tokens[order[oldest]] = nil
        order[oldest] = id
        oldest = (oldest + 1) % capacity
    }

    /// The latest that is remembered of an id.
    package func latest(_ id: BackendID) -> FencingToken? { tokens[id] }

    /// Puts another token in the place of one that is remembered.
    package mutating func replace(_ id: BackendID, _ token: FencingToken) {
        if tokens[id] != nil { tokens[id] = token }
    }

    /// Whether that backend, or a later one of its id, is among them.
    package func contains(_ id: BackendID, _ token: FencingToken) -> Bool { tokens[id].map { $0 >= token } ?? false }
}

/// Sockets of one backend's network namespace: who asked for how many, and for whom those are that the warden is making.
///
/// The warden answers requests in their order, so the first answer is the first asker's. What it did not deliver is owed
/// still, because a proxy thread counts on getting every socket that it asked for.
///
/// Pure.
package struct SocketDebts: Equatable, Sendable {
    /// Who gets sockets.
    package enum Creditor: Hashable, Sendable {
        /// The readiness probe.
        case probe
        /// A thread of the proxy.
        case proxy(thread: Int)
    }

    /// Sockets that were asked of the warden together.
    package struct Request: Equatable, Sendable {
        package let creditor: Creditor
        package let count: Int
    }

    private var owed: [Request] = []
    private var underWay: [Request] = []
    private let requestMax: Int

    /// - Parameter requestMax: sockets that one answer may carry.
    package init(requestMax: Int) { self.requestMax = requestMax }

    /// Somebody wants sockets.
    package mutating func ask(_ creditor: Creditor, count: Int) {
        var rest = count
        while rest > 0 {
            owed.append(Request(creditor: creditor, count: min(rest, requestMax)))
            rest -= requestMax
        }
    }

    /// What to ask the warden for now, once each; all of it is under way from here on.
    package mutating func takeOwed() -> [Request] {
        defer { owed = [] }
        underWay += owed
        return owed
    }

    /// The warden answered with so many. - Returns: whose they are; nil when nothing was under way.
    package mutating func answered(count: Int) -> Creditor? {
        guard !underWay.isEmpty else { return nil }
        let request = underWay.removeFirst()
        // The probe asks anew by itself.
        if count < request.count, request.creditor != .probe {
            owed.append(Request(creditor: request.creditor, count: request.count - count))
        }
        return request.creditor
    }

    /// The warden's connection broke: what was under way is owed again.
    package mutating func disconnected() {
        owed = underWay.filter { $0.creditor != .probe } + owed
        underWay = []
    }

    /// Whether something has to be asked for again, later.
    package var isOwing: Bool { !owed.isEmpty }
}

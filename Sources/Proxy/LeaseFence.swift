import Linux
import Synchronization

/// The end of a lease, as each thread sees it by its own clock: nobody has to tell it, and nobody who is late can keep it
/// from relaying nothing more.
extension ProxyThread {
    static let leaseIsOver = "The lease under which the backend ran is over. Connect again."

    /// By the clock as it is, not as it was when the turn began: a thread that is stopped is so within a turn, when it has
    /// much to do. 25 ns; a small message costs 5 µs. What is left is the one event that it was stopped in.
    @inline(__always)
    func isLeaseOver(_ backend: UnsafeMutablePointer<BackendRecord>) -> Bool {
        let deadline = backend.pointee.counters.pointee.leaseDeadline.load(ordering: .relaxed)
        return deadline != .max && deadline <= BootInstant.now.nanoseconds
    }

    /// Cuts what belongs to backends whose lease is over. Costs a comparison, but when one may be.
    ///
    /// Leases are only ever moved forward, so the nearest that was seen at one look is no later than the nearest there is.
    mutating func fenceLeases() {
        if now < nextLeaseLook { return }
        nextLeaseLook = .max
        for backend in Array(backends.values) {
            let deadline = backend.pointee.counters.pointee.leaseDeadline.load(ordering: .relaxed)
            if deadline <= now { fence(backend) } else { nextLeaseLook = min(nextLeaseLook, deadline) }
        }
    }

    /// Nothing more passes, in either direction; what is asked of it is answered like of one that has ended.
    mutating func fence(_ backend: UnsafeMutablePointer<BackendRecord>) {
        backend.pointee.gate = .gone(reason: Self.leaseIsOver)
        backend.pointee.closeSpares()
        forEachConnection(of: backend) { thread, connection in
            thread.backendEnded(connection, Self.leaseIsOver, .atOnce)
        }
    }
}

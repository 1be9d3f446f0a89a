import Synchronization

/// The end of a lease, as each thread sees it by its own clock: nobody has to tell it, and nobody who is late can keep it
/// from relaying nothing more.
extension ProxyThread {
    static let leaseIsOver = "The lease under which the backend ran is over. Connect again."

    @inline(__always)
    func isLeaseOver(_ backend: UnsafeMutablePointer<BackendRecord>) -> Bool {
        backend.pointee.counters.pointee.leaseDeadline.load(ordering: .relaxed) <= now
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

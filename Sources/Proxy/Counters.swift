import Synchronization

/// What one backend is doing, written by the proxy threads and read by the owner, and until when it may, written by the
/// owner and read by the proxy threads; without locks.
public final class BackendActivity: Sendable {
    struct Cells: ~Copyable {
        let active = Atomic<Int>(0)
        let started = Atomic<UInt64>(0)
        let bytesSpliced = Atomic<UInt64>(0)
        let bytesCopied = Atomic<UInt64>(0)
        let leaseDeadline = Atomic<UInt64>(.max)
    }

    // Raw memory, so that the relay touches the cells without retaining this object. Freed with it.
    nonisolated(unsafe) let cells: UnsafeMutablePointer<Cells>

    /// All zero, and no end of the lease.
    public init() {
        cells = .allocate(capacity: 1)
        cells.initialize(to: Cells())
    }

    deinit {
        cells.deinitialize(count: 1)
        cells.deallocate()
    }

    /// Requests in flight, held ones among them, and upgraded connections. While it is not 0 the backend is not idle.
    public var active: Int { cells.pointee.active.load(ordering: .relaxed) }
    /// Requests ever accepted for it. A change between two looks means that it was used in between.
    public var started: UInt64 { cells.pointee.started.load(ordering: .relaxed) }
    /// Bytes of bodies and tunnels moved by splice(2), both ways.
    public var bytesSpliced: UInt64 { cells.pointee.bytesSpliced.load(ordering: .relaxed) }
    /// Bytes of bodies and tunnels that passed through the process, both ways.
    public var bytesCopied: UInt64 { cells.pointee.bytesCopied.load(ordering: .relaxed) }

    /// When the backend's lease ends, CLOCK_BOOTTIME nanoseconds; `UInt64.max`, as at the start, for never.
    ///
    /// From then on its connections are cut and none is made, whatever else the owner does or fails to do: a process that was
    /// stopped, and goes on when the key has been given away, moves no byte of it. To be set before the backend is added, and
    /// then moved forward as the lease is renewed. Once a thread has found it in the past the backend is gone for good there.
    public var leaseDeadline: UInt64 {
        get { cells.pointee.leaseDeadline.load(ordering: .relaxed) }
        set { cells.pointee.leaseDeadline.store(newValue, ordering: .relaxed) }
    }
}

/// Why a request was answered by the proxy itself.
public enum Refusal: Int, CaseIterable, Sendable {
    /// A head or body that is not well-formed HTTP/1.1, or is too long.
    case malformed
    /// A path without a token, or `/`.
    case noToken
    /// A token that nobody knows, or that has expired.
    case unknownToken
    /// A host name that the token is not for.
    case wrongHost
    /// The backend has ended.
    case backendGone
    /// The backend did not start in time.
    case startTimeout
    /// No socket to the backend, or the owner did not answer about a token in time.
    case unavailable
    /// The backend refused the connection, broke it, or answered with something that is not HTTP/1.1.
    case badGateway
    /// The client took too long to send its head or body.
    case slowClient
}

/// Sums over all threads since the start.
public struct ProxyTotals: Equatable, Sendable {
    /// Client connections accepted.
    public var accepted: UInt64 = 0
    /// Client connections open now.
    public var open: UInt64 = 0
    /// Requests whose head was accepted.
    public var requests: UInt64 = 0
    /// Requests waiting now for a route, a start or a socket.
    public var held: UInt64 = 0
    /// Connections switched to another protocol.
    public var upgrades: UInt64 = 0
    /// Bytes of bodies and tunnels moved by splice(2).
    public var bytesSpliced: UInt64 = 0
    /// Bytes of bodies and tunnels that passed through the process.
    public var bytesCopied: UInt64 = 0
    /// Times that accepting was stopped for want of descriptors or of room.
    public var acceptPauses: UInt64 = 0
    /// Pipes that exist now.
    public var pipes: UInt64 = 0
    /// Own answers by cause, indexed by ``Refusal``'s raw value.
    public var refusals = [UInt64](repeating: 0, count: Refusal.allCases.count)
}

/// The counters of one thread; each has its own, so that threads do not fight for cache lines.
final class ThreadCounters: Sendable {
    struct Cells: ~Copyable {
        let accepted = Atomic<UInt64>(0)
        let open = Atomic<UInt64>(0)
        let requests = Atomic<UInt64>(0)
        let held = Atomic<UInt64>(0)
        let upgrades = Atomic<UInt64>(0)
        let bytesSpliced = Atomic<UInt64>(0)
        let bytesCopied = Atomic<UInt64>(0)
        let acceptPauses = Atomic<UInt64>(0)
        let pipes = Atomic<UInt64>(0)
    }

    nonisolated(unsafe) let cells: UnsafeMutablePointer<Cells>
    nonisolated(unsafe) let refusals: UnsafeMutablePointer<Atomic<UInt64>>

    init() {
        cells = .allocate(capacity: 1)
        cells.initialize(to: Cells())
        refusals = .allocate(capacity: Refusal.allCases.count)
        for index in 0..<Refusal.allCases.count { (refusals + index).initialize(to: Atomic(0)) }
    }

    deinit {
        cells.deinitialize(count: 1)
        cells.deallocate()
        refusals.deinitialize(count: Refusal.allCases.count)
        refusals.deallocate()
    }

    func add(to totals: inout ProxyTotals) {
        totals.accepted += cells.pointee.accepted.load(ordering: .relaxed)
        totals.open += cells.pointee.open.load(ordering: .relaxed)
        totals.requests += cells.pointee.requests.load(ordering: .relaxed)
        totals.held += cells.pointee.held.load(ordering: .relaxed)
        totals.upgrades += cells.pointee.upgrades.load(ordering: .relaxed)
        totals.bytesSpliced += cells.pointee.bytesSpliced.load(ordering: .relaxed)
        totals.bytesCopied += cells.pointee.bytesCopied.load(ordering: .relaxed)
        totals.acceptPauses += cells.pointee.acceptPauses.load(ordering: .relaxed)
        totals.pipes += cells.pointee.pipes.load(ordering: .relaxed)
        for cause in Refusal.allCases {
            totals.refusals[cause.rawValue] += refusals[cause.rawValue].load(ordering: .relaxed)
        }
    }
}

extension Atomic where Value == UInt64 {
    /// Only one thread writes each counter, so a plain sum is exact; another may read at any time.
    @inline(__always)
    borrowing func increase(by amount: UInt64 = 1) {
        store(load(ordering: .relaxed) &+ amount, ordering: .relaxed)
    }

    @inline(__always)
    borrowing func decrease() {
        store(load(ordering: .relaxed) &- 1, ordering: .relaxed)
    }
}

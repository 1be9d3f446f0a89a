import Linux

/// Which of a connection's two pairs of links a list uses.
enum LinkSet {
    /// Connections of one backend, or those that wait for a route.
    case group
    /// Connections with the same kind of deadline.
    case queue
}

extension ConnectionSlab {
    @inline(__always)
    private func links(_ index: UInt32, _ set: LinkSet) -> ListLinks {
        switch set {
        case .group: self[index].pointee.group
        case .queue: self[index].pointee.queue
        }
    }

    @inline(__always)
    private func setLinks(_ index: UInt32, _ set: LinkSet, _ links: ListLinks) {
        switch set {
        case .group: self[index].pointee.group = links
        case .queue: self[index].pointee.queue = links
        }
    }

    /// Puts a connection, which must be in no list of that set, at the end.
    func append(_ index: UInt32, to list: inout ListHead, _ set: LinkSet) {
        setLinks(index, set, ListLinks(previous: list.last, next: ListHead.none))
        if list.last == ListHead.none {
            list.first = index
        } else {
            var before = links(list.last, set)
            before.next = index
            setLinks(list.last, set, before)
        }
        list.last = index
    }

    /// Takes a connection out of the list that it is in.
    func remove(_ index: UInt32, from list: inout ListHead, _ set: LinkSet) {
        let own = links(index, set)
        if own.previous == ListHead.none {
            list.first = own.next
        } else {
            var before = links(own.previous, set)
            before.next = own.next
            setLinks(own.previous, set, before)
        }
        if own.next == ListHead.none {
            list.last = own.previous
        } else {
            var after = links(own.next, set)
            after.previous = own.previous
            setLinks(own.next, set, after)
        }
        setLinks(index, set, ListLinks())
    }
}

/// What a connection's deadline is about. Each kind has one duration, so its queue is in order by itself: arming and
/// disarming cost a few stores, and only the first of each queue is ever looked at.
enum DeadlineKind: UInt8, CaseIterable {
    case none
    case head
    case idle
    case route
    case start
    case socket
    case stall
    case linger
    case halfClosed
}

/// The deadlines of a thread's connections.
struct DeadlineQueues: ~Copyable {
    private static let kindCount = 9
    private let queues: UnsafeMutablePointer<ListHead>
    private let durations: UnsafeMutablePointer<UInt64>

    deinit {
        queues.deallocate()
        durations.deallocate()
    }

    init(_ deadlines: ProxyDeadlines) {
        queues = .allocate(capacity: DeadlineKind.allCases.count)
        queues.initialize(repeating: ListHead(), count: DeadlineKind.allCases.count)
        let durations = UnsafeMutablePointer<UInt64>.allocate(capacity: DeadlineKind.allCases.count)
        durations.initialize(repeating: 0, count: DeadlineKind.allCases.count)
        self.durations = durations
        func set(_ kind: DeadlineKind, _ duration: Duration) {
            durations[Int(kind.rawValue)] = UInt64(max(1, duration.wholeNanoseconds))
        }
        set(.head, deadlines.head)
        set(.idle, deadlines.idle)
        set(.route, deadlines.route)
        set(.start, deadlines.start)
        set(.socket, deadlines.socket)
        set(.stall, deadlines.stall)
        set(.linger, deadlines.linger)
        set(.halfClosed, deadlines.halfClosed)
    }

    /// Replaces a connection's deadline. `.none` takes it away.
    mutating func arm(
        _ connection: UnsafeMutablePointer<Connection>, _ kind: DeadlineKind, now: UInt64,
        _ slab: borrowing ConnectionSlab
    ) {
        let index = slab.index(of: connection)
        if connection.pointee.deadlineKind != .none {
            slab.remove(index, from: &queues[Int(connection.pointee.deadlineKind.rawValue)], .queue)
        }
        connection.pointee.deadlineKind = kind
        guard kind != .none else { return }
        connection.pointee.deadline = now &+ durations[Int(kind.rawValue)]
        slab.append(index, to: &queues[Int(kind.rawValue)], .queue)
    }

    /// When the next deadline is due, `UInt64.max` if there is none.
    func next(_ slab: borrowing ConnectionSlab) -> UInt64 {
        var earliest = UInt64.max
        for kind in 1..<Self.kindCount where !queues[kind].isEmpty {
            earliest = min(earliest, slab[queues[kind].first].pointee.deadline)
        }
        return earliest
    }

    /// A connection whose deadline has passed. The caller must rearm or end it before the next call.
    func due(now: UInt64, _ slab: borrowing ConnectionSlab) -> UnsafeMutablePointer<Connection>? {
        for kind in 1..<Self.kindCount where !queues[kind].isEmpty {
            let connection = slab[queues[kind].first]
            if connection.pointee.deadline <= now { return connection }
        }
        return nil
    }
}

import Linux

/// One socket of a connection.
struct Side {
    /// The socket, or -1.
    var descriptor: Int32 = -1
    /// What epoll watches for; nil when it does not watch this socket at all.
    var watched: Interest?
    /// Received, and not yet consumed.
    var input = HeldBytes()

    var isOpen: Bool { descriptor >= 0 }
}

/// Which socket of a connection.
enum SideName: UInt64 {
    case client = 0
    case upstream = 1
}

/// A client's connection with the backend connection that belongs to it alone. Plain data in a slab.
struct Connection {
    /// Changes whenever the slot is reused, so that an event of a former tenant is recognised.
    var generation: UInt32 = 0
    var phase = Phase.vacant
    var responseStage = ResponseStage.awaitingHead
    var traits: Traits = []
    /// The client's address, host byte order; 0 if it is not IPv4.
    var peerHost: UInt32 = 0

    var client = Side()
    var upstream = Side()
    /// Client to backend.
    var request = Flow()
    /// Backend to client.
    var response = Flow()

    /// Whom the present request and `upstream` belong to. While it is set the connection is in that backend's list.
    var backend: UnsafeMutablePointer<BackendRecord>?
    /// When the backend connection was last used, to see whether it is worth probing.
    var upstreamIdleSince: UInt64 = 0

    /// Neighbours in the backend's or in the route waiters' list.
    var group = ListLinks()
    /// Neighbours in the deadline's queue.
    var queue = ListLinks()
    var deadlineKind = DeadlineKind.none
    var deadline: UInt64 = 0

    /// Where a connection is.
    enum Phase: UInt8 {
        /// The slot is free.
        case vacant
        /// Between requests, or within a head.
        case readingHead
        /// The owner was asked about the token.
        case waitingRoute
        /// The backend is starting.
        case waitingStart
        /// The backend is ready, and there is no socket to it yet.
        case waitingSocket
        /// The request has gone to the backend.
        case exchanging
        /// After 101: bytes both ways.
        case tunnelling
        /// The last answer is on its way; then the connection ends.
        case flushing
        /// All is sent and our side is shut: waits for the client to close, so that no reset overtakes the answer.
        case lingering
    }

    /// How far the backend's answer is.
    enum ResponseStage: UInt8 {
        case awaitingHead
        case relayingBody
    }

    /// Facts about the present request and its sides.
    struct Traits: OptionSet {
        let rawValue: UInt16
        /// The client lets its connection be used again.
        static let clientPersists = Traits(rawValue: 1)
        /// The backend lets its connection be used again.
        static let upstreamPersists = Traits(rawValue: 2)
        /// Own answers are to be HTML.
        static let prefersHTML = Traits(rawValue: 4)
        /// The client has ended its side.
        static let clientEnded = Traits(rawValue: 8)
        static let isHEAD = Traits(rawValue: 16)
        static let isHTTP10 = Traits(rawValue: 32)
        static let wantsUpgrade = Traits(rawValue: 64)
        /// The backend takes no more of the request's body.
        static let requestAbandoned = Traits(rawValue: 128)
        /// The request is counted as active on its backend.
        static let isCounted = Traits(rawValue: 256)
        /// The client will send nothing after this request.
        static let clientSaidClose = Traits(rawValue: 512)
        /// In a tunnel: the backend has been told that the client has ended.
        static let upstreamShut = Traits(rawValue: 1024)
        /// In a tunnel: the client has been told that the backend has ended.
        static let clientShut = Traits(rawValue: 2048)

        /// Those that outlive a request.
        static let ofConnection: Traits = [.isCounted, .clientEnded]
    }
}

/// Neighbours in an intrusive list of slots.
struct ListLinks {
    var previous = ListHead.none
    var next = ListHead.none
}

/// An intrusive list of slots.
struct ListHead {
    static let none = UInt32.max
    var first = ListHead.none
    var last = ListHead.none
    var isEmpty: Bool { first == ListHead.none }
}

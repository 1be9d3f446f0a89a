public import Linux
internal import Glibc

/// A small HTTP/1.1 server on an ``EventLoop``: the control plane's door. One request at a time per connection,
/// keep-alive and pipelining, limits on everything.
public final class HTTPServer {
    /// What a client may use up.
    public struct Limits: Sendable {
        /// Bytes of a request body; more is answered with 413.
        public var bodyByteCountMax = 2 * 1024 * 1024
        /// Bytes of all bodies that are being received or answered, together; whose body goes beyond it is answered with 503.
        public var bodyByteCountMaxTogether = 256 * 1024 * 1024
        /// Connections at once; further ones wait in the listener's queue.
        public var connectionCountMax = 1024
        /// From the first byte of a head (on a new connection: from accept) to its last; then 408.
        public var headDeadline = Duration.seconds(10)
        /// From the head to the last byte of the body; then 408.
        public var bodyDeadline = Duration.seconds(60)
        /// How long a connection may stay open between two requests.
        public var idleLimit = Duration.seconds(60)
        /// Bytes that may wait for a slow reader of a stream; more ends the stream.
        public var streamQueueByteCountMax = 1024 * 1024

        /// The defaults.
        public init() {}
    }

    /// The server could not be started, with a sentence that names the address.
    public struct ListenError: Error, Sendable, CustomStringConvertible {
        /// Where it was to listen.
        public let address: SocketAddress
        /// What the system said.
        public let cause: SystemError

        /// The sentence for a person.
        public var description: String {
            switch cause.code {
            case EADDRINUSE:
                "cannot listen on \(address): another program already does. Stop it, or choose another port."
            case EADDRNOTAVAIL:
                "cannot listen on \(address): this machine does not have that address. Choose one of its own, or 0.0.0.0."
            case EACCES:
                "cannot listen on \(address): ports below 1024 need a privilege. Choose a higher port."
            default: "cannot listen on \(address): \(cause)"
            }
        }
    }

    /// Answers a request, now or later, through the responder.
    public typealias Handler = (Request, Responder) -> Void

    /// Makes the answer to what never became a request (malformed, too long, too late) from its status and a sentence.
    public typealias Refusal = (Int, String) -> Response

    private enum Phase { case accepting, full, closing(whenDone: () -> Void), closed }

    let loop: EventLoop
    let limits: Limits
    let handler: Handler
    let refusal: Refusal
    /// What the connections hold of bodies now.
    var bodyByteCount = 0
    private var listener: Descriptor?
    private var registration: EventLoop.Registration?
    private var phase = Phase.accepting
    private var connections: [ObjectIdentifier: ServerConnection] = [:]

    /// The address that it listens on, with the port that the system chose if 0 was asked for.
    public let address: SocketAddress

    /// Listens at once. The server lives until ``close(grace:whenDone:)`` even if nobody holds it.
    /// - Parameters:
    ///   - refusal: how malformed and oversized requests are answered; in plain text if nothing is given.
    ///   - handler: called on the loop's thread for every well-formed request.
    public init(
        loop: EventLoop, address: SocketAddress, limits: Limits = Limits(),
        refusal: @escaping Refusal = Response.text, handler: @escaping Handler
    ) throws(ListenError) {
        self.loop = loop
        self.limits = limits
        self.handler = handler
        self.refusal = refusal
        do throws(SystemError) {
            let listener = try Socket.tcpListener(address)
            self.address = SocketAddress(host: address.host, port: try Socket.localPort(listener.raw))
            self.listener = consume listener
            try startAccepting()
        } catch {
            throw ListenError(address: address, cause: error)
        }
    }

    /// Stops listening, closes idle connections, streams and WebSockets, lets pending requests be answered, and then calls
    /// `whenDone`.
    /// - Parameter grace: after this long the connections that are left are cut.
    public func close(grace: Duration = .seconds(10), whenDone: @escaping () -> Void = {}) {
        stopAccepting()
        listener = nil
        phase = .closing(whenDone: whenDone)
        for connection in Array(connections.values) { connection.serverCloses() }
        doneIfEmpty()
        loop.schedule(after: grace) { [weak self] in
            guard let self else { return }
            for connection in Array(connections.values) { connection.abort() }
        }
    }

    /// Whether responses must announce the connection's end because the server closes.
    var isClosing: Bool {
        switch phase {
        case .accepting, .full: false
        case .closing, .closed: true
        }
    }

    func connectionEnded(_ connection: ServerConnection) {
        connections[ObjectIdentifier(connection)] = nil
        if case .full = phase { resumeAccepting() }
        doneIfEmpty()
    }

    private func doneIfEmpty() {
        guard case .closing(let whenDone) = phase, connections.isEmpty else { return }
        phase = .closed
        loop.post(whenDone)
    }

    private func startAccepting() throws(SystemError) {
        guard let raw = listener?.raw else { return }
        registration = try loop.add(raw, .readable) { [self] _ in acceptWaiting(raw) }
    }

    private func stopAccepting() {
        if let registration { loop.remove(registration) }
        registration = nil
    }

    private func resumeAccepting() {
        guard case .full = phase, registration == nil, connections.count < limits.connectionCountMax else { return }
        phase = .accepting
        do throws(SystemError) { try startAccepting() } catch { pauseAccepting() }
    }

    /// Without free descriptors or connections the listener would be ready for ever: leave it, and look again later.
    private func pauseAccepting() {
        stopAccepting()
        phase = .full
        loop.schedule(after: .milliseconds(200)) { [self] in resumeAccepting() }
    }

    private func acceptWaiting(_ raw: Int32) {
        // Bounded per turn, so that a flood of connections does not starve the ones that are there.
        for _ in 0..<64 {
            guard connections.count < limits.connectionCountMax else { return pauseAccepting() }
            do throws(SystemError) {
                guard let accepted = try Socket.accept(raw) else { return }
                let peer = accepted.peer
                let connection = ServerConnection(self, peer: peer)
                try connection.start(accepted.release())
                connections[ObjectIdentifier(connection)] = connection
            } catch {
                return pauseAccepting()
            }
        }
    }
}

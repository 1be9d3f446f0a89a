import HTTP
import Linux
import Model
import WardenProtocol

/// The drone's connection to its warden: hello, then the list, then requests and replies.
///
/// It connects again when it is cut off, and each time gives the whole list, so that the drone converges on what the
/// warden has; what was on its way when a connection broke is lost and need not be remembered.
final class WardenClient: WardenPort {
    private enum Phase {
        case idle
        case greeting
        case listing(WardenWelcome, [ListedSandbox])
        case ready([ImageOffer])
    }

    private let loop: EventLoop
    private let path: String
    private let onEvent: (WardenEvent) -> Void
    private var phase = Phase.idle
    private var socket: OwnedDescriptor?
    private var registration: EventLoop.Registration?
    private var waiting: [[UInt8]] = []
    private var timer: TimerToken?
    private var retry = Backoff(first: .milliseconds(200), most: .seconds(2))

    /// Packets that may wait for a busy warden; one that leaves more unread is broken.
    static let waitingMax = 4096
    /// How long the warden may take to answer hello and list.
    static let greetingLimit = Duration.seconds(10)
    /// How often the offered images are asked for: an image that was added is found without a restart.
    static let offersInterval = Duration.seconds(5)

    /// Nothing happens before `start`. - Parameter onEvent: called on the loop's thread, never from inside a call.
    init(loop: EventLoop, path: String, onEvent: @escaping (WardenEvent) -> Void) {
        self.loop = loop
        self.path = path
        self.onEvent = onEvent
    }

    /// Whether requests are taken.
    var isReady: Bool {
        if case .ready = phase { return true }
        return false
    }

    /// Connects, now and whenever the connection is lost.
    func start() { loop.post { [weak self] in self?.connect() } }

    /// Ends the connection for good.
    func stop() {
        disconnect()
        cancelTimer()
    }

    /// Sends a request, or keeps it while the warden is busy. Without a warden it is dropped: the next list says what is.
    func send(_ request: WardenRequest) {
        if isReady { transmit(request) }
    }

    // MARK: Connection

    private func connect() {
        do throws(SystemError) {
            let raw = try Socket.packetConnection(path: path).release()
            let socket = OwnedDescriptor(owning: raw)
            try socket.setNonblocking()
            registration = try loop.add(raw, .readable) { [weak self] ready in self?.handle(ready) }
            self.socket = socket
        } catch {
            return fail("cannot reach the warden at \(path): \(error)")
        }
        phase = .greeting
        transmit(.hello(version: WardenRequest.version))
        setTimer(Self.greetingLimit) { [weak self] in self?.fail("the warden did not answer in time") }
    }

    private func disconnect() {
        if let registration { loop.remove(registration) }
        registration = nil
        socket = nil
        waiting = []
        phase = .idle
    }

    private func fail(_ cause: String) {
        disconnect()
        setTimer(retry.next(jitter: 0)) { [weak self] in self?.connect() }
        onEvent(.disconnected(cause: cause))
    }

    private func failLater(_ cause: String) {
        loop.post { [weak self] in
            guard let self, socket != nil else { return }
            fail(cause)
        }
    }

    private func setTimer(_ delay: Duration, _ work: @escaping () -> Void) {
        cancelTimer()
        timer = loop.schedule(after: delay, work)
    }

    private func cancelTimer() {
        if let timer { loop.cancel(timer) }
        timer = nil
    }

    // MARK: Output

    private func transmit(_ request: WardenRequest) {
        guard waiting.count < Self.waitingMax else { return failLater("the warden takes no requests") }
        waiting.append(request.bytes)
        if waiting.count == 1 { flush() }
    }

    private func flush() {
        guard let raw = socket?.raw, let registration else { return }
        do throws(SystemError) {
            var sent = 0
            defer { waiting.removeFirst(sent) }
            while sent < waiting.count, try Socket.sendPacket(raw, waiting[sent]) { sent += 1 }
            try loop.modify(registration, sent == waiting.count ? .readable : [.readable, .writable])
        } catch {
            failLater("sending to the warden: \(error)")
        }
    }

    // MARK: Input

    private func handle(_ ready: Interest) {
        if ready.contains(.writable) { flush() }
        if !ready.isDisjoint(with: [.readable, .hangup, .error]) { receive() }
    }

    private func receive() {
        // Bounded, so that other descriptors get their turn; what is left keeps the socket readable.
        for _ in 0..<64 {
            guard let raw = socket?.raw else { return }
            do {
                guard let packet = try Socket.receivePacket(raw, capacity: WardenRequest.packetBytesMax) else { return }
                let descriptors = packet.descriptors.map(OwnedDescriptor.init(owning:))
                if packet.bytes.isEmpty { return fail("the warden closed the connection") }
                try take(WardenReply(packet: packet.bytes), descriptors)
            } catch {
                return fail("reading from the warden: \(error)")
            }
        }
    }

    private func take(_ reply: WardenReply, _ descriptors: [OwnedDescriptor]) throws(WireError) {
        switch reply {
        case .welcome(let welcome): try welcomed(welcome)
        case .listing(let sandbox):
            guard case .listing(let welcome, var listed) = phase else { throw WireError("a listing came unasked") }
            listed.append(ListedSandbox(sandbox: sandbox, output: descriptors.first))
            phase = .listing(welcome, listed)
        case .listed:
            guard case .listing(let welcome, let listed) = phase else { throw WireError("a list ended unasked") }
            phase = .ready(welcome.images)
            retry.reset()
            scheduleOffers()
            onEvent(.connected(welcome, listed))
        case .spawned(let backend): onEvent(.spawned(backend, output: descriptors.first))
        case .refused(let backend, let message):
            // It was being started when it was listed.
            if case .listing(let welcome, let listed) = phase {
                phase = .listing(welcome, listed.filter { $0.sandbox.backend != backend })
            }
            onEvent(.refused(backend, message: message))
        case .exited(let backend, let exit):
            // During the list it will come as a listing, or has come as one that still ran: tell both.
            if case .listing(let welcome, let listed) = phase {
                phase = .listing(welcome, listed.map { $0.sandbox.backend == backend ? $0.ended(exit) : $0 })
            } else {
                onEvent(.exited(backend, exit))
            }
        case .sockets(let backend, let message): onEvent(.sockets(backend, descriptors, message: message))
        }
    }

    private func welcomed(_ welcome: WardenWelcome) throws(WireError) {
        guard welcome.version == WardenRequest.version else {
            throw WireError(
                "it speaks version \(welcome.version), not \(WardenRequest.version); install both of one build")
        }
        switch phase {
        case .greeting:
            phase = .listing(welcome, [])
            transmit(.list)
        case .ready(let offers):
            scheduleOffers()
            guard offers != welcome.images else { return }
            phase = .ready(welcome.images)
            onEvent(.offers(welcome.images))
        case .idle, .listing: throw WireError("a welcome came unasked")
        }
    }

    private func scheduleOffers() {
        setTimer(Self.offersInterval) { [weak self] in
            guard let self else { return }
            transmit(.hello(version: WardenRequest.version))
            setTimer(Self.greetingLimit) { [weak self] in self?.fail("the warden did not answer in time") }
        }
    }
}

extension ListedSandbox {
    fileprivate func ended(_ exit: SandboxExit) -> ListedSandbox {
        var sandbox = sandbox
        sandbox.exit = exit
        return ListedSandbox(sandbox: sandbox, output: output)
    }
}

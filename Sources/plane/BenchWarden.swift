import CLinux
import Glibc
import Linux
import Model
import WardenProtocol

/// A real `plane-warden serve` on a benchmark's site, and the drone's end of its socket. It waits for each reply by
/// itself: nothing between request and answer is there that a drone would not have.
final class BenchWarden {
    /// What it said to hello.
    let welcome: WardenWelcome
    /// Its process id.
    let pid: Int32
    private let socket: Descriptor
    private let process: ProcessDescriptor
    private var count = 0

    /// Longer than anything here takes, and shorter than a person waits before asking what is wrong.
    private static let patience = Duration.seconds(30)

    /// Starts it and waits until it listens.
    /// - Parameter flags: besides those for the site.
    init(_ site: BenchSite, program: String, flags: [String]) throws {
        let words = [
            "serve", "--state", site.state, "--plane", try CurrentProcess.executablePath(), "--end-with-parent",
            "--allow-missing-controllers",
        ]
        // Its messages would stand in the middle of the table; what goes wrong is told by its exit and its refusals.
        let log = try File.open(site.path + "/warden.log", O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644)
        let streams = ChildProgram.Streams(output: log.raw, errors: log.raw)
        process = try ChildProgram.start(ProgramCall(program, words + flags), streams: streams, .ownGroup)
        let connection = try Self.connect(site, process)
        pid = try Socket.peer(connection.raw).processID
        _ = try Socket.sendPacket(connection.raw, WardenRequest.hello(version: WardenRequest.version).bytes)
        let first = try Self.receive(connection, capacity: WardenRequest.packetBytesMax)
        guard case .welcome(let welcome) = first.reply else {
            throw CommandFailure("the warden did not answer hello; plane and plane-warden must be of one build")
        }
        self.welcome = welcome
        socket = connection
        for payload in BenchPayload.allCases
        where !welcome.images.contains(where: { $0.image.text == payload.rawValue }) {
            throw CommandFailure("the warden does not offer the image \(payload.rawValue): \(Self.log(of: site))")
        }
    }

    deinit {
        _ = try? process.signal(SIGTERM)
        _ = try? process.reap()
    }

    private static func connect(_ site: BenchSite, _ process: borrowing ProcessDescriptor) throws -> Descriptor {
        let deadline = BootInstant.now + patience
        while BootInstant.now < deadline {
            if let socket = try? Socket.packetConnection(path: site.state + "/run/warden.sock") { return socket }
            var watch = pollfd(fd: process.raw, events: Int16(POLLIN), revents: 0)
            // Nothing tells when a path begins to accept; the end of the process does.
            if poll(&watch, 1, 2) > 0 {
                throw CommandFailure("the warden has ended before it listened: \(log(of: site))")
            }
        }
        throw CommandFailure("the warden does not listen: \(log(of: site))")
    }

    private static func log(of site: BenchSite) -> String {
        let text = (try? File.readText(site.path + "/warden.log")) ?? ""
        return text.split(separator: "\n").suffix(3).joined(separator: "; ")
    }

    /// A reply, with the descriptors that came with it, which are now the caller's.
    struct Reply {
        let reply: WardenReply
        let descriptors: [Int32]
    }

    /// The next reply.
    func next() throws -> Reply { try Self.receive(socket, capacity: 4096) }

    private static func receive(_ socket: borrowing Descriptor, capacity: Int) throws -> Reply {
        var watch = pollfd(fd: socket.raw, events: Int16(POLLIN), revents: 0)
        let ready = poll(&watch, 1, patience.millisecondsRoundedUp)
        if ready < 0, errno == EINTR { return try receive(socket, capacity: capacity) }
        guard ready == 1 else { throw CommandFailure("the warden gave no answer for 30 s") }
        guard let packet = try Socket.receivePacket(socket.raw, capacity: capacity), !packet.bytes.isEmpty else {
            throw CommandFailure("the warden closed the connection")
        }
        return Reply(reply: try WardenReply(packet: packet.bytes), descriptors: packet.descriptors)
    }

    /// Asks for a sandbox. - Returns: the moment just before the request was sent.
    @discardableResult
    func requestStart(of payload: BenchPayload) throws -> BenchInstant {
        count += 1
        let request = WardenRequest.spawn(
            SpawnRequest(
                backend: try BackendID("bench-\(count)"), image: try ImageName(payload.rawValue), environment: [],
                limits: ResourceLimits(), hardDeadline: .now + .seconds(300), fencingToken: FencingToken(1), note: []))
        let bytes = request.bytes
        let start = BenchInstant.now
        _ = try Socket.sendPacket(socket.raw, bytes)
        return start
    }

    /// Asks for something that is not answered, or answered later.
    func send(_ request: WardenRequest) throws { _ = try Socket.sendPacket(socket.raw, request.bytes) }
}

/// A moment on the wall clock, the only one that no time namespace moves. time_namespaces(7).
struct BenchInstant: Comparable {
    let nanoseconds: Int64

    static var now: BenchInstant {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return BenchInstant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
    }

    init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    /// Reads what the payload `stamp` wrote; nil when it is cut short.
    init?(stamp: [UInt8]) {
        guard stamp.count == BenchPayload.stampByteCount else { return nil }
        let (seconds, rest) = stamp.withUnsafeBytes {
            ($0.loadUnaligned(as: Int64.self), $0.loadUnaligned(fromByteOffset: 8, as: Int64.self))
        }
        nanoseconds = seconds * 1_000_000_000 + rest
    }

    static func < (a: BenchInstant, b: BenchInstant) -> Bool { a.nanoseconds < b.nanoseconds }

    /// Microseconds from an earlier moment to this.
    func microseconds(since earlier: BenchInstant) -> Double { Double(nanoseconds - earlier.nanoseconds) / 1000 }
}

public import Linux
public import Model

/// What the drone may ask of the warden. One request is one packet on a SOCK_SEQPACKET socket.
///
/// This is the whole list: anything else, and anything out of bounds, makes the warden close the connection.
public enum WardenRequest: Hashable, Sendable {
    /// The first packet on a connection. Answered by `welcome`.
    case hello(version: UInt32)
    /// Start a sandbox. Answered by `spawned` or `refused`; later by `exited`.
    case spawn(SpawnRequest)
    /// Moves hard deadlines forward, never back. Not answered.
    case extend([BackendDeadline])
    /// End a sandbox: soft sends SIGTERM to its command, hard kills its cgroup. Answered by `exited` when it is over.
    case terminate(BackendID, TerminationKind)
    /// Make TCP sockets in a sandbox's network namespace. Answered by `sockets`.
    case sockets(BackendID, count: UInt8)
    /// Tell all that you have: one `listing` packet each, then `listed`.
    case list
    /// The exit of this backend is known and kept elsewhere. Not answered.
    case forget(BackendID)

    /// Changes with the layout of any message; both programs must be of one build.
    public static let version: UInt32 = 4
    /// Most bytes of one packet, in both directions.
    public static let packetBytesMax = 128 * 1024
    /// The furthest that a hard deadline may lie ahead when it is set; a later one is taken as this. So a drone that
    /// has gone wild and then silent leaves no sandbox behind for longer. Leases are to be shorter.
    public static let deadlineAheadMax = Duration.milliseconds(LeaseTimes.hardMaxMilliseconds)
    /// Most backends of one `extend`.
    public static let deadlinesMax = 1024
}

/// What is needed to start one sandbox. Policy and image come from the warden's own files.
public struct SpawnRequest: Hashable, Sendable {
    /// Names the sandbox, its cgroup and its answers.
    public var backend: BackendID
    /// Which image.
    public var image: ImageName
    /// `NAME=VALUE`, added to the image's.
    public var environment: [String]
    /// Tightenings of the image's policy.
    public var limits: ResourceLimits
    /// When the warden kills it, whatever else happens. At most `WardenRequest.deadlineAheadMax` ahead.
    public var hardDeadline: BootInstant
    /// The lease's fencing token, kept for `list`.
    public var fencingToken: FencingToken
    /// Kept by the warden and given back by `list`: what a restarted drone must know of the backend. Up to 4 KiB.
    public var note: [UInt8]

    /// - Parameters: as the properties say.
    public init(
        backend: BackendID, image: ImageName, environment: [String], limits: ResourceLimits, hardDeadline: BootInstant,
        fencingToken: FencingToken, note: [UInt8]
    ) {
        self.backend = backend
        self.image = image
        self.environment = environment
        self.limits = limits
        self.hardDeadline = hardDeadline
        self.fencingToken = fencingToken
        self.note = note
    }
}

/// Until when a backend may live.
public struct BackendDeadline: Hashable, Sendable {
    /// Which.
    public var backend: BackendID
    /// This machine's boot clock, which drone and warden share.
    public var deadline: BootInstant

    /// - Parameters: as the properties say.
    public init(backend: BackendID, deadline: BootInstant) {
        self.backend = backend
        self.deadline = deadline
    }
}

extension WardenRequest {
    /// The packet's bytes.
    public var bytes: [UInt8] {
        var writer = WireWriter()
        switch self {
        case .hello(let version):
            writer.write(UInt8(1))
            writer.write(version)
        case .spawn(let request):
            writer.write(UInt8(2))
            request.encode(into: &writer)
        case .extend(let deadlines):
            writer.write(UInt8(3))
            writer.write(UInt32(deadlines.count))
            for item in deadlines {
                writer.write(item.backend.text)
                writer.write(item.deadline.nanoseconds)
            }
        case .terminate(let backend, let kind):
            writer.write(UInt8(4))
            writer.write(backend.text)
            writer.write(UInt8(kind == .soft ? 0 : 1))
        case .sockets(let backend, let count):
            writer.write(UInt8(5))
            writer.write(backend.text)
            writer.write(count)
        case .list:
            writer.write(UInt8(6))
        case .forget(let backend):
            writer.write(UInt8(7))
            writer.write(backend.text)
        }
        return writer.bytes
    }

    /// Reads one packet, refusing whatever is not exactly a request.
    public init(packet: [UInt8]) throws(WireError) {
        var reader = WireReader(packet)
        switch try reader.read(UInt8.self) {
        case 1: self = .hello(version: try reader.read(UInt32.self))
        case 2: self = .spawn(try SpawnRequest(from: &reader))
        case 3:
            var deadlines: [BackendDeadline] = []
            for _ in 0..<(try reader.readCount(limit: Self.deadlinesMax)) {
                let backend = try reader.readBackendID()
                deadlines.append(
                    BackendDeadline(backend: backend, deadline: BootInstant(nanoseconds: try reader.read(UInt64.self))))
            }
            self = .extend(deadlines)
        case 4:
            let backend = try reader.readBackendID()
            switch try reader.read(UInt8.self) {
            case 0: self = .terminate(backend, .soft)
            case 1: self = .terminate(backend, .hard)
            case let kind: throw WireError("termination kind \(kind) is neither 0 nor 1")
            }
        case 5:
            let backend = try reader.readBackendID()
            let count = try reader.read(UInt8.self)
            guard (1...UInt8(Socket.packetDescriptorsMax)).contains(count) else {
                throw WireError("\(count) sockets asked for; 1 to \(Socket.packetDescriptorsMax) are allowed")
            }
            self = .sockets(backend, count: count)
        case 6: self = .list
        case 7: self = .forget(try reader.readBackendID())
        case let tag: throw WireError("request \(tag) does not exist")
        }
        guard reader.isAtEnd else { throw WireError("bytes follow the end of the request") }
    }
}

extension SpawnRequest {
    func encode(into writer: inout WireWriter) {
        writer.write(backend.text)
        writer.write(image.text)
        writer.write(environment)
        writer.write(limits.memoryBytes)
        writer.write(limits.cpuPeriodMicroseconds)
        writer.write(limits.cpuPercent)
        writer.write(limits.cpuTimeSeconds)
        writer.write(limits.diskBytes)
        writer.write(hardDeadline.nanoseconds)
        writer.write(fencingToken.value)
        writer.write(note)
    }

    init(from reader: inout WireReader) throws(WireError) {
        backend = try reader.readBackendID()
        guard let name = try? ImageName(reader.readText(limit: 64)) else { throw WireError("bad image name") }
        image = name
        environment = try reader.readTexts(limit: 512, each: 33 * 1024)
        for entry in environment where !entry.utf8.contains(UInt8(ascii: "=")) || entry.utf8.contains(0) {
            throw WireError("an environment entry is not NAME=VALUE")
        }
        limits = ResourceLimits()
        limits.memoryBytes = try reader.readOptional(Int64.self)
        limits.cpuPeriodMicroseconds = try reader.readOptional(Int64.self)
        limits.cpuPercent = try reader.readOptional(Int64.self)
        limits.cpuTimeSeconds = try reader.readOptional(Int64.self)
        limits.diskBytes = try reader.readOptional(Int64.self)
        hardDeadline = BootInstant(nanoseconds: try reader.read(UInt64.self))
        fencingToken = FencingToken(try reader.read(Int64.self))
        note = try reader.readBytes(limit: 4096)
    }
}

extension WireReader {
    mutating func readBackendID() throws(WireError) -> BackendID {
        let text = try readText(limit: 45)
        do { return try BackendID(text) } catch { throw WireError("bad backend id: \(error)") }
    }
}

public import Linux
public import Model

/// What the warden tells the drone. One reply is one packet, some with descriptors.
public enum WardenReply: Hashable, Sendable {
    /// Answers hello.
    case welcome(WardenWelcome)
    /// The command was started. Carries one descriptor: the reading end of its standard output and error.
    case spawned(BackendID)
    /// The sandbox was not started, and nothing of it is left.
    case refused(BackendID, message: String)
    /// A sandbox has ended and nothing of it is left. Repeated by `list` until `forget`.
    case exited(BackendID, SandboxExit)
    /// Carries the sockets as descriptors. None, with the reason, when the sandbox is gone or limits are reached.
    case sockets(BackendID, message: String?)
    /// One sandbox of the answer to `list`. Carries its output's descriptor while it runs.
    case listing(SandboxListing)
    /// The end of the answer to `list`.
    case listed
}

/// What a drone must know of the warden before it may promise anything.
public struct WardenWelcome: Hashable, Sendable {
    /// The warden's `WardenRequest.version`.
    public var version: UInt32
    /// Whose sandboxes it speaks for: this boot of this machine, and this state folder on it.
    public var machine: MachineIdentity
    /// cgroup v2 controllers that limits need and that this machine does not offer; empty where all is well.
    public var missingControllers: [String]
    /// Images that can be started.
    public var images: [ImageOffer]

    /// - Parameters: as the properties say.
    public init(version: UInt32, machine: MachineIdentity, missingControllers: [String], images: [ImageOffer]) {
        self.version = version
        self.machine = machine
        self.missingControllers = missingControllers
        self.images = images
    }
}

/// An image that can be started, with what the drone needs of its plan.
public struct ImageOffer: Hashable, Sendable {
    /// Its name.
    public var image: ImageName
    /// The port its command listens on.
    public var port: UInt16
    /// How it is told that the command is ready.
    public var readiness: SandboxPlan.Readiness
    /// Seconds between SIGTERM and SIGKILL.
    public var gracePeriodSeconds: UInt32
    /// The most that a request may ask of it.
    public var ceilings: ResourceCeilings

    /// - Parameters: as the properties say.
    public init(
        image: ImageName, port: UInt16, readiness: SandboxPlan.Readiness, gracePeriodSeconds: UInt32,
        ceilings: ResourceCeilings
    ) {
        self.image = image
        self.port = port
        self.readiness = readiness
        self.gracePeriodSeconds = gracePeriodSeconds
        self.ceilings = ceilings
    }
}

/// How a sandbox ended.
public struct SandboxExit: Hashable, Sendable {
    /// Why it ended, as the warden knows.
    public enum Cause: UInt8, Hashable, Sendable {
        /// The command ended by itself, or the kernel killed it.
        case ended = 0
        /// `terminate` was asked for.
        case terminated = 1
        /// Its hard deadline came.
        case deadline = 2
        /// Its processes together used up the processor time that its policy or request allows.
        case cpuTime = 3
    }

    /// Why.
    public var cause: Cause
    /// How the command ended; nil when it was killed with its init.
    public var status: ExitStatus?
    /// Whether the kernel killed something in it for reaching memory.max.
    public var outOfMemory: Bool
    /// Processor time of all its processes, microseconds.
    public var cpuMicroseconds: UInt64
    /// The most memory it had, bytes; 0 where the memory controller is missing.
    public var memoryPeakBytes: UInt64

    /// - Parameters: as the properties say.
    public init(
        cause: Cause, status: ExitStatus?, outOfMemory: Bool, cpuMicroseconds: UInt64, memoryPeakBytes: UInt64
    ) {
        self.cause = cause
        self.status = status
        self.outOfMemory = outOfMemory
        self.cpuMicroseconds = cpuMicroseconds
        self.memoryPeakBytes = memoryPeakBytes
    }
}

/// A sandbox as a restarted drone finds it.
public struct SandboxListing: Hashable, Sendable {
    /// Which.
    public var backend: BackendID
    /// Its image.
    public var image: ImageName
    /// Its lease's fencing token.
    public var fencingToken: FencingToken
    /// Its hard deadline as it stands.
    public var hardDeadline: BootInstant
    /// The drone's own note from the spawn request.
    public var note: [UInt8]
    /// How it ended; nil while it runs.
    public var exit: SandboxExit?

    /// - Parameters: as the properties say.
    public init(
        backend: BackendID, image: ImageName, fencingToken: FencingToken, hardDeadline: BootInstant, note: [UInt8],
        exit: SandboxExit?
    ) {
        self.backend = backend
        self.image = image
        self.fencingToken = fencingToken
        self.hardDeadline = hardDeadline
        self.note = note
        self.exit = exit
    }
}

extension WardenReply {
    /// The packet's bytes, without its descriptors.
    public var bytes: [UInt8] {
        var writer = WireWriter()
        switch self {
        case .welcome(let welcome):
            writer.write(UInt8(1))
            writer.write(welcome.version)
            writer.write(welcome.machine.text)
            writer.write(welcome.missingControllers)
            writer.write(UInt32(welcome.images.count))
            for offer in welcome.images {
                writer.write(offer.image.text)
                writer.write(offer.port)
                offer.readiness.encode(into: &writer)
                writer.write(offer.gracePeriodSeconds)
                offer.ceilings.encode(into: &writer)
            }
        case .spawned(let backend):
            writer.write(UInt8(2))
            writer.write(backend.text)
        case .refused(let backend, let message):
            writer.write(UInt8(3))
            writer.write(backend.text)
            writer.write(message)
        case .exited(let backend, let exit):
            writer.write(UInt8(4))
            writer.write(backend.text)
            exit.encode(into: &writer)
        case .sockets(let backend, let message):
            writer.write(UInt8(5))
            writer.write(backend.text)
            writer.write(message ?? "")
        case .listing(let listing):
            writer.write(UInt8(6))
            listing.encode(into: &writer)
        case .listed:
            writer.write(UInt8(7))
        }
        return writer.bytes
    }

    /// Reads one packet.
    public init(packet: [UInt8]) throws(WireError) {
        var reader = WireReader(packet)
        switch try reader.read(UInt8.self) {
        case 1:
            let version = try reader.read(UInt32.self)
            guard let machine = try? MachineIdentity(reader.readText(limit: 128)) else {
                throw WireError("bad machine identity")
            }
            var welcome = WardenWelcome(version: version, machine: machine, missingControllers: [], images: [])
            welcome.missingControllers = try reader.readTexts(limit: 16, each: 64)
            for _ in 0..<(try reader.readCount(limit: 1024)) { welcome.images.append(try ImageOffer(from: &reader)) }
            self = .welcome(welcome)
        case 2: self = .spawned(try reader.readBackendID())
        case 3: self = .refused(try reader.readBackendID(), message: try reader.readText(limit: 16 * 1024))
        case 4: self = .exited(try reader.readBackendID(), try SandboxExit(from: &reader))
        case 5:
            let backend = try reader.readBackendID()
            let message = try reader.readText(limit: 16 * 1024)
            self = .sockets(backend, message: message.isEmpty ? nil : message)
        case 6: self = .listing(try SandboxListing(from: &reader))
        case 7: self = .listed
        case let tag: throw WireError("reply \(tag) does not exist")
        }
        guard reader.isAtEnd else { throw WireError("bytes follow the end of the reply") }
    }
}

extension ImageOffer {
    init(from reader: inout WireReader) throws(WireError) {
        guard let name = try? ImageName(reader.readText(limit: 64)) else { throw WireError("bad image name") }
        image = name
        port = try reader.read(UInt16.self)
        readiness = try SandboxPlan.Readiness(from: &reader)
        gracePeriodSeconds = try reader.read(UInt32.self)
        ceilings = try ResourceCeilings(from: &reader)
    }
}

extension SandboxExit {
    func encode(into writer: inout WireWriter) {
        writer.write(cause.rawValue)
        switch status {
        case nil: writer.write(UInt8(0))
        case .exited(let code):
            writer.write(UInt8(1))
            writer.write(code)
        case .signaled(let signal):
            writer.write(UInt8(2))
            writer.write(signal)
        }
        writer.write(UInt8(outOfMemory ? 1 : 0))
        writer.write(cpuMicroseconds)
        writer.write(memoryPeakBytes)
    }

    init(from reader: inout WireReader) throws(WireError) {
        guard let cause = Cause(rawValue: try reader.read(UInt8.self)) else {
            throw WireError("unknown cause of an exit")
        }
        self.cause = cause
        switch try reader.read(UInt8.self) {
        case 0: status = nil
        case 1: status = .exited(code: try reader.read(Int32.self))
        case 2: status = .signaled(signal: try reader.read(Int32.self))
        case let tag: throw WireError("exit status \(tag) does not exist")
        }
        outOfMemory = try reader.read(UInt8.self) != 0
        cpuMicroseconds = try reader.read(UInt64.self)
        memoryPeakBytes = try reader.read(UInt64.self)
    }
}

extension SandboxListing {
    func encode(into writer: inout WireWriter) {
        writer.write(backend.text)
        writer.write(image.text)
        writer.write(fencingToken.value)
        writer.write(hardDeadline.nanoseconds)
        writer.write(note)
        writer.write(UInt8(exit == nil ? 0 : 1))
        exit?.encode(into: &writer)
    }

    init(from reader: inout WireReader) throws(WireError) {
        backend = try reader.readBackendID()
        guard let name = try? ImageName(reader.readText(limit: 64)) else { throw WireError("bad image name") }
        image = name
        fencingToken = FencingToken(try reader.read(Int64.self))
        hardDeadline = BootInstant(nanoseconds: try reader.read(UInt64.self))
        note = try reader.readBytes(limit: 4096)
        exit = try reader.read(UInt8.self) == 0 ? nil : try SandboxExit(from: &reader)
    }
}

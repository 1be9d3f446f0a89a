import Glibc
import Linux
import Model
import TestPrograms
import Testing
import WardenProtocol

/// A real `plane-warden serve` with a state folder of its own, and the drone's end of its socket, held by the test.
final class WardenSite {
    let state: String
    private(set) var socket: Descriptor
    private var warden: ProcessDescriptor
    private let image: BusyboxImage
    private let pool: Int
    /// Descriptors that came with replies; the test that wants one takes it out.
    var received: [Int32] = []

    /// - Parameters:
    ///   - pool: sandboxes that the warden keeps ready of each kind.
    ///   - policy: the image's.
    init(command: String, pool: Int = 2, policy: String = "{}") throws {
        self.pool = pool
        image = try BusyboxImage()
        state = image.path + "/state"
        let script = """
            set -e; umask 022; mkdir -p \(state)/images/busybox \(state)/policies
            mv \(image.path)/rootfs \(state)/images/busybox/rootfs
            cat > \(state)/images/busybox/manifest.json <<'END'
            {"name": "busybox", "command": ["/bin/sh", "-c", "\(command)"], "port": 8080, "environment": {"PATH": "/bin"}}
            END
            cat > \(state)/policies/busybox.json <<'END'
            \(policy)
            END
            """
        let (status, _, errors) = try Program.run(["/bin/sh", "-c", script])
        try #require(status == .exited(code: 0), "\(errors)")
        warden = try Self.start(state, pool: pool)
        socket = try Self.connect(state)
    }

    private static func start(_ state: String, pool: Int) throws -> ProcessDescriptor {
        try Program.start([
            Program.built("plane-warden"), "serve", "--state", state, "--allow-missing-controllers", "--pool",
            String(pool),
        ])
    }

    /// Starts a warden on the same state folder after the first was killed. - Parameter path: another path of the folder.
    func restart(at path: String? = nil) throws {
        warden = try Self.start(path ?? state, pool: pool)
        socket = try Self.connect(state)
    }

    /// The folder of this warden's cgroups: the only one with a sandbox of the given name.
    func cgroup(of backend: String) throws -> String? {
        guard let mount = Cgroup.mountPoint() else { return nil }
        return try File.names(in: mount).map { mount + "/" + $0 }.first {
            File.status($0 + "/" + backend)?.kind == .directory
        }
    }

    /// The folder of this warden's cgroups.
    func cgroupFolder() throws -> String? {
        guard let mount = Cgroup.mountPoint() else { return nil }
        // As the warden names it: FNV-1a of the state folder's path.
        let hash = state.utf8.reduce(UInt32(0x811c_9dc5)) { ($0 ^ UInt32($1)) &* 0x0100_0193 }
        let path = mount + "/plane-" + String(hash, radix: 16)
        return File.status(path) == nil ? nil : path
    }

    /// Names of the sandboxes in a folder in which a process lives.
    func populated(_ folder: String) throws -> [String] {
        try File.names(in: folder).filter { name in
            File.status("\(folder)/\(name)")?.kind == .directory && Cgroup(path: "\(folder)/\(name)").isPopulated()
        }
    }

    deinit {
        received.forEach { close($0) }
        _ = try? warden.signal(SIGTERM)
        _ = try? warden.reap()
    }

    private static func connect(_ state: String) throws -> Descriptor {
        let deadline = BootInstant.now + .seconds(20)
        while true {
            if let socket = try? Socket.packetConnection(path: state + "/run/warden.sock") { return socket }
            try #require(BootInstant.now < deadline, "the warden does not listen")
            // Nothing tells when a path begins to accept.
            poll(nil, 0, 10)
        }
    }

    /// Leaves the connection and makes a new one, as a restarted drone does.
    func reconnect() throws { socket = try Self.connect(state) }

    /// Stops the warden as a debugger does: it neither reads nor kills until `resume`.
    func pause() throws {
        try warden.signal(SIGSTOP)
        var information = siginfo_t()
        let stopped = waitid(P_PIDFD, id_t(warden.raw), &information, WSTOPPED | WNOWAIT)
        try #require(stopped == 0, "the warden does not stop")
    }

    /// Lets a stopped warden go on.
    func resume() throws { try warden.signal(SIGCONT) }

    func kill() throws {
        try warden.signal(SIGKILL)
        _ = try warden.reap()
    }

    func send(_ request: WardenRequest) throws { _ = try Socket.sendPacket(socket.raw, request.bytes) }

    /// Takes the last descriptor that came.
    func takeDescriptor() throws -> Int32 {
        guard let last = received.popLast() else { throw SystemError(ENOENT, "no descriptor came") }
        return last
    }

    /// The next reply; nil when the warden closed the connection.
    func receive() throws -> WardenReply? {
        var watch = pollfd(fd: socket.raw, events: Int16(POLLIN), revents: 0)
        try #require(poll(&watch, 1, 20_000) == 1, "no reply within 20 s")
        let packet = try #require(try Socket.receivePacket(socket.raw, capacity: WardenRequest.packetBytesMax))
        received += packet.descriptors
        return packet.bytes.isEmpty ? nil : try WardenReply(packet: packet.bytes)
    }

    /// Says hello and returns the welcome.
    func greet() throws -> WardenWelcome? {
        try send(.hello(version: WardenRequest.version))
        guard case .welcome(let welcome) = try receive() else { return nil }
        return welcome
    }

    func spawn(
        _ name: String, image: String = "busybox", lifetime: Duration = .seconds(60), environment: [String] = [],
        note: [UInt8] = []
    ) throws {
        try send(
            .spawn(
                SpawnRequest(
                    backend: try BackendID(name), image: try ImageName(image), environment: environment,
                    limits: ResourceLimits(), hardDeadline: .now + lifetime, fencingToken: FencingToken(7), note: note))
        )
    }

    /// The first line that comes out of an output descriptor, which stays the caller's.
    static func line(of descriptor: Int32) throws -> String {
        var text: [UInt8] = []
        var byte: UInt8 = 0
        while text.last != UInt8(ascii: "\n") {
            var watch = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            try #require(poll(&watch, 1, 20_000) == 1, "no line within 20 s")
            guard read(descriptor, &byte, 1) == 1 else { break }
            text.append(byte)
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// The text that comes out of an output descriptor, to its end.
    static func text(of descriptor: Int32) throws -> String {
        let output = Descriptor(owning: descriptor)
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            var watch = pollfd(fd: output.raw, events: Int16(POLLIN), revents: 0)
            try #require(poll(&watch, 1, 20_000) == 1, "no output and no end of it within 20 s")
            let count = read(output.raw, &buffer, buffer.count)
            if count <= 0 { return String(decoding: text, as: UTF8.self) }
            text += buffer[..<count]
        }
    }
}

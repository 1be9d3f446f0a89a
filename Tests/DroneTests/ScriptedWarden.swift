import Glibc
import HTTP
import Linux
import Model
import WardenProtocol

/// The warden's side of the wire, on a real packet socket: it notes what is asked, and answers as a warden does, with
/// sockets of this process's own network namespace and pipes that nobody's command writes to.
final class ScriptedWarden {
    /// What is listed, and what is started on request.
    var sandboxes: [BackendID: SandboxListing] = [:]
    var offers: [ImageOffer]
    var missingControllers: [String] = []
    let machine: MachineIdentity
    var version: UInt32 = WardenRequest.version
    /// Whether a terminate request ends a sandbox.
    var endsOn: Set<TerminationKind> = [.soft, .hard]
    private(set) var requests: [WardenRequest] = []
    /// How often each was started.
    private(set) var starts: [BackendID: Int] = [:]
    /// The writing ends of the commands' output.
    private(set) var outputs: [BackendID: Int32] = [:]

    private let loop: EventLoop
    private let path: String
    private let onChange: () -> Void
    private var listener: Int32
    private var listening: EventLoop.Registration?
    private var connection: (raw: Int32, registration: EventLoop.Registration)?

    init(loop: EventLoop, path: String, owner: UInt32, offers: [ImageOffer], onChange: @escaping () -> Void) throws {
        self.loop = loop
        self.path = path
        self.offers = offers
        self.onChange = onChange
        machine = try MachineIdentity("machine-1")
        listener = try Socket.packetListener(path: path, owner: owner).release()
        listening = try loop.add(listener, .readable) { [unowned self] _ in accept() }
    }

    func close() {
        cut()
        if let listening { loop.remove(listening) }
        Glibc.close(listener)
        outputs.values.forEach { Glibc.close($0) }
        unlink(path)
    }

    /// Breaks the connection, as a warden does that ends.
    func cut() {
        guard let connection else { return }
        loop.remove(connection.registration)
        Glibc.close(connection.raw)
        self.connection = nil
    }

    /// Says what is no reply.
    func sendGarbage() {
        if let connection { _ = try? Socket.sendPacket(connection.raw, [255, 1, 2]) }
    }

    /// A sandbox ends.
    func end(_ backend: BackendID, _ exit: SandboxExit) {
        sandboxes[backend]?.exit = exit
        if let output = outputs.removeValue(forKey: backend) { Glibc.close(output) }
        send(.exited(backend, exit))
    }

    /// Its command writes.
    func write(_ text: String, by backend: BackendID) {
        guard let output = outputs[backend] else { return }
        _ = Array(text.utf8).withUnsafeBytes { Glibc.write(output, $0.baseAddress, $0.count) }
    }

    private func accept() {
        guard let accepted = try? Socket.accept(listener) else { return }
        cut()
        let raw = accepted.release()
        guard let registration = try? loop.add(raw, .readable, { [unowned self] _ in receive() }) else { return }
        connection = (raw, registration)
    }

    private func receive() {
        while let connection {
            guard let packet = try? Socket.receivePacket(connection.raw, capacity: WardenRequest.packetBytesMax),
                !packet.bytes.isEmpty
            else { break }
            guard let request = try? WardenRequest(packet: packet.bytes) else { return cut() }
            requests.append(request)
            answer(request)
        }
        onChange()
    }

    private func answer(_ request: WardenRequest) {
        switch request {
        case .hello:
            send(
                .welcome(
                    WardenWelcome(
                        version: version, machine: machine, missingControllers: missingControllers, images: offers)))
        case .list:
            for sandbox in sandboxes.values {
                guard sandbox.exit == nil else {
                    send(.listing(sandbox))
                    continue
                }
                withPipe(sandbox.backend) { send(.listing(sandbox), [$0]) }
            }
            send(.listed)
        case .spawn(let spawn):
            guard spawn.hardDeadline > .now else { return send(.refused(spawn.backend, message: "too late")) }
            // As the warden does: a repeated request for what is there changes nothing.
            guard sandboxes[spawn.backend] == nil else { return }
            starts[spawn.backend, default: 0] += 1
            sandboxes[spawn.backend] = SandboxListing(
                backend: spawn.backend, image: spawn.image, fencingToken: spawn.fencingToken,
                hardDeadline: spawn.hardDeadline, note: spawn.note, exit: nil)
            withPipe(spawn.backend) { send(.spawned(spawn.backend), [$0]) }
        case .extend(let deadlines):
            for item in deadlines { sandboxes[item.backend]?.hardDeadline = item.deadline }
        case .terminate(let backend, let kind):
            guard endsOn.contains(kind), sandboxes[backend]?.exit == nil else { return }
            let status: Linux.ExitStatus = kind == .soft ? .exited(code: 0) : .signaled(signal: 9)
            end(
                backend,
                SandboxExit(
                    cause: .terminated, status: status, outOfMemory: false, cpuMicroseconds: 0, memoryPeakBytes: 0))
        case .sockets(let backend, let count):
            let sockets = (0..<count).compactMap { _ in try? Socket.tcp().release() }
            send(.sockets(backend, message: nil), sockets)
            sockets.forEach { Glibc.close($0) }
        case .forget(let backend): sandboxes[backend] = nil
        }
    }

    private func withPipe(_ backend: BackendID, _ use: (Int32) -> Void) {
        guard let ends = try? Pipe().split() else { return }
        if let old = outputs.updateValue(ends.writing, forKey: backend) { Glibc.close(old) }
        use(ends.reading)
        Glibc.close(ends.reading)
    }

    private func send(_ reply: WardenReply, _ descriptors: [Int32] = []) {
        guard let connection else { return }
        _ = try? Socket.sendPacket(connection.raw, reply.bytes, descriptors: descriptors)
    }
}

import Glibc
public import Linux

/// A sandbox whose command is about to be exec'ed.
public struct StartingSandbox: ~Copyable {
    private var sandbox: Sandbox
    private let orders: Descriptor

    init(_ sandbox: consuming Sandbox, orders: consuming Descriptor) {
        self.sandbox = sandbox
        self.orders = orders
    }

    /// Readable once its start is decided: `finish` hardly waits from then on.
    public var watched: Int32 { orders.raw }

    /// Its cgroup.
    public var cgroup: Cgroup { sandbox.cgroup }

    /// Ends it at once; `finish` then hardly waits.
    public borrowing func kill() throws(SystemError) { try sandbox.kill() }

    /// As of a started one.
    public borrowing func armGuard(at deadline: BootInstant) throws(SystemError) {
        try sandbox.armGuard(at: deadline)
    }

    /// Lets it go; waits until nothing of it is left.
    public consuming func discard(on host: inout SandboxHost) { sandbox.discard(on: &host) }

    /// What a start takes is milliseconds; what has not started in this time never will.
    public static let patience = Duration.seconds(20)

    /// Takes the sandbox over once its command runs. Waits for that, up to `patience`.
    /// - Throws: why it was not started; nothing of it is left then.
    public consuming func finish(on host: inout SandboxHost) throws(SandboxFailure) -> Sandbox {
        do throws(SandboxFailure) {
            while true {
                var watch = pollfd(fd: orders.raw, events: Int16(POLLIN), revents: 0)
                guard poll(&watch, 1, Self.patience.millisecondsRoundedUp) > 0 else {
                    throw SandboxFailure(.handshake, call: "no answer from the new sandbox for 20 s", code: 0)
                }
                let packet = try step(.handshake) { () throws(SystemError) in try Self.receive(from: orders) }
                guard let packet else { continue }
                // The sandbox's side is closed by its last exec.
                if packet.bytes.isEmpty { break }
                if let master = packet.descriptors.first {
                    sandbox.terminal = Descriptor(owning: master)
                    continue
                }
                throw SandboxFailure(report: packet.bytes)
            }
        } catch {
            sandbox.discard(on: &host)
            throw error
        }
        return sandbox
    }

    /// What a child has told of its failure already; nil when it has told none.
    static func failureTold(on orders: borrowing Descriptor) -> SandboxFailure? {
        var watch = pollfd(fd: orders.raw, events: Int16(POLLIN), revents: 0)
        guard poll(&watch, 1, 0) > 0,
            let packet = try? receive(from: orders),
            !packet.bytes.isEmpty
        else { return nil }
        return SandboxFailure(report: packet.bytes)
    }

    /// The next packet. A process that ends before it has read all that it was sent leaves an error behind, which the
    /// kernel tells before what the process has said itself.
    private static func receive(from orders: borrowing Descriptor) throws(SystemError) -> Socket.ReceivedPacket? {
        do throws(SystemError) {
            return try Socket.receivePacket(orders.raw, capacity: SandboxFailure.reportBytesMax)
        } catch {
            guard error.code == ECONNRESET else { throw error }
            return try Socket.receivePacket(orders.raw, capacity: SandboxFailure.reportBytesMax)
        }
    }
}

import Glibc
public import Linux

/// A sandbox whose command is about to be exec'ed.
public struct StartingSandbox: ~Copyable {
    private var sandbox: Sandbox
    private let report: Descriptor

    init(_ sandbox: consuming Sandbox, report: consuming Descriptor) {
        self.sandbox = sandbox
        self.report = report
    }

    /// Readable once its start is decided: `finish` hardly waits from then on.
    public var watched: Int32 { report.raw }

    /// Its cgroup.
    public var cgroup: Cgroup { sandbox.cgroup }

    /// Ends it at once; `finish` then hardly waits.
    public borrowing func kill() throws(SystemError) { try sandbox.kill() }

    /// What a start takes is milliseconds; what has not started in this time never will.
    public static let patience = Duration.seconds(20)

    /// Takes the sandbox over once its command runs. Waits for that, up to `patience`.
    /// - Throws: why it was not started; nothing of it is left then.
    public consuming func finish(on host: inout SandboxHost) throws(SandboxFailure) -> Sandbox {
        do throws(SandboxFailure) {
            while true {
                var watch = pollfd(fd: report.raw, events: Int16(POLLIN), revents: 0)
                guard poll(&watch, 1, Self.patience.millisecondsRoundedUp) > 0 else {
                    throw SandboxFailure(.handshake, call: "no answer from the new sandbox for 20 s", code: 0)
                }
                let packet = try step(.handshake) { () throws(SystemError) in
                    try Socket.receivePacket(report.raw, capacity: SandboxFailure.reportBytesMax)
                }
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
    static func failureTold(on report: borrowing Descriptor) -> SandboxFailure? {
        var watch = pollfd(fd: report.raw, events: Int16(POLLIN), revents: 0)
        guard poll(&watch, 1, 0) > 0,
            let packet = try? Socket.receivePacket(report.raw, capacity: SandboxFailure.reportBytesMax),
            !packet.bytes.isEmpty
        else { return nil }
        return SandboxFailure(report: packet.bytes)
    }
}

import Glibc
public import Linux

/// One running sandbox, as its warden holds it. Its processes end with `kill`; its remains go with `finish`.
public struct Sandbox: ~Copyable {
    /// Its own cgroup: every process of it is there, and none of another.
    public let cgroup: Cgroup
    /// pid 1 of the sandbox; readable once all of the sandbox has ended.
    public let process: ProcessDescriptor
    /// pid 1's id on the host. It means this process until it is reaped.
    let pid: Int32
    let range: UserRange
    /// The other side of its command's terminal, if it was launched with one.
    public internal(set) var terminal: Descriptor?
    private let networkNamespace: Descriptor
    private let initSocket: Descriptor

    init(
        cgroup: Cgroup, _ first: consuming FirstProcess, range: UserRange,
        networkNamespace: consuming Descriptor, initSocket: consuming Descriptor
    ) {
        self.cgroup = cgroup
        pid = first.pid
        process = first.descriptor
        self.range = range
        self.networkNamespace = networkNamespace
        self.initSocket = initSocket
        terminal = nil
    }

    /// Makes a sandbox, launches its command and waits until it is exec'ed. Whatever fails, nothing of it is left.
    /// - Parameters:
    ///   - name: names the cgroup.
    ///   - environment: `NAME=VALUE`, complete.
    public static func start(
        _ image: SandboxImage, name: String, environment: [String], _ streams: SandboxStreams,
        on host: inout SandboxHost
    ) throws(SandboxFailure) -> Sandbox {
        let made = try MadeSandbox.make(image, name: name, on: &host)
        let starting = try made.launch(environment: environment, streams, on: &host)
        return try starting.finish(on: &host)
    }

    /// Sends a packet to its first process, which waits for it.
    borrowing func tell(_ bytes: [UInt8]) throws(SystemError) {
        _ = try Socket.sendPacket(initSocket.raw, bytes)
    }

    /// Asks the command to end: the init passes the signal on to it.
    public borrowing func forward(_ signal: Int32) throws(SystemError) { try process.signal(signal) }

    /// Ends every process of it at once, also those being forked at the moment.
    public borrowing func kill() throws(SystemError) {
        try cgroup.kill()
        try process.signal(SIGKILL)
    }

    /// A nonblocking TCP socket in its network namespace, to reach its ports with and nothing else.
    ///
    /// The calling thread must be the warden's only one: it is in the sandbox's namespace for a moment.
    public borrowing func makeSocket(on host: borrowing SandboxHost) throws(SystemError) -> Descriptor {
        try Namespaces.enter(networkNamespace, .network)
        defer { host.goHome() }
        return Descriptor(owning: try Socket.tcp().release())
    }

    /// How the command ended, after `process` has become readable: what the init said, or nil when it was killed
    /// before it could say anything.
    public borrowing func reap() throws(SystemError) -> ExitStatus? {
        guard try process.reapIfEnded() != nil else { throw SystemError(EAGAIN, "waitid of a running sandbox") }
        let packet = try Socket.receivePacket(initSocket.raw, capacity: InitReport.byteCount)
        guard let packet, packet.bytes.count == InitReport.byteCount else { return nil }
        return InitReport.status(of: packet.bytes)
    }

    /// Removes what is left of an ended sandbox, and gives its ids back.
    /// - Returns: nil when all is gone; the sandbox itself while the kernel still holds something of its cgroup.
    public consuming func finish(on host: inout SandboxHost) throws(SystemError) -> Sandbox? {
        guard try cgroup.remove() else { return self }
        host.ranges.giveBack(range)
        return nil
    }
}

/// pid 1 of a sandbox, as its parent has it.
struct FirstProcess: ~Copyable {
    /// Its id on the host.
    let pid: Int32
    let descriptor: ProcessDescriptor
}

extension Sandbox {
    /// Ends what was not launched, or whose launch failed, and waits until nothing of it is left.
    consuming func discard(on host: inout SandboxHost) {
        // Its pid 1 takes every process of its namespace along; only then can the cgroup be removed.
        _ = try? process.signal(SIGKILL)
        _ = try? process.reap()
        var rest: Sandbox? = self
        while let left = rest.take() {
            do throws(SystemError) { rest = try left.finish(on: &host) } catch { return }
            // The kernel lets go of an empty cgroup within a tick or two; there is no event for that moment.
            if rest != nil { poll(nil, 0, 1) }
        }
    }
}

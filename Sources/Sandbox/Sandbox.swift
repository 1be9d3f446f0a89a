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
    /// A timer that its init has open too, and ends by.
    private let deadlineGuard: TimerDescriptor

    init(
        cgroup: Cgroup, _ first: consuming FirstProcess, range: UserRange, networkNamespace: consuming Descriptor,
        initSocket: consuming Descriptor, deadlineGuard: consuming TimerDescriptor
    ) {
        self.cgroup = cgroup
        pid = first.pid
        process = first.descriptor
        self.range = range
        self.networkNamespace = networkNamespace
        self.initSocket = initSocket
        self.deadlineGuard = deadlineGuard
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
        let starting = try made.launch(environment: environment, streams, until: nil, on: &host)
        return try starting.finish(on: &host)
    }

    /// Sends a packet to its first process, which waits for it.
    borrowing func tell(_ bytes: [UInt8]) throws(SystemError) {
        _ = try Socket.sendPacket(initSocket.raw, bytes)
    }

    /// From that moment on nothing of it runs, whatever has become of its warden: its init ends by a timer that both have
    /// open, and the kernel ends the rest of the pid namespace with it.
    public borrowing func armGuard(at deadline: BootInstant) throws(SystemError) {
        try deadlineGuard.arm(at: deadline)
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

    /// How a sandbox ended.
    public enum End: Equatable, Sendable {
        /// Its command ended, as its init said, and with it the rest.
        case command(ExitStatus)
        /// It was killed before its init could say anything.
        case killed
        /// The moment came that its guard was armed for.
        case deadline

        /// How the command ended; nil when it was ended with its init.
        public var status: ExitStatus? {
            if case .command(let status) = self { status } else { nil }
        }
    }

    /// How it ended, after `process` has become readable.
    public borrowing func reap() throws(SystemError) -> End {
        guard let ended = try process.reapIfEnded() else { throw SystemError(EAGAIN, "waitid of a running sandbox") }
        if ended == .exited(code: InitProcess.deadlineStatus) { return .deadline }
        let packet = try Socket.receivePacket(initSocket.raw, capacity: InitReport.byteCount)
        guard let packet, packet.bytes.count == InitReport.byteCount else { return .killed }
        return InitReport.status(of: packet.bytes).map { .command($0) } ?? .killed
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

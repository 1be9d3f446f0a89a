import CLinux
import Glibc
public import Linux
import Model
import Sandbox
import WardenProtocol

/// The root process: one thread, one epoll loop. It starts sandboxes for the drone, ends each at its deadline by itself,
/// and hands out sockets born in their network namespaces.
public final class WardenServer {
    let configuration: WardenConfiguration
    let epoll: Epoll
    let listener: Descriptor
    let signals: SignalDescriptor
    let timer: TimerDescriptor
    let lock: Descriptor
    let machine: MachineIdentity
    var host: SandboxHost
    var library: PlanLibrary
    /// What is decided about sandboxes.
    var ledger = WardenLedger()
    var records: [BackendID: SandboxRecord] = [:]
    /// Records by the descriptor that the loop watches for them.
    var byDescriptor: [Int32: SandboxRecord] = [:]
    /// Backends that have ended and of which something is left.
    var ending: Set<BackendID> = []
    var pool: SandboxPool
    /// Sandboxes that were launched and do not run yet.
    var startingCount = 0
    var armedFor: BootInstant?
    var drone: DroneConnection?

    /// Takes the state folder, prepares what sandboxes share, and listens.
    /// - Throws: a sentence: why it cannot start.
    public init(_ configuration: WardenConfiguration) throws(WardenRefusal) {
        self.configuration = configuration
        guard geteuid() == 0 else {
            throw WardenRefusal("must run as root: it makes namespaces, mounts and cgroups. Start it with sudo.")
        }
        do throws(SystemError) {
            if configuration.lifetime == .ofParent { try CurrentProcess.setParentDeathSignal(SIGTERM) }
            try File.makeDirectories(configuration.runPath, mode: 0o755)
            guard let lock = try File.lock(configuration.runPath + "/warden.lock") else {
                throw SystemError(EBUSY, "another plane-warden serves \(configuration.statePath)")
            }
            self.lock = lock
            signals = try SignalDescriptor([SIGTERM, SIGINT, SIGHUP])
            Signals.ignoreBrokenPipe()
        } catch { throw WardenRefusal("cannot start: \(error)") }
        machine = try MachineFile(configuration).identity()
        let cgroup = try Self.openCgroup(
            // The lock says that there is no other warden: whatever is there was left.
            configuration, name: configuration.cgroupName, isLeftover: { _ in true })
        do throws(SandboxFailure) {
            host = try SandboxHost.prepare(
                scratch: configuration.runPath + "/scratch", cgroup: cgroup, lockFolder: "/run/lock/plane",
                .warden)
        } catch { throw WardenRefusal("cannot start: \(error)") }
        pool = SandboxPool(size: configuration.poolSize, blankSize: configuration.blankSize)
        library = PlanLibrary(configuration)
        library.reloadIfChanged()
        do throws(SystemError) {
            timer = try TimerDescriptor()
            epoll = try Epoll()
            listener = try Socket.packetListener(path: configuration.socketPath, owner: configuration.droneUser)
            for fd in [listener.raw, signals.raw, timer.raw] {
                try epoll.add(fd, .readable, token: UInt64(UInt32(bitPattern: fd)))
            }
        } catch { throw WardenRefusal("cannot start: \(error)") }
    }

    /// The folder for the sandboxes' cgroups, or the refusal that names the controllers that are missing.
    static func openCgroup(
        _ configuration: WardenConfiguration, name: String, isLeftover: (String) -> Bool
    ) throws(WardenRefusal) -> HostCgroup {
        let cgroup: HostCgroup
        do throws(SystemError) {
            cgroup = try HostCgroup(name: name)
            try cgroup.removeLeftovers(where: isLeftover)
        } catch { throw WardenRefusal("cannot start: \(error)") }
        if cgroup.missing.isEmpty { return cgroup }
        guard configuration.controllers == .optional else {
            cgroup.remove()
            throw WardenRefusal.missing(cgroup.missing)
        }
        let names = cgroup.missing.joined(separator: ", ")
        WardenLog.write("WARNING: limits of \(names) are NOT ENFORCED: cgroup v2 offers no such controller here")
        return cgroup
    }

    /// Serves until SIGTERM or SIGINT; then ends every sandbox and returns.
    public func run() throws(SystemError) {
        WardenLog.write("serves \(configuration.socketPath), images: \(imageNames)")
        let events = UnsafeMutableBufferPointer<epoll_event>.allocate(capacity: 64)
        defer { events.deallocate() }
        while !(ledger.isEnding && ledger.livingCount == 0) {
            try armTimer()
            let count = try epoll.wait(into: events, timeoutMilliseconds: patience)
            if count == 0 { pool.makeOne(on: &host) }
            // What waits to be read may move a deadline that has come: it is read first, and what is due is done last.
            for index in 0..<count where events[index].token != timerToken {
                try handle(Int32(bitPattern: UInt32(events[index].token)))
            }
            for index in 0..<count where events[index].token == timerToken { try tick() }
            try removeRemains()
        }
        unlink(configuration.socketPath)
        host.cgroup.remove()
        WardenLog.write("ended; no sandbox is left")
    }

    private var timerToken: UInt64 { UInt64(UInt32(bitPattern: timer.raw)) }

    /// Milliseconds for which nothing must happen before one of the sandboxes is made that are kept ready; -1 when none is
    /// missing. Whoever is being started comes first: making one takes both a processor and the loop.
    private var patience: Int32 {
        if ledger.isEnding || startingCount > 0 || !pool.isShort { return -1 }
        return 1
    }

    var imageNames: String {
        library.images.isEmpty ? "none" : library.images.keys.map(\.text).sorted().joined(separator: ", ")
    }

    private func handle(_ fd: Int32) throws(SystemError) {
        if fd == listener.raw {
            try acceptDrone()
        } else if fd == signals.raw {
            while let signal = signals.next() { try received(signal) }
        } else if let record = byDescriptor[fd] {
            if record.isStarting { try settle(record) } else { try processEnded(record) }
        } else if let drone, drone.raw == fd {
            try serve(drone)
        }
    }
}

import Glibc
import HTTP
import Linux
import Model
import Proxy

/// The drone process: one loop for its warden, its controller and its backends, and the proxy's threads beside it.
public enum DroneServer {
    /// Runs a drone until SIGTERM or SIGINT; another one of them, two seconds later or more, ends it at once.
    ///
    /// To be called on the main thread before any other thread exists: it gives up root's privileges and blocks signals,
    /// and both hold for the calling thread and for those that it starts.
    /// - Throws: why it cannot start, or could not go on, for the user: the command exits with status 1.
    public static func run(_ configuration: DroneConfiguration) throws(DroneRefusal) {
        try assume(configuration.identity)
        let outcome: Outcome
        do throws(SystemError) {
            outcome = try serve(configuration)
        } catch {
            throw DroneRefusal("cannot go on: \(error)")
        }
        switch outcome {
        case .stopped: return
        case .refused(let refusal): throw refusal
        }
    }

    private enum Outcome {
        case stopped
        case refused(DroneRefusal)
    }

    /// First of all, so that nothing from a network is ever read with privileges.
    private static func assume(_ identity: DroneConfiguration.Identity) throws(DroneRefusal) {
        guard geteuid() == 0 else { return }
        switch identity {
        case .caller:
            throw DroneRefusal("must not run as root: it faces the network. Start it as another user, or give it one.")
        case .user(let user, let group):
            guard user != 0, group != 0 else {
                throw DroneRefusal("must not run as root: give it a user and a group other than 0.")
            }
            do throws(SystemError) {
                try CurrentProcess.becomeUser(user, group: group)
            } catch {
                throw DroneRefusal("cannot become user \(user), group \(group): \(error)")
            }
        }
    }

    private static func serve(_ configuration: DroneConfiguration) throws(SystemError) -> Outcome {
        let loop = try EventLoop()
        let events = try Mailbox<ProxyEvent>()
        var outcome = Outcome.stopped
        var drone: Drone?
        // Before the proxy's threads, which inherit the blocked signals: else they would take them.
        var stoppedAt: BootInstant?
        try loop.onSignal([SIGTERM, SIGINT]) { _ in
            if let stoppedAt {
                // A terminal's Ctrl-C and the SIGTERM of whoever started us come together and mean one thing.
                if BootInstant.now - stoppedAt >= .seconds(2) { loop.stop() }
                return
            }
            stoppedAt = .now
            guard let drone else { return loop.stop() }
            DroneLog.write("stopping")
            drone.stop(configuration.stop) { loop.stop() }
        }
        let proxy: Proxy
        do throws(SystemError) {
            proxy = try Proxy(
                ProxyConfiguration(
                    address: configuration.proxyAddress, threadCount: configuration.proxyThreads,
                    serverName: "Plane/\(configuration.version)", rootRedirect: configuration.rootRedirect),
                events: events)
        } catch {
            return .refused(cannotListen(configuration.proxyAddress, error))
        }
        let port = ProxyPort(send: proxy.send, giveSockets: proxy.giveSockets)
        let ports = DronePorts.live(configuration, loop: loop, proxy: port, log: DroneLog.write)
        let server = Drone(configuration, ports: ports) { refusal in
            outcome = .refused(refusal)
            loop.stop()
        }
        drone = server
        try loop.attach(events) { server.take($0) }
        DroneLog.write("\(configuration.name) listens on \(proxy.address) for cluster \(configuration.cluster)")
        server.start()
        try loop.run()
        proxy.stop()
        return outcome
    }

    private static func cannotListen(_ address: SocketAddress, _ error: SystemError) -> DroneRefusal {
        switch error.code {
        case EADDRINUSE:
            DroneRefusal("cannot listen on \(address): another program already does. Stop it, or choose another port.")
        case EADDRNOTAVAIL:
            DroneRefusal("cannot listen on \(address): this machine does not have that address.")
        case EACCES:
            DroneRefusal("cannot listen on \(address): ports below 1024 need a privilege. Choose a higher port.")
        default: DroneRefusal("cannot listen on \(address): \(error)")
        }
    }
}

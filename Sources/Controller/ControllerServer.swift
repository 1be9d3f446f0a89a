import Glibc
public import HTTP
public import Linux
import Model
import Store
import Synchronization

/// A controller: its HTTP server, its database and its drones' links, on one event loop.
public final class ControllerServer {
    private let controller: Controller
    private let server: HTTPServer

    /// Where it listens, with the port that the system chose if 0 was asked for.
    public var address: SocketAddress { server.address }

    /// Opens the database and listens. To be called on the thread that runs the loop. A loop that handles signals is told
    /// so before, because the store's thread starts here.
    public init(_ configuration: ControllerConfiguration, loop: EventLoop) throws(ControllerError) {
        let known = KnownDrones()
        let path = configuration.databasePath
        let store = try LoopStore(loop: loop) { () throws(StoreError) in
            let store = try SQLiteStore(path: path, clock: { WallClock.millisecondsSinceEpoch })
            known.set(try store.transaction { tx throws(StoreError) in try tx.dronesWithLiveBackends() })
            return store
        }
        controller = Controller(configuration, loop: loop, store: store, known: known.names)
        var limits = HTTPServer.Limits()
        limits.connectionCountMax = 16_384
        do throws(HTTPServer.ListenError) {
            server = try HTTPServer(
                loop: loop, address: configuration.address, limits: limits, refusal: Caller.refusal
            ) { [controller] request, responder in controller.handle(request, responder) }
        } catch {
            store.stop()
            throw .listen(error)
        }
        controller.start()
        Log.write(
            .info, "controller-started",
            [
                "controller": controller.name, "address": "\(server.address)", "version": configuration.version,
                "database": path, "cluster": configuration.defaultCluster?.text ?? "none",
            ])
    }

    /// Stops listening, lets pending requests be answered for a moment, and closes the database.
    /// - Parameter whenDone: called on the loop's thread, at most 2 seconds later.
    public func close(whenDone: @escaping () -> Void = {}) {
        server.close(grace: ControllerConfiguration.stopGrace) { [controller] in
            controller.store.stop()
            Log.write(.info, "controller-stopped", ["controller": controller.name])
            whenDone()
        }
    }

    /// Runs a controller until SIGTERM or SIGINT.
    public static func run(_ configuration: ControllerConfiguration) throws(ControllerError) {
        let loop: EventLoop
        var server: ControllerServer?
        do throws(SystemError) {
            loop = try EventLoop()
            try loop.onSignal([SIGTERM, SIGINT]) { _ in
                // A second signal while stopping changes nothing: it takes 2 seconds at most.
                guard let stopping = server else { return }
                server = nil
                stopping.close { loop.stop() }
            }
        } catch {
            throw .system(error)
        }
        server = try ControllerServer(configuration, loop: loop)
        do throws(SystemError) { try loop.run() } catch { throw .system(error) }
    }
}

/// Carries the drones that have backends from the store's thread, where it is opened, to the one that opens it.
private final class KnownDrones: Sendable {
    private let content = Mutex<[DroneName]>([])

    var names: [DroneName] { content.withLock { $0 } }

    func set(_ names: [DroneName]) { content.withLock { $0 = names } }
}

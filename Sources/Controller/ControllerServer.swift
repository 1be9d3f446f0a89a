import Glibc
public import HTTP
public import Linux
import Model
import Store

/// A controller: its HTTP server, its database and its drones' links, on one event loop.
public final class ControllerServer {
    private let controller: Controller
    private let api: ControllerAPI
    private let access: AccessControl
    private let store: LoopStore
    private let listener: PostgresListener?
    private let server: HTTPServer

    /// Where it listens, with the port that the system chose if 0 was asked for.
    public var address: SocketAddress { server.address }

    /// Opens the database and listens. To be called on the thread that runs the loop. A loop that handles signals is told
    /// so before, because the store's thread starts here.
    public init(_ configuration: ControllerConfiguration, loop: EventLoop) throws(ControllerError) {
        if let problem = configuration.access.problem(listeningOn: configuration.address) { throw .access(problem) }
        let access = try AccessControl(configuration.access, loop: loop)
        let name = ControllerName(random: RandomBytes.draw(14))
        let notices: Mailbox<[StoreNotice]>
        do throws(SystemError) { notices = try Mailbox() } catch { throw .system(error) }
        let (store, database, listener) = try Self.open(configuration.database, name, loop, notices)
        let ports = ControllerPorts(
            clock: loop, store: store, random: RandomBytes.draw, log: { Log.write($0, $1, $2) })
        let controller = Controller(configuration, ports: ports, name: name)
        let api = ControllerAPI(controller, access: access)
        (self.controller, self.api, self.access) = (controller, api, access)
        (self.store, self.listener) = (store, listener)
        do throws(SystemError) {
            try loop.attach(notices) { [weak controller] in controller?.noticed($0) }
        } catch {
            listener?.stop()
            store.stop()
            throw .system(error)
        }
        do throws(HTTPServer.ListenError) {
            server = try HTTPServer(
                loop: loop, address: configuration.address, limits: configuration.limits, refusal: Caller.refusal
            ) { request, responder in api.handle(request, responder) }
        } catch {
            listener?.stop()
            store.stop()
            throw .listen(error)
        }
        controller.start()
        Log.write(
            .info, "controller-started",
            [
                "controller": controller.name.text, "address": "\(server.address)",
                "version": configuration.version, "database": database,
                "cluster": configuration.defaultCluster?.text ?? "none",
            ])
    }

    /// Opens the database, and for one that is shared listens to what its other users change.
    /// - Returns: the store, and its name without anything secret.
    private static func open(
        _ database: ControllerConfiguration.Database, _ controller: ControllerName, _ loop: EventLoop,
        _ notices: Mailbox<[StoreNotice]>
    ) throws(ControllerError) -> (LoopStore, String, PostgresListener?) {
        switch database {
        case .sqlite(let path):
            let store = try LoopStore(loop: loop, isShared: SQLiteStore.isShared) { () throws(StoreError) in
                try SQLiteStore(path: path, clock: { WallClock.millisecondsSinceEpoch })
            }
            return (store, path, nil)
        case .postgres(let text):
            let url: PostgresURL
            do throws(StoreError) { url = try PostgresURL(text) } catch { throw .store(error) }
            let store = try LoopStore(loop: loop, isShared: PostgresStore.isShared) { () throws(StoreError) in
                let store = try PostgresStore(url: url, writer: controller.text)
                if let doubt = store.durabilityDoubt { Log.write(.warn, "database-may-lose", ["reason": doubt]) }
                return store
            }
            do throws(StoreError) {
                let listener = try PostgresListener(url: url, reader: controller.text) { notices.send($0) }
                return (store, url.description, listener)
            } catch {
                store.stop()
                throw .store(error)
            }
        }
    }

    /// Stops listening, lets pending requests be answered for a moment, and closes the database.
    /// - Parameter whenDone: called on the loop's thread, at most 2 seconds later with SQLite. A PostgreSQL server that
    ///   stands still is waited for until its time limits are over, some 20 seconds.
    public func close(whenDone: @escaping () -> Void = {}) {
        server.close(grace: ControllerConfiguration.stopGrace) { [controller, access, store, listener] in
            access.stop()
            controller.stop {
                listener?.stop()
                store.stop()
                Log.write(.info, "controller-stopped", ["controller": controller.name.text])
                whenDone()
            }
        }
    }

    /// Runs a controller until SIGTERM or SIGINT.
    public static func run(_ configuration: ControllerConfiguration) throws(ControllerError) {
        let loop: EventLoop
        var server: ControllerServer?
        do throws(SystemError) {
            loop = try EventLoop()
            try loop.onSignal([SIGTERM, SIGINT]) { _ in
                // A second signal while stopping changes nothing: what stops has its time limits.
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

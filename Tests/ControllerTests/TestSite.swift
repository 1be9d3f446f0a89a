import CSQLite
import FoundationEssentials
import HTTP
import Linux
import Model
import Testing

@testable import Controller

/// A real controller with a real database, and a client and drones that speak to it over real sockets.
///
/// The drones are the test's: what lies behind the drone link is another process's business, and the link is the
/// border.
final class TestSite: Sendable {
    let folder: TemporaryFolder
    let server: LoopThread
    let client: LoopThread
    let port: UInt16

    /// - Parameter configure: changes what the controller is told.
    init(
        folder: TemporaryFolder = TemporaryFolder(), lease: LeaseTimes = .standard,
        configure: (inout ControllerConfiguration) -> Void = { _ in }
    ) async throws {
        self.folder = folder
        server = try LoopThread()
        client = try LoopThread()
        var configuration = ControllerConfiguration(
            address: .loopback(0), controllerURL: "http://controller.test",
            database: .sqlite(path: folder.file("plane.db")),
            version: "1.2.3")
        configuration.defaultCluster = Values.cluster()
        configuration.lease = lease
        configure(&configuration)
        do {
            port = try await server.run { [configuration] context in
                let server = try ControllerServer(configuration, loop: context.loop)
                context.things["server"] = server
                return server.address.port
            }
        } catch {
            server.stop()
            client.stop()
            throw error
        }
    }

    /// Stops the controller in order; a site may be made again on the same folder afterwards.
    func stop() async throws {
        await withCheckedContinuation { continuation in
            server.send { context in
                guard let server = context.things["server"] as? ControllerServer else { return }
                server.close { continuation.resume() }
            }
        }
        server.stop()
        client.stop()
    }

    /// An answer of the controller.
    struct Reply: Sendable {
        let status: Int
        let fields: HeaderFields
        let body: [UInt8]

        /// The body as JSON; null if it is none.
        var json: JSONValue { (try? JSONValue(parsing: body)) ?? .null }
        /// The error in the body.
        func error() throws -> APIError { try JSONDecoder().decode(APIError.self, from: Data(body)) }
        /// The connect response in the body.
        func connected() throws -> ConnectResponse {
            try JSONDecoder().decode(ConnectResponse.self, from: Data(body))
        }
    }

    func url(_ path: String) throws -> HTTPURL { try HTTPURL("http://127.0.0.1:\(port)\(path)") }

    func send(
        _ method: RequestMethod, _ path: String, fields: HeaderFields = [:], body: String = ""
    ) async throws -> Reply {
        let url = try url(path)
        let response: Response = try await withCheckedThrowingContinuation { continuation in
            client.send { context in
                context.client.send(method, url, fields: fields, body: Array(body.utf8), deadline: .seconds(30)) {
                    continuation.resume(with: $0.mapError { $0 as any Error })
                }
            }
        }
        return Reply(status: response.status, fields: response.fields, body: response.body)
    }

    func get(_ path: String) async throws -> Reply { try await send(.get, path) }

    func post(_ path: String, _ body: String = "null") async throws -> Reply {
        try await send(.post, path, fields: ["content-type": "application/json"], body: body)
    }

    /// Connects with a body of the test's.
    func connect(_ body: String) async throws -> Reply { try await post("/ctrl/connect", body) }

    /// Connects to a key, ready to start a backend for it.
    func connect(key: String, image: String = "python-repl") async throws -> Reply {
        try await connect(#"{"key":{"name":"\#(key)"},"spawn_config":{"executable":{"image":"\#(image)"}}}"#)
    }

    /// How many rows each table has, read behind the controller's back.
    func rowCounts() throws -> [String: Int64] {
        var database: OpaquePointer?
        #expect(sqlite3_open_v2(folder.file("plane.db"), &database, SQLITE_OPEN_READWRITE, nil) == SQLITE_OK)
        defer { sqlite3_close(database) }
        var counts: [String: Int64] = [:]
        for table in ["backend", "token", "history", "drone"] {
            var statement: OpaquePointer?
            #expect(sqlite3_prepare_v2(database, "SELECT count(*) FROM \(table)", -1, &statement, nil) == SQLITE_OK)
            defer { sqlite3_finalize(statement) }
            #expect(sqlite3_step(statement) == SQLITE_ROW)
            counts[table] = sqlite3_column_int64(statement, 0)
        }
        return counts
    }
}

import Glibc
import Store
import Synchronization

/// A PostgreSQL server of the tests' own, with fsync on, in a folder that is gone with it: also when the test's process
/// is killed. It can be reached through a socket in that folder only.
final class PostgresServer: @unchecked Sendable {
    /// One for all tests that leave it running. It ends with the process.
    static let shared = Result { try PostgresServer() }

    /// What its socket and its files are in.
    let folder: String
    private let programs: String
    private var keeper: Keeper

    /// What runs the server: a shell that stops it when its input ends.
    private struct Keeper {
        var process: pid_t
        var input: Int32
    }

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    init() throws {
        programs = try Self.findPrograms()
        var template = Array("/tmp/plane-postgres-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Failure(description: "mkdtemp failed with \(errno)") }
        folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        if geteuid() == 0 {
            // The server refuses to run as root.
            guard let user = getpwnam("postgres") else { throw Failure(description: "there is no user postgres") }
            chown(folder, user.pointee.pw_uid, user.pointee.pw_gid)
        }
        keeper = try Self.start(programs, folder, first: true)
    }

    deinit {
        write("fast\n")
        close(keeper.input)
        Self.await(keeper.process)
        _ = try? Self.run(["rm", "-rf", folder])
    }

    /// Stops it. - Parameter mode: `fast` ends sessions in order, `immediate` is a crash.
    func stop(_ mode: String) {
        write("\(mode)\n")
        close(keeper.input)
        Self.await(keeper.process)
    }

    /// Starts it again on what is there.
    func start() throws { keeper = try Self.start(programs, folder, first: false) }

    /// Makes an empty database. - Returns: its name.
    func makeDatabase() throws -> String {
        let name = "plane_\(Self.databases.add(1, ordering: .relaxed).newValue)"
        try sql("CREATE DATABASE \(name)", in: "postgres")
        return name
    }

    /// The URL of a database.
    func url(of database: String) -> String { "postgres:///\(database)?host=\(folder)&user=postgres" }

    /// Runs statements. - Returns: their rows, columns apart by |.
    @discardableResult
    func sql(_ text: String, in database: String) throws -> String {
        try Self.run(["\(programs)/psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", url(of: database), "-c", text])
    }

    // MARK: Processes

    private static let databases = Atomic(0)

    private static func findPrograms() throws -> String {
        var found = glob_t()
        defer { globfree(&found) }
        guard glob("/usr/lib/postgresql/*/bin/initdb", 0, nil, &found) == 0,
            let last = found.gl_pathv[Int(found.gl_pathc) - 1]
        else { throw Failure(description: "PostgreSQL is not installed: apt-get install postgresql") }
        return String(String(cString: last).dropLast("/initdb".count))
    }

    private static func start(_ programs: String, _ folder: String, first: Bool) throws -> Keeper {
        let make = "'\(programs)/initdb' -D '\(folder)/data' -A trust -U postgres -E UTF8 --locale=C.UTF-8 --no-sync"
        let options = "-c listen_addresses= -c unix_socket_directories=\(folder) -c shared_buffers=32MB"
        let control = "'\(programs)/pg_ctl' -D '\(folder)/data' -s -w -t 60"
        // No word and no line: the test's process is gone, so nobody else cleans up.
        let script = """
            cd '\(folder)' || exit 1
            \(first ? "\(make) >make.log 2>&1 || { cat make.log; exit 1; }" : "")
            \(control) -o "\(options)" -l log start </dev/null || { cat log; exit 1; }
            echo ready
            read mode || gone=yes
            \(control) -m "${mode:-immediate}" stop
            if [ "$gone" ]; then rm -rf '\(folder)'; fi
            """
        let shell = ["sh", "-c", script]
        let user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        var (input, output): ([Int32], [Int32]) = ([-1, -1], [-1, -1])
        guard pipe(&input) == 0, pipe(&output) == 0 else { throw Failure(description: "pipe failed with \(errno)") }
        for end in [input[1], output[0]] { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let process = try spawn((geteuid() == 0 ? user : []) + shell, input: input[0], output: output[1])
        close(input[0])
        close(output[1])
        defer { close(output[0]) }
        let said = readAll(output[0], until: "ready\n")
        guard said.hasSuffix("ready\n") else {
            close(input[1])
            Self.await(process)
            throw Failure(description: "PostgreSQL did not start: \(said)")
        }
        return Keeper(process: process, input: input[1])
    }

    private func write(_ text: String) { _ = Glibc.write(keeper.input, text, text.utf8.count) }

    private static func run(_ arguments: [String]) throws -> String {
        var output: [Int32] = [-1, -1]
        guard pipe(&output) == 0 else { throw Failure(description: "pipe failed with \(errno)") }
        _ = fcntl(output[0], F_SETFD, FD_CLOEXEC)
        let process = try spawn(arguments, input: nil, output: output[1])
        close(output[1])
        let said = readAll(output[0], until: nil)
        close(output[0])
        guard Self.await(process) == 0 else { throw Failure(description: "\(arguments) failed: \(said)") }
        return said.hasSuffix("\n") ? String(said.dropLast()) : said
    }

    private static func spawn(_ arguments: [String], input: Int32?, output: Int32) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if let input {
            posix_spawn_file_actions_adddup2(&actions, input, 0)
            posix_spawn_file_actions_addclose(&actions, input)
        }
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        posix_spawn_file_actions_adddup2(&actions, output, 2)
        posix_spawn_file_actions_addclose(&actions, output)
        let texts = arguments.map { strdup($0) }
        defer { for text in texts { free(text) } }
        var process = pid_t()
        let code = posix_spawnp(&process, arguments[0], &actions, nil, texts + [nil], environ)
        if code != 0 { throw Failure(description: "cannot run \(arguments[0]): error \(code)") }
        return process
    }

    private static func readAll(_ descriptor: Int32, until mark: String?) -> String {
        var bytes: [UInt8] = []
        var byte: UInt8 = 0
        while read(descriptor, &byte, 1) == 1 {
            bytes.append(byte)
            if let mark, bytes.suffix(mark.utf8.count) == Array(mark.utf8)[...] { break }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    @discardableResult
    private static func await(_ process: pid_t) -> Int32 {
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0 && errno == EINTR {}
        return status
    }
}

/// A database on the tests' server.
final class PostgresSite: StoreSite {
    let isShared = true
    let url: PostgresURL
    private let server: PostgresServer
    private let database: String

    init(_ server: PostgresServer) throws {
        self.server = server
        database = try server.makeDatabase()
        url = try PostgresURL(server.url(of: database))
    }

    convenience init() throws { try self.init(try PostgresServer.shared.get()) }

    func open() throws -> any Store { try store() }

    /// Opens it as the controller of a name, with limits of its own.
    func store(_ writer: String = "co-1", _ limits: PostgresLimits = PostgresLimits()) throws -> PostgresStore {
        try PostgresStore(url: url, writer: writer, limits: limits)
    }

    /// Runs statements on it, beside all stores.
    @discardableResult
    func sql(_ text: String) throws -> String { try server.sql(text, in: database) }

    /// Ends all sessions on it, as an administrator does.
    func endSessions() throws {
        try sql(
            """
            SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()
            """)
    }

    /// The process that serves the one session on it.
    func servingProcess() throws -> pid_t {
        let found = try sql(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
        guard let process = pid_t(found) else {
            throw PostgresServer.Failure(description: "not one session is there: \(found)")
        }
        return process
    }
}

/// A thread of a test, which waits for its end.
final class TestThread: @unchecked Sendable {
    private let body: @Sendable () -> Void
    private var thread = pthread_t()

    init(_ body: @escaping @Sendable () -> Void) {
        self.body = body
        let code = pthread_create(
            &thread, nil,
            { context in
                guard let context else { preconditionFailure("pthread_create(3) passes its argument") }
                Unmanaged<TestThread>.fromOpaque(context).takeRetainedValue().body()
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
        precondition(code == 0, "no thread for a test")
    }

    func join() { pthread_join(thread, nil) }
}

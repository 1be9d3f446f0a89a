internal import CPostgres
import Glibc

/// A connection to a PostgreSQL server. Used by one thread, and no call on it waits longer than it is told to.
///
/// It stays in libpq's pipeline mode: statements are queued without waiting and answered together, so that what needs no
/// answer of its own costs no round trip. A failure drops all that was queued after it, up to the end of the same `run`.
/// postgresql.org/docs/15/libpq-pipeline-mode.html
final class PostgresConnection {
    private let handle: OpaquePointer
    private let url: PostgresURL
    private let answerMilliseconds: Int64
    private let interrupt: Int32?
    /// Statements that the server has parsed, by their text, and the names it knows them by.
    private var prepared: [String: String] = [:]
    /// Names ever given; none is given twice.
    private var nameCount = 0
    /// What was sent and not answered yet, oldest first.
    private var pending: [Pending] = []
    /// Why nothing can be sent any more; nil as long as the connection works.
    private(set) var breakage: StoreError?

    private enum Pending {
        case preparation(sql: String, name: String)
        case statement(sql: String)
    }

    /// Connects.
    /// - Parameters:
    ///   - url: of the server.
    ///   - connectMilliseconds: longest wait until the server lets us in. The look-up of its name is not counted: that has
    ///     the resolver's own limit.
    ///   - answerMilliseconds: longest wait for any answer; then the connection is given up.
    ///   - interrupt: a descriptor that ends every wait when it is readable, as if the time were over; nil for none.
    init(
        _ url: PostgresURL, connectMilliseconds: Int64, answerMilliseconds: Int64, interrupt: Int32? = nil
    ) throws(StoreError) {
        self.url = url
        self.interrupt = interrupt
        self.answerMilliseconds = answerMilliseconds
        guard let handle = Self.start(url) else {
            throw StoreError(.other, message: "no memory for a connection to \(url)")
        }
        do throws(StoreError) {
            try Self.connect(handle, url, until: MonotonicTime.now + connectMilliseconds, unless: interrupt)
        } catch {
            plane_PQfinish(handle)
            throw error
        }
        self.handle = handle
    }

    deinit { plane_PQfinish(handle) }

    // MARK: Statements

    /// Queues a statement. A failure of it is thrown by the next `run`, of which it is a part.
    func queue(_ sql: String, _ parameters: PostgresParameters = []) { send(sql, parameters) }

    /// Sends a statement with all that is queued and waits for the answers. - Returns: its own.
    func run(_ sql: String, _ parameters: PostgresParameters = []) throws(StoreError) -> PostgresResult {
        if parameters.hasZeroByte {
            throw StoreError(
                .other, message: "a text has a zero byte in it, which PostgreSQL cannot keep", statement: sql)
        }
        send(sql, parameters)
        if breakage == nil && plane_PQpipelineSync(handle) != 1 { breakage = ownWords }
        if let breakage { throw breakage }
        return try answers()
    }

    private func send(_ sql: String, _ parameters: PostgresParameters) {
        guard breakage == nil else { return }
        if let name = prepared[sql] ?? prepare(sql) {
            let sent = parameters.withPointers { count, values in
                plane_PQsendQueryPrepared(handle, name, count, values, nil, nil, 0)
            }
            if sent == 1 { return pending.append(.statement(sql: sql)) }
        }
        breakage = ownWords
    }

    /// Queues that a statement be parsed; the server keeps it for the life of the connection. - Returns: its name.
    private func prepare(_ sql: String) -> String? {
        for case .preparation(sql, let name) in pending { return name }
        nameCount += 1
        let name = "s\(nameCount)"
        guard plane_PQsendPrepare(handle, name, sql, 0, nil) == 1 else { return nil }
        pending.append(.preparation(sql: sql, name: name))
        return name
    }

    /// Takes the answers to all that is pending. - Returns: the last one. - Throws: the first failure among them.
    private func answers() throws(StoreError) -> PostgresResult {
        let deadline = MonotonicTime.now + answerMilliseconds
        var failure: StoreError?
        let last: PostgresResult
        do throws(StoreError) {
            last = try answers(until: deadline, firstFailure: &failure)
        } catch {
            // A server that ends the session says why before the connection is gone.
            breakage = failure ?? error
            throw failure ?? error
        }
        if let failure { throw failure }
        return last
    }

    /// - Throws: what broke the connection.
    private func answers(until deadline: Int64, firstFailure: inout StoreError?) throws(StoreError) -> PostgresResult {
        let asked = pending
        pending = []
        var last: PostgresResult?
        for item in asked {
            guard let result = try result(until: deadline) else {
                throw StoreError(.other, message: "\(url) gave no answer to a statement")
            }
            switch (item, result.problem(saidBy: url)) {
            case (.preparation(let sql, let name), nil): prepared[sql] = name
            case (.statement, nil): break
            case (.preparation(let sql, _), let problem?), (.statement(let sql), let problem?):
                firstFailure = firstFailure ?? problem.within(sql)
            }
            last = consume result
            // A statement's only result is followed by the end of its results.
            _ = try self.result(until: deadline)
        }
        // The answer to the sync.
        _ = try result(until: deadline)
        guard let last else { preconditionFailure("a run sends at least one statement") }
        return last
    }

    // MARK: Notices

    /// What poll(2) finds readable when the server has sent something unasked.
    var descriptor: Int32 { plane_PQsocket(handle) }

    /// Takes in what the server sent unasked, without waiting. - Returns: payloads of notices, oldest first.
    func takeNotices() throws(StoreError) -> [String] {
        if breakage == nil && plane_PQconsumeInput(handle) == 0 { breakage = ownWords }
        if let breakage { throw breakage }
        var payloads: [String] = []
        while let notice = plane_PQnotifies(handle) {
            payloads.append(String(cString: notice.pointee.extra))
            plane_PQfreemem(notice)
        }
        return payloads
    }

    // MARK: Waiting

    /// The next result; nil is the end of a statement's results.
    private func result(until deadline: Int64) throws(StoreError) -> PostgresResult? {
        while true {
            let flushed = plane_PQflush(handle)
            let isBusy = plane_PQisBusy(handle) == 1
            if flushed <= 0 && !isBusy { break }
            let events = Int16(flushed == 1 ? POLLIN | POLLOUT : POLLIN)
            guard MonotonicTime.wait(for: events, on: plane_PQsocket(handle), until: deadline, unless: interrupt) else {
                throw StoreError(.busy, message: "\(url) did not answer within \(answerMilliseconds) ms")
            }
            if plane_PQconsumeInput(handle) == 0 { break }
        }
        let result = plane_PQgetResult(handle).map { PostgresResult($0) }
        if Int(plane_PQstatus(handle)) == PLANE_CONNECTION_BAD {
            throw result?.problem(saidBy: url) ?? ownWords
        }
        return result
    }

    /// What libpq has to say about the connection.
    private var ownWords: StoreError {
        let message = url.redacted(String(cString: plane_PQerrorMessage(handle)))
        return StoreError(.busy, message: "the connection to \(url) is lost: \(message)")
    }
}

extension PostgresConnection {
    // MARK: Connecting

    private static func start(_ url: PostgresURL) -> OpaquePointer? {
        // What stands before the URL holds unless the URL says otherwise, what stands after holds in any case.
        let options = [
            ("fallback_application_name", "plane"),
            // A primary of several hosts: a standby cannot be written to.
            ("target_session_attrs", "read-write"),
            // A server that is gone without a word is noticed within about ten seconds.
            ("keepalives_idle", "4"), ("keepalives_interval", "2"), ("keepalives_count", "3"),
            ("tcp_user_timeout", "10000"),
            ("dbname", url.text),
            ("client_encoding", "UTF8"),
        ]
        let names = options.map { strdup($0.0) }
        let values = options.map { strdup($0.1) }
        defer { for text in names + values { free(text) } }
        return (names + [nil]).map { UnsafePointer($0) }.withUnsafeBufferPointer { names in
            (values + [nil]).map { UnsafePointer($0) }.withUnsafeBufferPointer { values in
                plane_PQconnectStartParams(names.baseAddress, values.baseAddress, 1)
            }
        }
    }

    private static func connect(
        _ handle: OpaquePointer, _ url: PostgresURL, until deadline: Int64, unless interrupt: Int32?
    ) throws(StoreError) {
        // Before anything has been polled it counts as waiting to write.
        var step = PLANE_PGRES_POLLING_WRITING
        while step != PLANE_PGRES_POLLING_OK {
            guard Int(plane_PQstatus(handle)) != PLANE_CONNECTION_BAD, step != PLANE_PGRES_POLLING_FAILED else {
                throw unreachable(handle, url)
            }
            let events = step == PLANE_PGRES_POLLING_READING ? POLLIN : POLLOUT
            guard MonotonicTime.wait(for: Int16(events), on: plane_PQsocket(handle), until: deadline, unless: interrupt)
            else {
                throw StoreError(.busy, message: "cannot connect to \(url): it did not answer in time")
            }
            step = Int(plane_PQconnectPoll(handle))
        }
        plane_postgres_silence(handle)
        guard plane_PQserverVersion(handle) >= 120_000 else {
            throw StoreError(
                .other,
                message: "\(url) is PostgreSQL \(plane_PQserverVersion(handle) / 10_000); Plane needs 12 or newer")
        }
        guard plane_PQsetnonblocking(handle, 1) == 0, plane_PQenterPipelineMode(handle) == 1 else {
            throw unreachable(handle, url)
        }
    }

    private static func unreachable(_ handle: OpaquePointer, _ url: PostgresURL) -> StoreError {
        StoreError(
            .busy, message: "cannot connect to \(url): \(url.redacted(String(cString: plane_PQerrorMessage(handle))))")
    }
}

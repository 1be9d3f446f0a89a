import Glibc
import HTTP
import Linux
import Model

/// One line of a backend's history as the controller tells it.
struct ToldStatus {
    let status: BackendStatus
    let millisecondsSinceEpoch: Int64
    /// Why it ends: the reason's name and a sentence; nil while there is nothing to say.
    let explanation: String?
    /// What it used in its life, a sentence; nil until it has ended.
    let usage: String?
    let isFailure: Bool
    let json: JSONValue

    init(_ json: JSONValue) throws(InvalidValue) {
        self.json = json
        var reader = try JSONReader(json)
        let text = try reader.string("status") ?? ""
        guard let status = BackendStatus(rawValue: text) else {
            throw InvalidValue(field: "status", problem: "\"\(text)\" is not known; plane is older than the controller")
        }
        self.status = status
        millisecondsSinceEpoch = try reader.integer("time", in: 0...Int64.max) ?? 0
        // A controller of an older Plane tells only the reference's reasons.
        let (reason, termination) = (try reader.string("end_reason"), try reader.string("termination_reason"))
        let parts = [reason ?? termination, try reader.string("message")].compactMap { $0 }
        explanation = parts.isEmpty ? nil : parts.joined(separator: ": ")
        if let used = try reader.object("usage") { usage = try Self.sentence(used) } else { usage = nil }
        isFailure = try reader.bool("exit_error") ?? false
    }

    private static func sentence(_ usage: JSONReader) throws(InvalidValue) -> String {
        var object = usage
        let microseconds = try object.integer("cpu_microseconds", in: 0...Int64.max) ?? 0
        let time = "It used \(ElapsedTime.text(.microseconds(microseconds))) of processor time"
        guard let bytes = try object.integer("memory_peak_bytes", in: 0...Int64.max) else {
            return "\(time); how much memory is not known, as the machine does not count it."
        }
        // Rounded up: a peak that is told must not be below the true one.
        return "\(time) and at most \((bytes >> 20) + (bytes & 0xF_FFFF == 0 ? 0 : 1)) MiB of memory."
    }

    /// `ready at 2026-01-31T12:00:00Z`.
    var line: String {
        let tail = explanation.map { " (\($0))" } ?? ""
        return "\(status.rawValue) at \(Self.time(millisecondsSinceEpoch))\(tail)"
    }

    private static func time(_ milliseconds: Int64) -> String {
        var seconds = time_t(milliseconds / 1000)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        var buffer = [CChar](repeating: 0, count: 32)
        let count = strftime(&buffer, buffer.count, "%Y-%m-%dT%H:%M:%SZ", &parts)
        return String(decoding: buffer[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}

/// Reads a backend's status stream until it tells what is waited for.
enum StatusFollower {
    /// - Parameters:
    ///   - url: of the stream.
    ///   - show: each entry, in order.
    ///   - isEnough: whether an entry is what was waited for.
    /// - Returns: that entry. A terminated backend has no further ones, so it is returned in any case.
    static func follow(
        _ url: HTTPURL, show: @escaping (ToldStatus) -> Void, until isEnough: @escaping (ToldStatus) -> Bool
    ) throws -> ToldStatus {
        let loop = try EventLoop()
        let client = HTTPClient(loop: loop)
        var outcome: Result<ToldStatus, CommandFailure>?
        var lastID: String?
        var attemptsLeft = 5
        var call: HTTPClient.Call?

        func finish(_ result: Result<ToldStatus, CommandFailure>) {
            outcome = outcome ?? result
            call?.cancel()
            loop.stop()
        }
        func received(_ event: ServerSentEvent) {
            lastID = event.id ?? lastID
            attemptsLeft = 5
            do {
                let entry = try ToldStatus(JSONValue(parsing: Array(event.data.utf8)))
                show(entry)
                if isEnough(entry) || entry.status == .terminated { finish(.success(entry)) }
            } catch {
                finish(.failure(CommandFailure("\(url) told something that is no status: \(error)")))
            }
        }
        func open() {
            call = client.events(url, lastEventID: lastID, deadline: .seconds(10), onEvent: received) { error in
                // The stream may break when the controller restarts; what was seen is not told again.
                attemptsLeft -= 1
                if case .notGranted? = error { attemptsLeft = 0 }
                guard attemptsLeft > 0 else {
                    let reason = error.map { "\($0)" } ?? "\(url) ended before the status was there"
                    return finish(.failure(CommandFailure(reason)))
                }
                loop.schedule(after: .seconds(1), open)
            }
        }
        open()
        try loop.run()
        guard let outcome else { preconditionFailure("the loop stops only with an outcome") }
        return try outcome.get()
    }
}

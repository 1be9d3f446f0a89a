import FoundationEssentials
import Linux
import Model

/// What a restarted drone must know of a backend that still runs. The warden keeps it and gives it back in its list.
struct BackendNote: Codable, Equatable, Sendable {
    /// The key's name, for messages.
    var keyName: String
    /// The port its command listens on.
    var port: UInt16
    /// Until when the port had to answer, nanoseconds of this machine's boot clock.
    var startupDeadline: UInt64
    /// Seconds between SIGTERM and SIGKILL.
    var graceSeconds: UInt32
    /// Seconds without use until it is swept; nil never.
    var maxIdleSeconds: Int64?
    /// When it is swept however busy, nanoseconds of this machine's boot clock; nil never.
    var lifetimeEnd: UInt64?

    /// Its bytes in a spawn request: JSON, far below the 4 KiB that the warden takes.
    func encoded() -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        do { return Array(try encoder.encode(self)) } catch {
            preconditionFailure("a note of our own cannot be encoded: \(error)")
        }
    }

    /// Reads what `encoded` wrote; nil for a note of another version of the program.
    init?(_ bytes: [UInt8]) {
        guard let note = try? JSONDecoder().decode(BackendNote.self, from: Data(bytes)) else { return nil }
        self = note
    }

    init(
        keyName: String, port: UInt16, startupDeadline: BootInstant, graceSeconds: UInt32,
        maxIdleSeconds: Int64?, lifetimeEnd: BootInstant?
    ) {
        self.keyName = keyName
        self.port = port
        self.startupDeadline = startupDeadline.nanoseconds
        self.graceSeconds = graceSeconds
        self.maxIdleSeconds = maxIdleSeconds
        self.lifetimeEnd = lifetimeEnd?.nanoseconds
    }

    /// The terms that it was started under. The startup timeout is only told to people, in whole seconds.
    func terms(startupTimeout: Duration) -> BackendLifecycle.Terms {
        BackendLifecycle.Terms(
            port: port, startupTimeout: startupTimeout, grace: .seconds(Int64(graceSeconds)),
            lifetimeEnd: lifetimeEnd.map(BootInstant.init(nanoseconds:)))
    }
}

import FoundationEssentials
package import Linux
import Model

/// What a restarted drone must know of a backend that still runs. The warden keeps it and gives it back in its list.
package struct BackendNote: Codable, Equatable, Sendable {
    /// The key's name, for messages.
    package var keyName: String
    /// The port its command listens on.
    package var port: UInt16
    /// The port that is asked whether its command is ready.
    package var readinessPort: UInt16
    /// What is asked for there; nil takes any answer.
    package var readinessPath: String?
    /// Until when it had to be ready, nanoseconds of this machine's boot clock.
    package var startupDeadline: UInt64
    /// Seconds between SIGTERM and SIGKILL.
    package var graceSeconds: UInt32
    /// Seconds without use until it is swept; nil never.
    package var maxIdleSeconds: Int64?
    /// When it is swept however busy, nanoseconds of this machine's boot clock; nil never.
    package var lifetimeEnd: UInt64?

    /// Its bytes in a spawn request: JSON, far below the 4 KiB that the warden takes.
    package func encoded() -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .withoutEscapingSlashes
        do { return Array(try encoder.encode(self)) } catch {
            preconditionFailure("a note of our own cannot be encoded: \(error)")
        }
    }

    /// Reads what `encoded` wrote; nil for a note of another version of the program.
    package init?(_ bytes: [UInt8]) {
        guard let note = try? JSONDecoder().decode(BackendNote.self, from: Data(bytes)) else { return nil }
        self = note
    }

    package init(
        keyName: String, terms: BackendLifecycle.Terms, startupDeadline: BootInstant, maxIdleSeconds: Int64?
    ) {
        self.keyName = keyName
        port = terms.port
        readinessPort = terms.readiness.port
        readinessPath = terms.readiness.path
        self.startupDeadline = startupDeadline.nanoseconds
        graceSeconds = UInt32(clamping: terms.grace.components.seconds)
        self.maxIdleSeconds = maxIdleSeconds
        lifetimeEnd = terms.lifetimeEnd?.nanoseconds
    }

    /// The terms that it was started under.
    /// - Parameter timeoutSeconds: only told to people; what holds is the deadline.
    package func terms(timeoutSeconds: UInt32) -> BackendLifecycle.Terms {
        BackendLifecycle.Terms(
            port: port,
            readiness: SandboxPlan.Readiness(
                port: readinessPort, path: readinessPath, timeoutSeconds: timeoutSeconds),
            grace: .seconds(Int64(graceSeconds)), lifetimeEnd: lifetimeEnd.map(BootInstant.init(nanoseconds:)))
    }
}

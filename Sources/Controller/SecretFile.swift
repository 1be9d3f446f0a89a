import Glibc
import Linux
public import Model

/// Reads a file of secrets, which must be nobody else's to read.
public enum SecretFile {
    /// Why a file of secrets is not taken, with a sentence that names it and says what to do.
    public struct Unusable: Error, Equatable, Sendable, CustomStringConvertible {
        /// The sentence.
        public let description: String
    }

    /// Bytes of a file: several thousand secrets.
    static let bytesMax = 1 << 20

    /// The file's secrets.
    public static func read(_ path: String) throws(Unusable) -> SecretLines { try readWithStatus(path).lines }

    /// The file's secrets, and what the file was when they were read.
    static func readWithStatus(_ path: String) throws(Unusable) -> (lines: SecretLines, status: FileStatus) {
        let status: FileStatus
        let bytes: [UInt8]
        do throws(SystemError) {
            // Neither a pipe that nobody writes nor a terminal may hold the reader up.
            let file = try File.open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY)
            status = try File.status(file)
            bytes = status.kind == .regular ? try file.readAll(limit: bytesMax) : []
        } catch {
            throw Unusable(description: sentence(path, error, caller: geteuid()))
        }
        if let problem = problem(status, caller: geteuid()) { throw Unusable(description: "\(path) \(problem)") }
        do throws(InvalidValue) {
            return (try SecretLines(parsing: String(decoding: bytes, as: UTF8.self)), status)
        } catch {
            throw Unusable(description: "\(path): \(error)")
        }
    }

    private static func sentence(_ path: String, _ error: SystemError, caller: UInt32) -> String {
        guard error.code == EACCES else { return "\(path) cannot be read: \(error)" }
        return "\(path) may not be read by user \(caller), as whom this runs. "
            + "Make it that user's: chown \(caller) \(path)"
    }

    /// What the file is now, links followed; nil when there is none.
    static func status(_ path: String) -> FileStatus? {
        guard let place = try? File.open(path, File.pathOnly) else { return nil }
        return try? File.status(place)
    }

    /// What is wrong with a file by what it is, as the rest of a sentence that begins with its path. Pure.
    static func problem(_ status: FileStatus, caller: UInt32) -> String? {
        guard status.kind == .regular else { return "is not a file of text" }
        guard status.userID == 0 || status.userID == caller else {
            return
                "belongs to user \(status.userID); secrets must belong to root or to user \(caller), as whom this runs"
        }
        guard status.mode & 0o077 == 0 else {
            return "may be read or changed by others (mode \(String(status.mode, radix: 8))); say chmod 600"
        }
        return nil
    }
}

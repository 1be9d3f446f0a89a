import Linux
import Model

/// A file of secrets that is read again when it has changed, so that a secret can be given or taken without a restart.
///
/// It is looked at when somebody shows a secret, at most once a second. A file that is broken, or gone, changes nothing:
/// the secrets of before hold on, and the log says so once for each state of the file.
final class WatchedSecrets<Owner: Sendable> {
    private let path: String
    private let make: (SecretLines) throws(InvalidValue) -> SecretTable<Owner>
    private var held: Content
    private var lookedAt: BootInstant
    private var complaint: String?

    private struct Content {
        var lines: SecretLines
        var table: SecretTable<Owner>
        /// What the file was when it was read; nil when it is to be read again in any case.
        var file: FileStatus?
    }

    /// How long what was found holds without another look.
    static var lookInterval: Duration { .seconds(1) }
    /// A file that is changed again so soon may look the same as before, since clocks of file systems tick.
    static var settlingMilliseconds: Int64 { 2000 }

    /// Reads the file for the first time. It must be right then.
    /// - Parameter make: the table of its lines.
    init(
        _ path: String, now: BootInstant,
        make: @escaping (SecretLines) throws(InvalidValue) -> SecretTable<Owner>
    ) throws(SecretFile.Unusable) {
        self.path = path
        self.make = make
        held = try Self.read(path, make)
        lookedAt = now
    }

    /// The secrets that hold now.
    func current(now: BootInstant) -> SecretTable<Owner> {
        if now - lookedAt >= Self.lookInterval {
            lookedAt = now
            look()
        }
        return held.table
    }

    private func look() {
        if let file = held.file, file == SecretFile.status(path) { return }
        do throws(SecretFile.Unusable) {
            let fresh = try Self.read(path, make)
            if complaint != nil || fresh.lines != held.lines {
                Log.write(
                    .info, "secrets-read",
                    ["file": path, "before": "\(held.table.count)", "now": "\(fresh.table.count)"])
            }
            held = fresh
            complaint = nil
        } catch {
            guard complaint != error.description else { return }
            complaint = error.description
            Log.write(.error, "secrets-not-read", ["reason": error.description, "instead": "those of before hold on"])
        }
    }

    private static func read(
        _ path: String, _ make: (SecretLines) throws(InvalidValue) -> SecretTable<Owner>
    ) throws(SecretFile.Unusable) -> Content {
        let (lines, file) = try SecretFile.readWithStatus(path)
        let age = WallClock.millisecondsSinceEpoch - file.modified / 1_000_000
        do throws(InvalidValue) {
            return Content(
                lines: lines, table: try make(lines), file: (0...settlingMilliseconds).contains(age) ? nil : file)
        } catch {
            throw SecretFile.Unusable(description: "\(path): \(error)")
        }
    }
}

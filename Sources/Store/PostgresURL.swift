internal import CPostgres

/// Where a PostgreSQL server is and how to be let in, as libpq understands it: `postgres://USER:PASSWORD@HOST:PORT/DATABASE`
/// with options after `?`. postgresql.org/docs/15/libpq-connect.html#LIBPQ-CONNSTRING
///
/// A password may be in it, so its text never gets into a log: `description` leaves it out, and everything that libpq says
/// passes `redacted`. A password that is not in it is taken from PGPASSWORD or ~/.pgpass, which `ps` does not show.
public struct PostgresURL: Sendable, CustomStringConvertible {
    /// All of it, secrets included.
    let text: String
    /// User, host, port and database.
    public let description: String
    private let secrets: [String]

    /// Whether a `--db` means PostgreSQL and not a file.
    public static func isOne(_ text: String) -> Bool {
        text.hasPrefix("postgres://") || text.hasPrefix("postgresql://")
    }

    /// Loads libpq and checks the form of the URL; nothing is connected yet.
    public init(_ text: String) throws(StoreError) {
        try PostgresLibrary.load()
        guard Self.isOne(text), let options = Self.parse(text) else { throw Self.malformed }
        let (host, database) = (options["host"] ?? options["hostaddr"] ?? "", options["dbname"] ?? "")
        let port = options["port"] ?? ""
        // A / or @ of a password that is not written as %2F or %40 ends up in one of these, and from there in messages.
        guard !database.contains("@"), !host.contains("@"), port.utf8.allSatisfy({ (48...57).contains($0) || $0 == 44 })
        else { throw Self.malformed }
        self.text = text
        secrets = ["password", "sslpassword"].compactMap { options[$0] }.filter { !$0.isEmpty }
        description =
            "postgres://" + (options["user"].map { "\($0)@" } ?? "") + host + (port.isEmpty ? "" : ":\(port)")
            + "/\(database)"
    }

    /// What libpq or the server said, as one line without anything secret.
    func redacted(_ message: String) -> String {
        var line = message.split(whereSeparator: \.isNewline).joined(separator: " ")
        for secret in secrets { line = Self.replacing(secret, in: line) }
        return line
    }

    /// libpq's own message repeats the URL, so it is not passed on.
    private static let malformed = StoreError(
        .other,
        message:
            "the database's URL is not one that libpq understands. Write postgres://USER:PASSWORD@HOST:PORT/DATABASE, "
            + "with / @ : ? # and % of the user and password as %2F %40 %3A %3F %23 and %25")

    /// The options that the URL sets; nil when libpq does not understand it.
    private static func parse(_ text: String) -> [String: String]? {
        var message: UnsafeMutablePointer<CChar>?
        guard let options = plane_PQconninfoParse(text, &message) else {
            plane_PQfreemem(message)
            return nil
        }
        defer { plane_PQconninfoFree(options) }
        var found: [String: String] = [:]
        var option = options
        while let keyword = option.pointee.keyword {
            if let value = option.pointee.val { found[String(cString: keyword)] = String(cString: value) }
            option += 1
        }
        return found
    }

    private static func replacing(_ secret: String, in line: String) -> String {
        var rest = Array(line.utf8)[...]
        let wanted = Array(secret.utf8)
        var text: [UInt8] = []
        while !rest.isEmpty {
            if rest.starts(with: wanted) {
                text += Array("***".utf8)
                rest = rest.dropFirst(wanted.count)
            } else {
                text.append(rest.removeFirst())
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}

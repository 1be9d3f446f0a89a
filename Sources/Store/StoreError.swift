/// Why the store did not do something. Holds the statement's text but never a value bound to it, so that no token and
/// no user's name gets into a log.
public struct StoreError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What a caller may want to tell apart.
    public enum Kind: Equatable, Sendable {
        /// Another process holds the database.
        case busy
        /// The disk or a size limit is reached.
        case full
        /// A row that must be unique or must refer to another one is not: two writers met, or the caller is wrong.
        case conflict
        /// What was read is not what this program writes.
        case corrupt
        /// The database was written by a newer Plane.
        case newerSchema
        /// The database's tables are not those that its version says.
        case otherSchema
        /// Too many jobs wait already.
        case overloaded
        /// The store is being closed.
        case stopped
        /// Anything else; the message says what.
        case other
    }

    /// What a caller may want to tell apart.
    public let kind: Kind
    /// SQLite's extended result code, sqlite.org/rescode.html; 0 when it is not SQLite's error.
    public let code: Int32
    /// A sentence for a person.
    public let message: String
    /// The statement's text, with parameters as `?`; nil when no statement was involved.
    public let statement: String?

    /// - Parameters: as the properties say.
    public init(_ kind: Kind, code: Int32 = 0, message: String, statement: String? = nil) {
        self.kind = kind
        self.code = code
        self.message = message
        self.statement = statement
    }

    public var description: String {
        var text = message
        if code != 0 { text += " (SQLite result \(code))" }
        if let statement { text += " in: \(statement)" }
        return text
    }
}

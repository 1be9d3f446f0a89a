internal import CPostgres
import Glibc

/// What a statement gave, owned.
struct PostgresResult: ~Copyable {
    private let handle: OpaquePointer

    init(_ handle: OpaquePointer) { self.handle = handle }

    deinit { plane_PQclear(handle) }

    /// How it went: PLANE_PGRES_….
    var status: Int { Int(plane_PQresultStatus(handle)) }

    /// The code of an error, five characters.
    var sqlState: String? { field(PLANE_PG_DIAG_SQLSTATE) }

    /// What an error says, without its detail and hint.
    var primaryMessage: String? { field(PLANE_PG_DIAG_MESSAGE_PRIMARY) }

    private func field(_ field: Int) -> String? {
        plane_PQresultErrorField(handle, Int32(field)).map { String(cString: $0) }
    }

    /// Rows that it returned.
    var rows: Range<Int32> { 0..<plane_PQntuples(handle) }

    /// Rows that it wrote.
    var changes: Int { atol(plane_PQcmdTuples(handle)) }

    /// The command as the server names what it did: a COMMIT of a failed transaction says ROLLBACK.
    var command: String { String(cString: plane_PQcmdStatus(handle)) }

    /// A value, both from 0; nil when it is NULL.
    func text(_ row: Int32, _ column: Int32) -> String? {
        value(row, column).map { String(cString: $0) }
    }

    /// A value, both from 0; nil when it is NULL.
    func integer(_ row: Int32, _ column: Int32) -> Int64? {
        value(row, column).map { Int64(strtoll($0, nil, 10)) }
    }

    /// A truth value, both from 0; false when it is NULL.
    func bool(_ row: Int32, _ column: Int32) -> Bool { value(row, column)?.pointee == CChar(UInt8(ascii: "t")) }

    /// Belongs to the result.
    private func value(_ row: Int32, _ column: Int32) -> UnsafeMutablePointer<CChar>? {
        plane_PQgetisnull(handle, row, column) == 0 ? plane_PQgetvalue(handle, row, column) : nil
    }
}

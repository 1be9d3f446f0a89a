internal import CPostgres

extension PostgresResult {
    /// Why the statement failed; nil when it did not.
    ///
    /// Only the primary message is kept: the detail repeats values, which may be secret.
    /// postgresql.org/docs/15/errcodes-appendix.html
    func problem(saidBy url: PostgresURL) -> StoreError? {
        switch status {
        case PLANE_PGRES_COMMAND_OK, PLANE_PGRES_TUPLES_OK, PLANE_PGRES_PIPELINE_SYNC, PLANE_PGRES_EMPTY_QUERY: nil
        case PLANE_PGRES_PIPELINE_ABORTED:
            StoreError(.other, message: "the statement was not run, as one before it failed")
        default:
            StoreError(
                Self.kind(sqlState ?? ""),
                message: "PostgreSQL says: \(url.redacted(primaryMessage ?? "nothing")) "
                    + "(SQLSTATE \(sqlState ?? "unknown"))")
        }
    }

    private static func kind(_ sqlState: String) -> StoreError.Kind {
        switch sqlState {
        // A lock was not given in time; statement_timeout; a deadlock.
        case "55P03", "57014", "40001", "40P01": .busy
        case "XX001", "XX002": .corrupt
        // A table, a column, a schema or a function that is not there.
        case "42P01", "42703", "3F000", "42883": .otherSchema
        default:
            switch sqlState.prefix(2) {
            // Connections, and a server that stops, starts, ends a session or may not be written to.
            case "08", "57", "25": .busy
            // Too many connections or too little memory are not for ever; a full disk may be.
            case "53": sqlState == "53100" ? .full : .busy
            case "54": .full
            case "23": .conflict
            default: .other
            }
        }
    }
}

extension StoreError {
    /// The same, of a statement.
    func within(_ sql: String) -> StoreError {
        StoreError(kind, code: code, message: message, statement: statement ?? sql)
    }
}

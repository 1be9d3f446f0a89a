internal import CPostgres

/// libpq, loaded when a database of PostgreSQL is first asked for: a controller on SQLite runs without it.
enum PostgresLibrary {
    /// Loads it; only the first call of a process does anything.
    static func load() throws(StoreError) {
        if let failure = plane_postgres_load() {
            throw StoreError(
                .other,
                message: "cannot load PostgreSQL's client library: \(String(cString: failure)). "
                    + "Install it, on Debian the package libpq5 of version 14 or newer, or give an SQLite file as --db")
        }
        guard plane_PQisthreadsafe() == 1 else {
            throw StoreError(
                .other, message: "the libpq of this machine was built without threads; install Debian's libpq5")
        }
    }
}

/// Makes a connection one of Plane's.
extension PostgresConnection {
    /// Connects, and sets what holds for all transactions. - Throws: also when the database is not one to write to.
    static func open(
        _ url: PostgresURL, _ limits: PostgresLimits, interrupt: Int32? = nil
    ) throws(StoreError) -> PostgresConnection {
        let connection = try PostgresConnection(
            url, connectMilliseconds: limits.connect, answerMilliseconds: limits.answer, interrupt: interrupt)
        let state = try connection.run(
            "SELECT current_setting('server_encoding'), pg_is_in_recovery(), current_setting('transaction_read_only')")
        guard state.text(0, 0) == "UTF8" else {
            throw StoreError(
                .other,
                message: "the database at \(url) is encoded in \(state.text(0, 0) ?? "nothing"); make one with "
                    + "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0")
        }
        guard !state.bool(0, 1), state.text(0, 2) == "off" else {
            throw StoreError(
                .busy, message: "\(url) is a standby or read-only: give the primary, or all hosts, host1,host2")
        }
        _ = try connection.run(Self.settings(limits))
        return connection
    }

    /// One statement of settings that hold until the connection ends.
    private static func settings(_ limits: PostgresLimits) -> String {
        let settings = [
            ("search_path", "plane"),
            ("lock_timeout", "\(limits.lock)"),
            ("statement_timeout", "\(limits.statement)"),
            ("idle_in_transaction_session_timeout", "\(limits.idleInTransaction)"),
            // The server notices, too, when a controller's machine is gone, and gives its lock away.
            ("tcp_keepalives_idle", "4"), ("tcp_keepalives_interval", "2"), ("tcp_keepalives_count", "3"),
            ("tcp_user_timeout", "10000"),
            // Every statement has an index. A table that was small when a statement was planned may be large now.
            ("enable_seqscan", "off"),
            ("plan_cache_mode", "force_generic_plan"),
            ("jit", "off"),
            ("default_transaction_isolation", "read committed"),
            ("default_transaction_deferrable", "off"),
        ]
        // A commit is on disk when it returns; what is stronger than that stays.
        let durable = """
            set_config('synchronous_commit', CASE current_setting('synchronous_commit')
                WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, false)
            """
        return "SELECT " + durable + settings.map { ", set_config('\($0.0)', '\($0.1)', false)" }.joined()
    }

    /// What of the server's configuration could lose a commit, as a sentence; nil when nothing could.
    func durabilityDoubt() throws(StoreError) -> String? {
        let found = try run("SELECT current_setting('fsync'), current_setting('full_page_writes')")
        let off = [("fsync", found.text(0, 0)), ("full_page_writes", found.text(0, 1))].filter { $0.1 != "on" }
        guard let first = off.first else { return nil }
        return "the PostgreSQL server has \(first.0) off: a crash of its machine can take back what was answered, "
            + "and a key can then be held twice. Switch it on in postgresql.conf"
    }
}

internal import Model

/// Drones, their sessions, and the controllers that they are connected to.
extension SQLiteTransaction {
    func drone(_ name: DroneName) throws(StoreError) -> DroneRow? {
        var statement = try connection.statement(
            "SELECT d.*, i.images FROM drone d LEFT JOIN drone_images i ON i.drone = d.name WHERE d.name = ?")
        try statement.bind(name.text)
        return try statement.step() ? try statement.droneRow(images) : nil
    }

    func drones(after name: DroneName?, limit: Int) throws(StoreError) -> [DroneRow] {
        var statement = try connection.statement(
            """
            SELECT d.*, i.images FROM drone d LEFT JOIN drone_images i ON i.drone = d.name
            WHERE d.name > ? ORDER BY d.name LIMIT ?
            """)
        try statement.bind(name?.text ?? "")
        try statement.bind(Int64(limit))
        var rows: [DroneRow] = []
        while try statement.step() { rows.append(try statement.droneRow(images)) }
        return rows
    }

    func greet(
        _ greeting: DroneGreeting, by controller: ControllerName, leaseMilliseconds: Int64
    ) throws(StoreError) -> DroneRow {
        var session = try session(of: greeting.name)
        if session == nil { session = try nextSession() }
        var statement = try connection.statement(
            """
            INSERT INTO drone (name, cluster, pool, version, process, machine, capacity_memory_bytes,
                capacity_cpu_millis, session, renewals, controller, revision, lease_ms, seen_ms)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, 0, ?, ?)
            ON CONFLICT (name) DO UPDATE SET
                lease_ms = iif(session IS NULL, excluded.lease_ms, max(lease_ms, excluded.lease_ms)), cluster = excluded.cluster, pool = excluded.pool,
                version = excluded.version, process = excluded.process, machine = excluded.machine,
                capacity_memory_bytes = excluded.capacity_memory_bytes,
                capacity_cpu_millis = excluded.capacity_cpu_millis, session = excluded.session,
                renewals = renewals + 1, controller = excluded.controller, seen_ms = excluded.seen_ms
            """)
        try statement.bind(greeting.name.text)
        try statement.bind(greeting.cluster.text)
        try statement.bind(greeting.pool)
        try statement.bind(greeting.version)
        try statement.bind(greeting.process)
        try statement.bind(greeting.machine.text)
        try statement.bind(greeting.capacity)
        try statement.bind(session)
        try statement.bind(controller.text)
        try statement.bind(leaseMilliseconds)
        try statement.bind(nowMilliseconds)
        try statement.run()
        try setImages(greeting.images, of: greeting.name)
        guard let row = try drone(greeting.name) else {
            throw StoreError(.corrupt, message: "a drone that was written is not there")
        }
        return row
    }

    private func session(of drone: DroneName) throws(StoreError) -> Int64? {
        var statement = try connection.statement("SELECT session FROM drone WHERE name = ?")
        try statement.bind(drone.text)
        return try statement.onlyInteger()
    }

    /// As with fencing tokens: the row is written in the transaction that uses its value.
    private func nextSession() throws(StoreError) -> Int64 {
        var statement = try connection.statement("UPDATE sequence SET session = session + 1 RETURNING session")
        guard let session = try statement.onlyInteger() else { throw Self.noSequence }
        return session
    }

    private func setImages(_ images: [OfferedImage], of drone: DroneName) throws(StoreError) {
        var statement = try connection.statement(
            """
            INSERT INTO drone_images (drone, images) VALUES (?, ?)
            ON CONFLICT (drone) DO UPDATE SET images = excluded.images WHERE images != excluded.images
            """)
        try statement.bind(drone.text)
        try statement.bind(StoredText.images(images))
        try statement.run()
    }

    func renew(
        _ drone: DroneName, _ session: SessionNumber, by controller: ControllerName
    ) throws(StoreError) -> Bool {
        var statement = try connection.statement(
            """
            UPDATE drone SET renewals = renewals + 1, seen_ms = ? WHERE name = ? AND session = ? AND controller = ?
            """)
        try statement.bind(nowMilliseconds)
        try statement.bind(drone.text)
        try statement.bind(session.value)
        try statement.bind(controller.text)
        try statement.run()
        return connection.changes > 0
    }

    func endSession(
        of drone: DroneName, _ session: SessionNumber, renewals: Int64
    ) throws(StoreError) -> Bool {
        var statement = try connection.statement(
            "UPDATE drone SET session = NULL WHERE name = ? AND session = ? AND renewals = ?")
        try statement.bind(drone.text)
        try statement.bind(session.value)
        try statement.bind(renewals)
        try statement.run()
        return connection.changes > 0
    }

    func unlink(_ drone: DroneName, from controller: ControllerName) throws(StoreError) {
        var statement = try connection.statement(
            "UPDATE drone SET controller = NULL WHERE name = ? AND controller = ?")
        try statement.bind(drone.text)
        try statement.bind(controller.text)
        try statement.run()
    }

    func seen(_ drones: [DroneName]) throws(StoreError) {
        for drone in drones {
            var statement = try connection.statement("UPDATE drone SET seen_ms = ? WHERE name = ?")
            try statement.bind(nowMilliseconds)
            try statement.bind(drone.text)
            try statement.run()
        }
    }

    func set(
        _ willingness: Willingness, of drone: DroneName, in cluster: ClusterName
    ) throws(StoreError) -> Willingness? {
        guard let row = try self.drone(drone), row.greeting.cluster == cluster else { return nil }
        if row.willingness == willingness { return willingness }
        let (draining, end): (Int64, Int64?) =
            switch willingness {
            case .accepting: (0, nil)
            case .draining(let end): (1, end)
            }
        var statement = try connection.statement("UPDATE drone SET draining = ?, end_at_ms = ? WHERE name = ?")
        try statement.bind(draining)
        try statement.bind(end)
        try statement.bind(drone.text)
        try statement.run()
        return row.willingness
    }

    // MARK: Controllers

    func beat(_ controller: ControllerName, version: String) throws(StoreError) {
        var statement = try connection.statement(
            """
            INSERT INTO controller (name, version, beats, seen_ms) VALUES (?, ?, 1, ?)
            ON CONFLICT (name) DO UPDATE SET version = excluded.version, beats = beats + 1, seen_ms = excluded.seen_ms
            """)
        try statement.bind(controller.text)
        try statement.bind(version)
        try statement.bind(nowMilliseconds)
        try statement.run()
    }

    func controllers() throws(StoreError) -> [ControllerRow] {
        var statement = try connection.statement("SELECT name, version, beats, seen_ms FROM controller ORDER BY name")
        var rows: [ControllerRow] = []
        while try statement.step() {
            let name = try StoredText.checked { () throws(InvalidValue) in try ControllerName(statement.text(0) ?? "") }
            rows.append(
                ControllerRow(
                    name: name, version: statement.text(1) ?? "", beats: statement.integer(2) ?? 0,
                    seenMilliseconds: statement.integer(3) ?? 0))
        }
        return rows
    }

    func leave(_ controller: ControllerName) throws(StoreError) {
        var statement = try connection.statement("DELETE FROM controller WHERE name = ?")
        try statement.bind(controller.text)
        try statement.run()
        var drones = try connection.statement("UPDATE drone SET controller = NULL WHERE controller = ?")
        try drones.bind(controller.text)
        try drones.run()
    }
}

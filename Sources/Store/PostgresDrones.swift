internal import Model

/// Drones, their sessions, and the controllers that they are connected to.
extension PostgresTransaction {
    func drone(_ name: DroneName) throws(StoreError) -> DroneRow? {
        let found = try read("\(PostgresRows.drone) WHERE name = $1", [.text(name.text)])
        return found.rows.isEmpty ? nil : try found.droneRow(0, images)
    }

    func drones(after name: DroneName?, limit: Int) throws(StoreError) -> [DroneRow] {
        let found = try read(
            "\(PostgresRows.drone) WHERE name > $1 ORDER BY name LIMIT $2",
            [.text(name?.text ?? ""), .integer(Int64(limit))])
        var drones: [DroneRow] = []
        for row in found.rows { drones.append(try found.droneRow(row, images)) }
        return drones
    }

    func greet(
        _ greeting: DroneGreeting, by controller: ControllerName, leaseMilliseconds: Int64
    ) throws(StoreError) -> DroneRow {
        try writeGreeting(greeting)
        // As with fencing tokens: the row is written in the statement that uses its value.
        _ = try write(
            """
            WITH next AS (
                UPDATE sequence SET session = session + 1
                WHERE NOT EXISTS (SELECT FROM drone_lease WHERE drone = $1 AND session IS NOT NULL) RETURNING session)
            INSERT INTO drone_lease AS l (drone, session, renewals, controller, revision, seen_ms, lease_ms)
            VALUES ($1, (SELECT session FROM next), 1, $2, 0, $3, $4)
            ON CONFLICT (drone) DO UPDATE SET
                lease_ms = CASE WHEN l.session IS NULL THEN excluded.lease_ms
                    ELSE greatest(l.lease_ms, excluded.lease_ms) END,
                session = coalesce(l.session, excluded.session),
                renewals = l.renewals + 1, controller = excluded.controller, seen_ms = excluded.seen_ms
            """,
            [
                .text(greeting.name.text), .text(controller.text), .integer(nowMilliseconds),
                .integer(leaseMilliseconds),
            ])
        notices.touch(greeting.name)
        guard let row = try drone(greeting.name) else { throw Self.missingRow }
        return row
    }

    private func writeGreeting(_ greeting: DroneGreeting) throws(StoreError) {
        var values: PostgresParameters = [
            .text(greeting.name.text), .text(greeting.cluster.text), .text(greeting.pool), .text(greeting.version),
            .text(greeting.process), .text(greeting.machine.text),
        ]
        values.append(greeting.capacity)
        values.append(.text(StoredText.images(greeting.images)))
        _ = try write(
            """
            INSERT INTO drone (name, cluster, pool, version, process, machine, capacity_memory_bytes,
                capacity_cpu_millis, images) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            ON CONFLICT (name) DO UPDATE SET cluster = excluded.cluster, pool = excluded.pool,
                version = excluded.version, process = excluded.process, machine = excluded.machine,
                capacity_memory_bytes = excluded.capacity_memory_bytes,
                capacity_cpu_millis = excluded.capacity_cpu_millis, images = excluded.images
            """, values)
    }

    func renew(
        _ drone: DroneName, _ session: SessionNumber, by controller: ControllerName
    ) throws(StoreError) -> Bool {
        try write(
            """
            UPDATE drone_lease SET renewals = renewals + 1, seen_ms = $4
            WHERE drone = $1 AND session = $2 AND controller = $3
            """,
            [.text(drone.text), .integer(session.value), .text(controller.text), .integer(nowMilliseconds)]
        ).changes > 0
    }

    func endSession(
        of drone: DroneName, _ session: SessionNumber, renewals: Int64
    ) throws(StoreError) -> Bool {
        let isEnded =
            try write(
                "UPDATE drone_lease SET session = NULL WHERE drone = $1 AND session = $2 AND renewals = $3",
                [.text(drone.text), .integer(session.value), .integer(renewals)]
            ).changes > 0
        if isEnded { notices.touch(drone) }
        return isEnded
    }

    func unlink(_ drone: DroneName, from controller: ControllerName) throws(StoreError) {
        let written = try write(
            "UPDATE drone_lease SET controller = NULL WHERE drone = $1 AND controller = $2",
            [.text(drone.text), .text(controller.text)])
        if written.changes > 0 { notices.touch(drone) }
    }

    func seen(_ drones: [DroneName]) throws(StoreError) {
        if drones.isEmpty { return }
        // A name needs no quotes in an array's text.
        _ = try write(
            "UPDATE drone_lease SET seen_ms = $1 WHERE drone = ANY ($2)",
            [.integer(nowMilliseconds), .text("{" + drones.map(\.text).joined(separator: ",") + "}")])
    }

    func set(
        _ willingness: Willingness, of drone: DroneName, in cluster: ClusterName
    ) throws(StoreError) -> Willingness? {
        guard let row = try self.drone(drone), row.greeting.cluster == cluster else { return nil }
        if row.willingness == willingness { return willingness }
        let end: Int64? =
            switch willingness {
            case .accepting: nil
            case .draining(let end): end
            }
        _ = try write(
            "UPDATE drone_lease SET draining = $2, end_at_ms = $3 WHERE drone = $1",
            [.text(drone.text), .text(willingness.isDraining ? "t" : "f"), .integer(end)])
        notices.touch(drone)
        return row.willingness
    }

    // MARK: Controllers

    func beat(_ controller: ControllerName, version: String) throws(StoreError) {
        _ = try write(
            """
            INSERT INTO controller AS c (name, version, beats, seen_ms) VALUES ($1, $2, 1, $3)
            ON CONFLICT (name) DO UPDATE SET version = excluded.version, beats = c.beats + 1,
                seen_ms = excluded.seen_ms
            """, [.text(controller.text), .text(version), .integer(nowMilliseconds)])
    }

    func controllers() throws(StoreError) -> [ControllerRow] {
        let found = try read("SELECT name, version, beats, seen_ms FROM controller ORDER BY name")
        var controllers: [ControllerRow] = []
        for row in found.rows {
            let name = try StoredText.checked { () throws(InvalidValue) in try ControllerName(found.text(row, 0) ?? "")
            }
            controllers.append(
                ControllerRow(
                    name: name, version: found.text(row, 1) ?? "", beats: found.integer(row, 2) ?? 0,
                    seenMilliseconds: found.integer(row, 3) ?? 0))
        }
        return controllers
    }

    func leave(_ controller: ControllerName) throws(StoreError) {
        let left = try write(
            """
            WITH forgotten AS (DELETE FROM controller WHERE name = $1)
            UPDATE drone_lease SET controller = NULL WHERE controller = $1 RETURNING drone
            """, [.text(controller.text)])
        for row in left.rows {
            notices.touch(try StoredText.checked { () throws(InvalidValue) in try DroneName(left.text(row, 0) ?? "") })
        }
    }
}

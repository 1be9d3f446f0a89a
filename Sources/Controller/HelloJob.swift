import Model
import Store

/// A hello as one job: records the drone, compares what it has with what was promised, and writes the difference.
struct HelloJob: Sendable {
    let greeting: DroneGreeting
    let reports: [BackendReport]
    let controller: ControllerName
    /// What it is granted.
    let lease: LeaseTimes
    let defects: ProtocolDefects

    /// What it comes to.
    enum Outcome: Sendable {
        case welcomed(Welcomed)
        /// The name's session belongs to another machine, where sandboxes may run that this one cannot see. Nothing was
        /// written.
        case otherMachine(DroneRow)
    }

    /// What became durable, and what to tell the drone.
    struct Welcomed: Sendable {
        var row: DroneRow
        var session: SessionNumber
        var reconciliation: Reconciliation
        var lines: [HistoryLine]
        /// Tokens that may be open there although they were revoked.
        var revoked: [BearerToken]
    }

    func run(_ store: any StoreTransaction) throws(StoreError) -> Outcome {
        let before = try store.drone(greeting.name)
        if let before, let session = before.session, before.greeting.machine != greeting.machine,
            !defects.contains(.machineUnchecked)
        {
            // Where nothing was promised and nobody is connected, there is nothing to wait for.
            guard before.backendCount == 0, before.controller == nil,
                try store.endSession(of: greeting.name, session, renewals: before.renewals)
            else { return .otherMachine(before) }
        }
        var row = try store.greet(
            greeting, by: controller, leaseMilliseconds: lease.expiryMilliseconds)
        guard let session = row.session else {
            throw StoreError(.corrupt, message: "drone \(greeting.name) was greeted and holds no session")
        }
        let live = try store.liveBackends(on: row.name)
        let isRestarted = before.map { $0.greeting.process != greeting.process } ?? false
        let plan = Reconciliation(
            row.name, reports: reports, live: live, memory: isRestarted ? .restarted : .whole)
        for backend in plan.doubtful {
            // On the row, so that no later hello of this process has it started.
            let end = DesiredEnd(kind: .hard, reason: .lost)
            if case .requested(let ending) = try store.requestEnd(of: backend, end) {
                row.revision = max(row.revision, ending.revision)
            }
        }
        var lines: [HistoryLine] = []
        for record in plan.record {
            if case .recorded(let line) = try store.record(record.state, of: record.backend, record.fencingToken) {
                lines.append(HistoryLine(backend: record.backend, row: line))
            }
        }
        return .welcomed(
            Welcomed(
                row: row, session: session, reconciliation: plan, lines: lines,
                revoked: try store.revokedTokens(for: row.name, after: 0)))
    }
}

/// A new line of a backend's history.
struct HistoryLine: Sendable {
    let backend: BackendID
    let row: HistoryRow
}

extension DroneGreeting {
    /// Checks what a drone says of itself. Of an image that it names twice the first one counts.
    init(_ hello: DroneHello, in cluster: ClusterName) throws(InvalidValue) {
        guard hello.cluster == cluster.text else {
            throw InvalidValue(
                field: "hello.cluster",
                problem: "\"\(hello.cluster.prefix(80))\" is not the cluster of this address, \(cluster)")
        }
        for (field, text) in [("pool", hello.pool), ("version", hello.version), ("process", hello.process)]
        where text.utf8.count > 255 {
            throw InvalidValue(field: "hello.\(field)", problem: "is longer than 255 bytes")
        }
        let most = ResourceAmount.unbounded
        guard hello.capacity.memoryBytes <= most.memoryBytes, hello.capacity.cpuMillis <= most.cpuMillis else {
            throw InvalidValue(field: "hello.capacity", problem: "is more than any machine has")
        }
        var names: Set<ImageName> = []
        var images: [OfferedImage] = []
        for image in hello.images where names.insert(try ImageName(image.name, field: "hello.images")).inserted {
            images.append(image)
        }
        self.init(
            name: try DroneName(hello.name, field: "hello.name"), cluster: cluster, pool: hello.pool,
            version: hello.version, process: hello.process,
            machine: try MachineIdentity(hello.machine, field: "hello.machine"),
            images: images.sorted { $0.name < $1.name }, capacity: hello.capacity)
    }
}

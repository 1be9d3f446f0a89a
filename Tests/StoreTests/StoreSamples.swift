import Model
import Store
import Testing

// What the checks of stores write and how they write it.

extension Store {
    /// Runs one job as a transaction of its own. What a check expects to fail, fails with the store's error.
    @discardableResult
    func run<Value>(_ job: (any StoreTransaction) throws -> Value) throws -> Value {
        try transaction { transaction throws(StoreError) in try mapped { try job(transaction) } }
    }

    /// Runs one job within the open transaction.
    @discardableResult
    func step<Value>(_ job: (any StoreTransaction) throws -> Value) throws -> Value {
        try isolated { transaction throws(StoreError) in try mapped { try job(transaction) } }
    }

    private func mapped<Value>(_ body: () throws -> Value) throws(StoreError) -> Value {
        do {
            return try body()
        } catch let error as StoreError {
            throw error
        } catch {
            throw StoreError(.other, message: "the check's own job failed: \(error)")
        }
    }
}

/// A constant of these tests that is a name.
func id(_ text: String) -> BackendID {
    guard let id = try? BackendID(text) else { preconditionFailure("\(text) is not an id") }
    return id
}

/// A constant of these tests that is a drone's name.
func droneName(_ text: String) -> DroneName {
    guard let name = try? DroneName(text) else { preconditionFailure("\(text) is not a drone's name") }
    return name
}

/// A constant of these tests that is a controller's name.
func controllerName(_ text: String) -> ControllerName {
    guard let name = try? ControllerName(text) else { preconditionFailure("\(text) is not a controller's name") }
    return name
}

/// A constant of these tests that is a cluster.
func clusterName(_ text: String) -> ClusterName {
    guard let name = try? ClusterName(text) else { preconditionFailure("\(text) is not a cluster") }
    return name
}

/// A token that is told from others by one byte.
func token(_ byte: UInt8, _ kind: BearerToken.Kind = .dynamic) -> BearerToken {
    BearerToken(random: Array(repeating: byte, count: 32), kind: kind)
}

/// A token's row that lives for ever.
func tokenRow(
    _ byte: UInt8, for backend: String, user: String? = nil, expiresMilliseconds: Int64 = .max
) -> TokenRow {
    TokenRow(
        token: token(byte), backend: id(backend), user: user, auth: "{}", secret: "s",
        expiresMilliseconds: expiresMilliseconds)
}

func spec(
    _ name: String, key: String, namespace: String = "", tag: String = "", drone: String = "dr-1",
    promise: ResourceAmount = .zero
) -> BackendSpec {
    guard let key = try? KeyConfig(name: key, namespace: namespace, tag: tag),
        let image = try? ImageName("python-repl")
    else { preconditionFailure("a test's own values are wrong") }
    return BackendSpec(
        id: id(name), key: key, cluster: clusterName("localhost:9090"), pool: "", drone: droneName(drone),
        executable: Executable(image: image), promise: promise)
}

func greeting(_ name: String = "dr-1", process: String = "first", machine: String = "m1") -> DroneGreeting {
    guard let machine = try? MachineIdentity(machine) else { preconditionFailure("\(machine) is no machine") }
    return DroneGreeting(
        name: droneName(name), cluster: clusterName("localhost:9090"), pool: "", version: "1", process: process,
        machine: machine,
        images: [
            OfferedImage(
                name: "python-repl",
                ceilings: ResourceCeilings(
                    memoryBytes: .max, cpuQuotaMicroseconds: 100_000, cpuPeriodMicroseconds: 100_000,
                    diskBytes: 1 << 30,
                    idleSeconds: 60))
        ], capacity: ResourceAmount(memoryBytes: 1 << 34, cpuMillis: 8000))
}

/// Says hello for a drone. - Returns: its row.
@discardableResult
func greet(_ name: String = "dr-1", by controller: String = "co-1", in store: any Store) throws -> DroneRow {
    try store.run { try $0.greet(greeting(name), by: controllerName(controller), leaseMilliseconds: 60_000) }
}

extension StoreTransaction {
    /// Inserts under the session that the drone holds.
    @discardableResult
    func place(_ spec: BackendSpec) throws -> BackendRow {
        let session = try #require(try drone(spec.drone)?.session, "the drone has no session")
        return try #require(try insert(spec, under: session), "the session that was read is not the drone's")
    }

    /// Records a state of a backend that exists.
    @discardableResult
    func record(_ state: BackendState, of name: String) throws -> Recording {
        let row = try #require(try backend(id(name)), "there is no \(name)")
        return try record(state, of: row.id, row.fencingToken)
    }
}

@discardableResult
func place(_ spec: BackendSpec, in store: any Store) throws -> BackendRow { try store.run { try $0.place(spec) } }

func holder(of key: String, namespace: String = "", in store: any Store) throws -> BackendRow? {
    try store.run { try $0.holder(namespace: namespace, name: key) }
}

func backend(_ name: String, in store: any Store) throws -> BackendRow? { try store.run { try $0.backend(id(name)) } }

func drone(_ name: String = "dr-1", in store: any Store) throws -> DroneRow {
    try #require(try store.run { try $0.drone(droneName(name)) }, "there is no \(name)")
}

@discardableResult
func record(_ state: BackendState, of name: String, in store: any Store) throws -> Recording {
    try store.run { try $0.record(state, of: name) }
}

/// Whether something fails because two rows collide.
func conflict(_ body: () throws -> Void) -> Bool {
    do {
        try body()
        return false
    } catch {
        return (error as? StoreError)?.kind == .conflict
    }
}

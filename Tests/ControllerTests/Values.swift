import Linux
import Model
import Store

@testable import Controller

/// Values that the tests of decisions are made of.
enum Values {
    static func backend(_ text: String) -> BackendID {
        guard let id = try? BackendID(text) else { preconditionFailure("\(text) is not an id") }
        return id
    }

    static func drone(_ text: String) -> DroneName {
        guard let name = try? DroneName(text) else { preconditionFailure("\(text) is not a drone's name") }
        return name
    }

    static func cluster(_ text: String = "localhost:9090") -> ClusterName {
        guard let name = try? ClusterName(text) else { preconditionFailure("\(text) is not a cluster") }
        return name
    }

    static func image(_ text: String = "python-repl") -> ImageName {
        guard let name = try? ImageName(text) else { preconditionFailure("\(text) is not an image") }
        return name
    }

    static func key(_ name: String, tag: String = "") -> KeyConfig {
        guard let key = try? KeyConfig(name: name, tag: tag) else { preconditionFailure("\(name) is not a key") }
        return key
    }

    /// What images offer where nothing is said of it.
    static let ceilings = ResourceCeilings(
        memoryBytes: 1 << 30, cpuQuotaMicroseconds: 200_000, cpuPeriodMicroseconds: 100_000, diskBytes: 1 << 30)

    static func greeting(
        _ name: String, cluster: ClusterName = cluster(), pool: String = "", machine: String = "m1",
        images: [String] = ["python-repl"], ceilings: ResourceCeilings = ceilings,
        capacity: ResourceAmount = .unbounded
    ) -> DroneGreeting {
        guard let machine = try? MachineIdentity(machine) else { preconditionFailure("\(machine) is not a machine") }
        return DroneGreeting(
            name: drone(name), cluster: cluster, pool: pool, version: "1", process: "p", machine: machine,
            images: images.map { OfferedImage(name: $0, ceilings: ceilings) }, capacity: capacity)
    }

    /// A drone that takes backends, unless it is said otherwise.
    static func known(
        _ name: String, cluster: ClusterName = cluster(), pool: String = "", images: [String] = ["python-repl"],
        ceilings: ResourceCeilings = ceilings, willingness: Willingness = .accepting, session: Int64? = 1,
        isHeard: Bool = true
    ) -> KnownDrone {
        let greeting = greeting(name, cluster: cluster, pool: pool, images: images, ceilings: ceilings)
        return KnownDrone(
            greeting: greeting, images: greeting.ceilings, willingness: willingness,
            session: session.map { SessionNumber($0) }, isHeard: isHeard)
    }

    static func droneRow(
        _ name: String, machine: String = "m1", session: Int64? = 1, renewals: Int64 = 1,
        controller: ControllerName? = nil, willingness: Willingness = .accepting, backends: Int64 = 0,
        promised: ResourceAmount = .zero, capacity: ResourceAmount = .unbounded
    ) -> DroneRow {
        DroneRow(
            greeting: greeting(name, machine: machine, capacity: capacity), session: session.map { SessionNumber($0) },
            renewals: renewals, controller: controller, willingness: willingness, backendCount: backends,
            promised: promised)
    }

    static func controller(_ text: String) -> ControllerName {
        guard let name = try? ControllerName(text) else { preconditionFailure("\(text) is not a controller's name") }
        return name
    }

    static func row(
        _ id: String, key name: String = "k", tag: String = "", on drone: String = "dr-1",
        _ status: BackendStatus = .ready, fencing: Int64 = 1, session: Int64 = 1, end: DesiredEnd? = nil,
        staticToken: BearerToken? = nil
    ) -> BackendRow {
        BackendRow(
            spec: BackendSpec(
                id: backend(id), key: key(name, tag: tag), cluster: cluster(), pool: "", drone: self.drone(drone),
                executable: Executable(image: image()), staticToken: staticToken),
            fencingToken: FencingToken(fencing), session: SessionNumber(session), revision: 1,
            state: BackendState(status), desiredEnd: end, createdMilliseconds: 0, changedMilliseconds: 0)
    }

    static func spawn(image name: String = "python-repl", pool: String = "") -> SpawnConfig {
        var config = SpawnConfig(executable: Executable(image: image(name)))
        config.pool = pool
        return config
    }

    static func seconds(_ seconds: Int) -> BootInstant { BootInstant(nanoseconds: UInt64(seconds) * 1_000_000_000) }
}

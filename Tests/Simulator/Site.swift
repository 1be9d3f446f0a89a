import Controller
import Drone
import HTTP
import Linux
import Model
import Store
import WardenProtocol

/// All parts of one schedule, and how they reach each other.
final class Site {
    let world: World
    let parameters: Parameters
    let network: Network
    let keys: [String]
    let droneNames: [DroneName]
    let offer: ImageOffer
    private(set) lazy var checks = Checks(self)
    private(set) lazy var store = StoreHub(self)
    private(set) var controllers: [ControllerHost] = []
    private(set) var machines: [Machine] = []
    private(set) var clients: [Client] = []
    private var calls: [ConnectCall] = []
    /// What the store's wall clock shows at the schedule's beginning, milliseconds since 1970, and is set to by faults.
    var wallOffset: Int64 = 1_800_000_000_000
    /// Whether faults have stopped for good.
    var isCalm = false

    static let image = "python-repl"
    static let cluster = "localhost:9090"

    init(_ world: World) {
        self.world = world
        parameters = Parameters(&world.random, favoured: world.favoured)
        network = Network(world)
        keys = Array(["red", "green", "blue"].prefix(parameters.keyCount))
        do {
            droneNames = try ["dr-a", "dr-b"].prefix(parameters.droneCount).map { try DroneName($0) }
            offer = ImageOffer(
                image: try ImageName(Self.image), port: 8080,
                readiness: SandboxPlan.Readiness(port: 8080, timeoutSeconds: parameters.readinessTimeoutSeconds),
                gracePeriodSeconds: 2,
                ceilings: ResourceCeilings(
                    memoryBytes: 1 << 20, cpuQuotaMicroseconds: 100_000, cpuPeriodMicroseconds: 100_000,
                    diskBytes: 1 << 20))
        } catch { preconditionFailure("a name is not one: \(error)") }
        for index in 0..<parameters.controllerCount { controllers.append(ControllerHost(self, index: index)) }
        for name in droneNames { _ = addMachine(name) }
        for index in 0..<parameters.clientCount { clients.append(Client(self, index: index)) }
    }

    /// Milliseconds of silence after which an end of a link gives it up, as the programs' pings bring it about.
    var silenceLimit: Int64 { .milliseconds(3 * min(3_000, parameters.lease.renewMilliseconds)) }

    // MARK: What programs are told

    private(set) lazy var cluster: ClusterName = {
        do throws(InvalidValue) { return try ClusterName(Self.cluster) } catch {
            preconditionFailure("not a cluster: \(error)")
        }
    }()

    private(set) lazy var controllerConfiguration: ControllerConfiguration = {
        var configuration = ControllerConfiguration(
            address: .loopback(0), controllerURL: "http://localhost:8080", database: .sqlite(path: ""),
            version: "simulated")
        configuration.defaultCluster = cluster
        configuration.lease = parameters.lease
        return configuration
    }()

    func droneConfiguration(_ name: DroneName) -> DroneConfiguration {
        DroneConfiguration(
            name: name, controllerURLs: [controllerURL], cluster: cluster, wardenSocketPath: "",
            proxyAddress: .loopback(0), version: "simulated")
    }

    private let controllerURL: HTTPURL = {
        do { return try HTTPURL("http://localhost:8080/") } catch { preconditionFailure("not a URL: \(error)") }
    }()

    func request(_ key: String, _ user: String, _ wait: ConnectRequest.Wait) -> ConnectRequest {
        do throws(InvalidValue) {
            var spawn = SpawnConfig(executable: Executable(image: offer.image))
            spawn.maxIdleSeconds = parameters.maxIdleSeconds
            // In the calm a backend is to stay until its token was used.
            spawn.lifetimeLimitSeconds = isCalm ? nil : parameters.lifetimeSeconds
            return ConnectRequest(key: try KeyConfig(name: key), spawn: spawn, user: user, wait: wait)
        } catch { preconditionFailure("not a key: \(error)") }
    }

    // MARK: Course

    func add(_ call: ConnectCall) {
        calls.removeAll { !$0.isOwed }
        calls.append(call)
    }

    /// The faults are over: everything runs again, one machine for each drone.
    func settle() {
        for controller in controllers {
            controller.isStoreUnreachable = false
            controller.start()
        }
        for name in droneNames {
            let namesakes = machines.filter { $0.drone == name }
            guard let chosen = namesakes.last(where: \.isOn) ?? namesakes.last else { continue }
            for other in namesakes where other !== chosen { other.powerOff("is taken away") }
            chosen.powerOn()
            chosen.startWarden()
            chosen.startDrone()
            undrain(name)
        }
    }

    private func undrain(_ name: DroneName) {
        // Again and again: a drain may have been on its way.
        world.random.pick(controllers).undrain(name)
        world.after(.seconds(2)) { [self] in undrain(name) }
    }

    /// What should not be there any more when all was asked to end; nil when nothing is.
    func leftovers() -> String? {
        for machine in machines where machine.isOn {
            if let sandbox = machine.sandboxes.first { return "\(sandbox.backend) is alive on \(machine.name)" }
            if let count = machine.warden?.recordCount, count > 0 {
                return "the warden of \(machine.name) remembers \(count) backends"
            }
            if let count = machine.droneHost?.proxy.backendCount, count > 0 {
                return "the proxy of \(machine.drone) knows \(count) backends"
            }
        }
        if let call = calls.first(where: \.isOwed) {
            return "a connect that came at \(call.arrivedAt / 1_000_000) ms was never answered"
        }
        var found: String?
        store.read { transaction throws(StoreError) in
            if let row = try transaction.backends(.live, after: nil, limit: 1).first {
                found = "\(row.id) is \(row.state.status) in the store"
            }
            for name in droneNames {
                guard let row = try transaction.drone(name) else { continue }
                if row.backendCount != 0 || row.promised != .zero {
                    found = "\(name) has \(row.backendCount) backends and \(row.promised) promised"
                }
            }
        }
        return found
    }

    func tearDown() {
        for controller in controllers { controller.tearDown() }
        for machine in machines { machine.powerOff("ends") }
        machines.removeAll()
        network.tearDown()
        clients.removeAll()
        calls.removeAll()
    }

    func start() {
        for controller in controllers { controller.start() }
        for machine in machines {
            machine.startWarden()
            machine.startDrone()
        }
        for client in clients { client.start() }
    }

    /// A machine more, whose drone has that name; it is on and nothing runs there yet.
    func addMachine(_ drone: DroneName) -> Machine {
        let machine = Machine(self, index: machines.count, drone: drone)
        machines.append(machine)
        return machine
    }

    func makeSandbox(on machine: Machine, _ request: SpawnRequest) -> Sandbox {
        let prefix = "SESSION_BACKEND_KEY="
        let key = request.environment.first { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) } ?? ""
        return Sandbox(
            machine, backend: request.backend, key: key, fencingToken: request.fencingToken,
            deadline: request.hardDeadline, drawBehaviour())
    }

    private func drawBehaviour() -> Sandbox.Behaviour {
        var behaviour = Sandbox.Behaviour(
            readyAfter: world.random.draw(.milliseconds(5)...(.milliseconds(400))), ignoresTermination: false,
            exitsAfter: nil)
        guard !isCalm else { return behaviour }
        if world.random.happens(30) { behaviour.readyAfter = nil }
        if world.random.happens(60) { behaviour.readyAfter = world.random.draw(.seconds(1)...(.seconds(9))) }
        behaviour.ignoresTermination = world.random.happens(150)
        if parameters.faults.contains(.backendExit), world.random.happens(400) {
            behaviour.exitsAfter = world.random.draw(.milliseconds(1)...(.seconds(20)))
        }
        return behaviour
    }

    /// What one controller changed in a shared store the others may hear of: late, twice, or never.
    func notice(_ notices: [StoreNotice], from controller: Int) {
        guard parameters.isStoreShared, controllers.count > 1 else { return }
        for host in controllers where host.index != controller {
            if world.random.happens(parameters.noticesLostPerMille) { continue }
            let times = world.random.happens(50) ? 2 : 1
            for _ in 0..<times {
                world.after(world.random.draw(200_000...(.milliseconds(20)))) { host.noticed(notices) }
            }
        }
    }
}

import Controller
import Drone
import Glibc
import HTTP
import Linux
import Model

/// Runs a drone.
struct DroneCommand: Subcommand {
    static let syntax = CommandSyntax(
        "drone",
        purpose: """
            run a drone: the proxy, and the backends of this machine

            plane-warden must run beside it: it holds root, the drone does not.
            """,
        flags: [
            controllerURL, secretFile, cluster, name, pool, OfferedCapacity.memory, OfferedCapacity.cpus, wardenSocket,
            proxyHost, proxyPort, proxyThreads, rootRedirect, missingControllers, stopBackends, ProcessIdentity.user,
            ProcessLifetime.flag,
        ])

    private static let controllerURL = Flag(
        "--controller-url", .repeated("URL"),
        "a controller, its user as bearer token; if lost, the next one is taken")
    private static let secretFile = Flag(
        "--secret-file", .value("FILE", default: nil),
        "one line, shown to controllers; nobody but root or the drone's user may read it")
    private static let cluster = Flag("--cluster", .required("CLUSTER"), "HOST or HOST:PORT that leads to the proxy")
    private static let name = Flag(
        "--name", .value("NAME", default: nil), "begins with dr; the same after a restart (default dr-HOSTNAME)")
    private static let pool = Flag("--pool", .value("POOL", default: ""), "which spawn requests it takes")
    private static let wardenSocket = Flag(
        "--warden-socket", .value("FILE", default: "/var/lib/plane/run/warden.sock"), "where plane-warden listens")
    private static let proxyHost = Flag(
        "--proxy-host", .value("ADDRESS", default: "127.0.0.1"), "where the proxy listens")
    private static let proxyPort = Flag(
        "--proxy-port", .value("PORT", default: "9090"), "where the proxy listens; 0 takes a free one")
    private static let proxyThreads = Flag(
        "--proxy-threads", .value("N", default: nil), "event loops of the proxy (default one per processor)")
    private static let rootRedirect = Flag(
        "--root-redirect-url", .value("URL", default: nil), "where the proxy sends GET / (default 400)")
    private static let missingControllers = Flag(
        "--allow-missing-controllers", .bare,
        "start although cgroup v2 lacks memory, cpu or pids; their limits do not hold")
    private static let stopBackends = Flag(
        "--stop-backends", .bare, "end the backends when it is stopped, instead of leaving them to the next drone")

    private var configuration: DroneConfiguration
    private let identity: ProcessIdentity
    private let secretPath: String?

    init(_ arguments: Arguments) throws(UsageError) {
        guard
            let cluster = try arguments.checked(Self.cluster, { (text) throws(InvalidValue) in try ClusterName(text) })
        else { preconditionFailure("--cluster is required") }
        let name: DroneName
        if let given = try arguments.checked(Self.name, { (text) throws(InvalidValue) in try DroneName(text) }) {
            name = given
        } else {
            name = try Self.ownName(arguments)
        }
        configuration = DroneConfiguration(
            name: name, controllerURLs: try Self.controllers(arguments), cluster: cluster,
            pool: arguments.required(Self.pool), capacity: try OfferedCapacity.read(arguments),
            wardenSocketPath: arguments.required(Self.wardenSocket),
            proxyAddress: try AddressFlags.address(arguments, host: Self.proxyHost, port: Self.proxyPort),
            version: planeVersion)
        let processors = Int64(max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))))
        configuration.proxyThreads = Int(try arguments.integer(Self.proxyThreads, in: 1...64) ?? min(64, processors))
        configuration.rootRedirect = arguments.text(Self.rootRedirect)
        if arguments.isGiven(Self.missingControllers) { configuration.controllers = .optional }
        if arguments.isGiven(Self.stopBackends) { configuration.stop = .stopBackends }
        configuration.identity = .caller
        identity = try ProcessIdentity(arguments)
        secretPath = arguments.text(Self.secretFile)
    }

    func run() throws -> Int32 {
        OpenFiles.raiseLimit()
        var configuration = configuration
        // While the process may still be root: a secret of root's needs not be the drone's user's to read.
        configuration.secret = try secretPath.map(Self.secret)
        try identity.assume()
        try DroneServer.run(configuration)
        return 0
    }

    private static func secret(_ path: String) throws -> String {
        let lines = try SecretFile.read(path).lines
        guard lines.count == 1 else {
            throw UsageError("--secret-file \(path) has \(lines.count) secrets; a drone shows one", command: "drone")
        }
        return lines[0].secret
    }

    private static func controllers(_ arguments: Arguments) throws(UsageError) -> [HTTPURL] {
        let texts = arguments.all(controllerURL)
        guard (1...DroneConfiguration.controllersMax).contains(texts.count) else {
            throw arguments.wrong(
                "plane drone needs --controller-url URL, once for each controller, up to "
                    + "\(DroneConfiguration.controllersMax) of them")
        }
        do throws(HTTPURL.Malformed) {
            return try texts.map { (text) throws(HTTPURL.Malformed) in try HTTPURL(text) }
        } catch { throw arguments.wrong("--controller-url: \(error)") }
    }

    /// The machine's name is the one thing about it that a restart leaves as it was.
    private static func ownName(_ arguments: Arguments) throws(UsageError) -> DroneName {
        var buffer = [CChar](repeating: 0, count: 256)
        gethostname(&buffer, buffer.count - 1)
        let host = String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
        let label = host.lowercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" }
        do throws(InvalidValue) {
            return try DroneName("dr-" + String(label.prefix(40)))
        } catch {
            throw arguments.wrong("--name is needed: none can be made of this machine's host name \"\(host)\"")
        }
    }
}

/// How many descriptors this process may have.
enum OpenFiles {
    /// Raises it as far as the machine allows: a shell gives 1024, and a proxy takes several for each connection.
    /// getrlimit(2).
    static func raiseLimit() {
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var limit = rlimit()
        guard getrlimit(resource, &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(resource, &limit)
    }
}

import Controller
import Glibc
import HTTP
import Linux
import Model

/// Runs a controller.
struct ControllerCommand: Subcommand {
    static let syntax = CommandSyntax(
        "controller",
        purpose: """
            run a controller: the HTTP API, and who holds which key

            The four lease times must be in this order, the first at most a third of the second; they are told to
            every drone.

            """ + AccessFlags.explanation,
        flags: [database, port, host, controllerURL, defaultCluster, bestOf] + AccessFlags.all
            + [ProcessIdentity.user] + LeaseFlags.all + [ProcessLifetime.flag])

    private static let database = Flag(
        "--db", .required("FILE|URL"),
        "a SQLite database, also as sqlite:FILE; or postgres://…, for several controllers")
    private static let port = Flag(
        "--port", .value("PORT", default: "8080"),
        "where the API listens; 0 takes a free one (then with --controller-url)")
    private static let host = Flag("--host", .value("ADDRESS", default: "127.0.0.1"), "where the API listens")
    private static let controllerURL = Flag(
        "--controller-url", .value("URL", default: nil), "how clients reach it (default http://ADDRESS:PORT)")
    private static let defaultCluster = Flag(
        "--default-cluster", .value("CLUSTER", default: nil), "cluster of connects that name none")
    private static let bestOf = Flag(
        "--best-of", .value("N", default: "2"), "the least loaded of N drones drawn at random takes a new backend")

    private var configuration: ControllerConfiguration
    private let identity: ProcessIdentity

    init(_ arguments: Arguments) throws(UsageError) {
        let address = try AddressFlags.address(arguments, host: Self.host, port: Self.port)
        let given = arguments.text(Self.controllerURL)
        if address.port == 0, given == nil {
            throw arguments.wrong("--port 0 takes a port that nobody knows beforehand; say --controller-url too")
        }
        let url = given ?? "http://\(address)"
        do throws(HTTPURL.Malformed) {
            _ = try HTTPURL(url)
        } catch  where !url.hasPrefix("https://") {
            throw arguments.wrong("--controller-url: \(error)")
        } catch {
            // What is told to clients may be the address of something that ends TLS.
        }
        configuration = ControllerConfiguration(
            address: address, controllerURL: url.hasSuffix("/") ? String(url.dropLast()) : url,
            database: ControllerConfiguration.Database(arguments.required(Self.database)),
            version: planeVersion)
        configuration.defaultCluster = try arguments.checked(Self.defaultCluster) { (text) throws(InvalidValue) in
            try ClusterName(text)
        }
        configuration.access = try AccessFlags.configuration(arguments, listeningOn: address)
        configuration.bestOf = Int(try arguments.integer(Self.bestOf, in: 1...1000) ?? 2)
        configuration.lease = try LeaseFlags.times(arguments)
        configuration.sourceHash = BuildIdentity.sourceHash
        identity = try ProcessIdentity(arguments)
    }

    func run() throws -> Int32 {
        try identity.assume()
        try ControllerServer.run(configuration)
        return 0
    }
}

/// `--lease-…`: the times that the promise of one backend per key rests on.
enum LeaseFlags {
    private static let standard = LeaseTimes.standard
    private static let renew = flag("renew", standard.renewMilliseconds, "how often a drone renews its session")
    private static let soft = flag(
        "soft", standard.softMilliseconds, "without a renewal, when backends are asked to end")
    private static let hard = flag("hard", standard.hardMilliseconds, "without a renewal, when backends are killed")
    private static let expiry = flag("expiry", standard.expiryMilliseconds, "when the controller gives keys away again")

    static let all = [renew, soft, hard, expiry]

    private static func flag(_ name: String, _ standard: Int64, _ meaning: String) -> Flag {
        Flag("--lease-\(name)-ms", .value("MS", default: String(standard)), meaning)
    }

    static func times(_ arguments: Arguments) throws(UsageError) -> LeaseTimes {
        let day: Int64 = 86_400_000
        var times: [Int64] = []
        for flag in all { times.append(try arguments.integer(flag, in: 1...day) ?? 1) }
        do throws(InvalidValue) {
            return try LeaseTimes(renew: times[0], soft: times[1], hard: times[2], expiry: times[3])
        } catch {
            throw arguments.wrong("--lease-…-ms: \(error.problem)")
        }
    }

    /// The flags as they were given, to be passed on to a controller.
    static func words(_ arguments: Arguments) -> [String] {
        all.filter(arguments.isGiven).flatMap { [$0.name, arguments.required($0)] }
    }
}

/// A host and a port on the command line.
enum AddressFlags {
    static func address(_ arguments: Arguments, host: Flag, port: Flag) throws(UsageError) -> SocketAddress {
        let text = arguments.required(host)
        guard let address = SocketAddress.parseHost(text) else {
            throw arguments.wrong("\(host.name) \(text): write an IPv4 address such as 127.0.0.1, or 0.0.0.0 for all")
        }
        return SocketAddress(host: address, port: UInt16(try arguments.integer(port, in: 0...65535) ?? 0))
    }
}

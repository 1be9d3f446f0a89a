import Linux
import Model

/// Which processes `plane dev` starts, and with which words. Pure.
struct DevelopmentPlan {
    let state: StateFolder
    let controller: SocketAddress
    let proxy: SocketAddress
    let userID: UInt32
    let limits: Limits
    let leaseWords: [String]
    /// Sandboxes kept ready of each image.
    let poolSize: Int
    /// Who may call the controller, as its flags say it.
    var accessWords: [String] = []

    /// What is demanded of cgroup v2.
    enum Limits {
        /// All of memory, cpu and pids.
        case required
        /// Whatever is there.
        case asOffered

        var words: [String] { self == .asOffered ? ["--allow-missing-controllers"] : [] }
    }

    /// The three, in the order in which they start; they end in the opposite one.
    enum Role: Int, Comparable {
        case controller
        case warden
        case drone

        static func < (a: Role, b: Role) -> Bool { a.rawValue < b.rawValue }
    }

    var cluster: String { "localhost:\(proxy.port)" }
    /// How this machine reaches the controller, also when it listens on all addresses.
    var controllerURL: String {
        "http://\(controller.host == 0 ? SocketAddress.loopback(controller.port) : controller)"
    }
    var proxyURL: String { "http://\(cluster)" }

    func words(of role: Role) -> [String] {
        switch role {
        case .controller:
            [
                "controller", "--db", state.database, "--host", Self.host(controller), "--port",
                String(controller.port), "--controller-url", controllerURL, "--default-cluster", cluster, "--user",
                String(userID), "--end-with-parent",
            ] + accessWords + leaseWords
        case .warden:
            [
                "serve", "--state", state.path, "--drone-user", String(userID), "--end-with-parent", "--pool",
                String(poolSize),
            ] + limits.words
        case .drone:
            [
                "drone", "--name", "dr-dev", "--controller-url", controllerURL, "--cluster", cluster,
                "--warden-socket", state.wardenSocket, "--proxy-host", Self.host(proxy), "--proxy-port",
                String(proxy.port), "--user", String(userID), "--stop-backends", "--end-with-parent",
                // Whoever tries things out knows what the machine bears.
                "--offer-memory", "unbounded", "--offer-cpus", "unbounded",
            ] + limits.words
        }
    }

    private static func host(_ address: SocketAddress) -> String { String("\(address)".prefix { $0 != ":" }) }
}

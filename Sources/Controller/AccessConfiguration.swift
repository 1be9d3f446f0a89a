public import HTTP
public import Linux
package import Model

/// Whom a controller lets call it. `/pub` is open to all; this is about `/ctrl`.
public struct AccessConfiguration: Sendable {
    /// A file of API tokens, each of which opens all of `/ctrl`; nil asks for none.
    public var apiTokensPath: String?
    /// A file of drones' secrets. With it a drone is let in by its own secret alone, and only under its own name.
    public var droneSecretsPath: String?
    /// Whom to ask about each request that no API token came with; nil asks nobody.
    public var forwardAuth: HTTPURL?
    /// Whether a controller that asks for nothing may listen on an address that others reach.
    public var anonymous: Anonymous

    /// Where a controller may listen that lets everybody in.
    public enum Anonymous: Sendable {
        /// On this machine's own addresses.
        case loopback
        /// Anywhere: something in front of it lets nobody in that should not be.
        case anywhere
    }

    /// Lets everybody in, on loopback.
    public init() { anonymous = .loopback }

    /// Why a controller with this configuration must not listen there, a sentence for a person; nil when it may. Pure.
    public func problem(listeningOn address: SocketAddress) -> String? {
        if let forwardAuth, forwardAuth.user != nil {
            return "--forward-auth: a user in the URL would be shown for callers that show nothing. Leave it out."
        }
        let asksCallers = apiTokensPath != nil || forwardAuth != nil
        let isLoopback = address.host >> 24 == 127
        if asksCallers || isLoopback { return nil }
        switch anonymous {
        case .anywhere: return nil
        case .loopback:
            let beside = droneSecretsPath == nil ? " (and --drone-secrets FILE for drones)" : ""
            return "on \(address) anybody who reaches this machine could start and end backends. "
                + "Say who may: --api-tokens FILE or --forward-auth URL\(beside). Or listen on 127.0.0.1. "
                + "If something in front of it checks who calls, say --allow-anonymous."
        }
    }
}

/// As which drone a connection may say hello.
package enum LinkAdmission: Hashable, Sendable {
    /// As any.
    case anyDrone
    /// As the one whose secret was shown.
    case only(DroneName)
}

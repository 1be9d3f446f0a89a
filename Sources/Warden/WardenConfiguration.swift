/// How a warden is run; all of it from its command line.
public struct WardenConfiguration: Sendable {
    /// The state folder: images, policies and run are below it.
    public var statePath: String
    /// The user who owns the socket, and whom alone the warden serves.
    public var droneUser: UInt32
    /// The `plane` executable, for compiling policies.
    public var planePath: String
    /// Whether to start although limits cannot be enforced.
    public var controllers: ControllerDemand
    /// Whether to end with the process that started it.
    public var lifetime: Lifetime

    /// Sandboxes kept ready of each image that is in use.
    public var poolSize: Int
    /// Sandboxes kept ready that are of no image yet.
    public var blankSize: Int

    /// What is demanded of cgroup v2.
    public enum ControllerDemand: Sendable {
        /// Refuse to start when one is missing.
        case required
        /// Say loudly which limits are not enforced, and go on (`--allow-missing-controllers`).
        case optional
    }

    /// How long the warden lives.
    public enum Lifetime: Sendable {
        /// Until it is told to end.
        case own
        /// At most as long as its parent, for `plane dev` and tests.
        case ofParent
    }

    /// - Parameters: as the properties say.
    public init(
        statePath: String, droneUser: UInt32, planePath: String, controllers: ControllerDemand, lifetime: Lifetime,
        poolSize: Int, blankSize: Int
    ) {
        self.statePath = statePath
        self.droneUser = droneUser
        self.planePath = planePath
        self.controllers = controllers
        self.lifetime = lifetime
        self.poolSize = poolSize
        self.blankSize = blankSize
    }

    var imagesPath: String { statePath + "/images" }
    var policiesPath: String { statePath + "/policies" }
    var runPath: String { statePath + "/run" }
    var socketPath: String { runPath + "/warden.sock" }
    /// One name for each state folder, so that two wardens do not share a cgroup.
    var cgroupName: String { "plane-" + pathDigest }
    /// Tells state folders apart by their paths.
    var pathDigest: String { Self.digest(statePath) }

    /// FNV-1a, 32 bits: tells paths apart in a file name; nothing depends on it being hard to invert.
    private static func digest(_ text: String) -> String {
        let hash = text.utf8.reduce(UInt32(0x811c_9dc5)) { ($0 ^ UInt32($1)) &* 0x0100_0193 }
        return String(hash, radix: 16)
    }
}

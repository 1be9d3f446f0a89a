public import Model

/// What a policy file says, checked and with every default filled in. The initial values are the default policy: what an
/// empty file means, and an image that has no policy.
public struct PolicyDocument: Hashable, Sendable {
    /// The command and its arguments, 1–256, in place of the image's; nil is the image's own.
    public var command: [String]?
    /// Added to the image's environment; a name given here wins over the image's.
    public var environment: [String: String] = [:]
    /// Who the command is inside the sandbox.
    public var commandUser = CommandUser()
    /// Host name inside, a label of 1–63 characters (RFC 1123).
    public var hostname = "sandbox"
    /// How much of the machine it may use.
    public var limits = Limits()
    /// What is mounted over the image, in this order, at most 64.
    public var mounts: [Mount] = []
    /// Absolute path of the folder that holds the volumes; nil is `volumes` beside the folder of policies.
    public var volumeBase: String?
    /// Devices of the host in its /dev, besides those that every sandbox has.
    public var devices: [SandboxDevice] = []
    /// Capabilities that the command keeps over its own namespaces.
    public var capabilities: [SandboxCapability] = []
    /// Which system calls it may make.
    public var seccomp = SystemCallPolicy()
    /// What it may reach of its own file system and ports; nil is all that owners and modes allow.
    public var landlock: LandlockRules?
    /// What it may reach from within.
    public var network = Network.none
    /// How it is told that the command is ready to serve.
    public var readiness = Readiness()
    /// Seconds between SIGTERM and SIGKILL; 0 kills at once.
    public var gracePeriodSeconds: UInt32 = 30
    /// The longest that a backend may live, in seconds, whatever a request asks for; nil is no limit.
    public var lifetimeSeconds: UInt64?
    /// The longest that a backend may be idle, in seconds, whatever a request asks for; nil is no limit.
    public var idleSeconds: UInt64?

    /// The default policy.
    public init() {}

    /// User and group inside, which the warden maps to ids of the host that nothing else has.
    public struct CommandUser: Hashable, Sendable {
        /// 1–65533: 0 would be root within its namespace, and 65534 is the sandbox's init.
        public var uid: UInt32 = 1000
        /// 1–65533.
        public var gid: UInt32 = 1000
    }

    /// A folder or file of the host in the sandbox's file system.
    public struct Mount: Hashable, Sendable {
        /// Where it comes from.
        public var source: Source
        /// Absolute path inside.
        public var target: String

        /// Where it comes from.
        public enum Source: Hashable, Sendable {
            /// A file or folder of the host at an absolute path.
            case readOnly(path: String)
            /// The folder of this name below the base of volumes, writable, which outlives the sandbox.
            case volume(name: String)
        }
    }

    /// How it is told that the command is ready to serve.
    public struct Readiness: Hashable, Sendable {
        /// The port that is asked, on 127.0.0.1 inside; nil is the image's own.
        public var port: UInt16?
        /// What is asked for; any answer will do where it is nil, else one of status 200–399.
        public var path: String?
        /// Seconds until it must answer, else the start has failed.
        public var timeoutSeconds: UInt32 = 300
    }

    /// The outside world as seen from within.
    public enum Network: String, Hashable, Sendable, CaseIterable {
        /// Loopback only: nothing leaves, and only the proxy gets in.
        case none
    }
}

public import Linux

/// Why a sandbox could not be made: at which step, and what the kernel said.
public struct SandboxFailure: Error, Equatable, Sendable, CustomStringConvertible {
    /// A step of the set-up, in the order of the child's list.
    public enum Step: UInt8, Sendable {
        case cgroup = 1
        case clone
        case userRange
        case image
        case writableLayer
        case attachRoot
        case devices
        case proc
        case pivot
        case network
        case identity
        case command
        case initProcess
        case handshake
        case mounts
        case clock
        case terminal
        case landlock
        case limits
    }

    /// Where it failed.
    public let step: Step
    /// The call that failed, in the manual's name, and what it acted on.
    public let call: String
    /// errno(3), 0 when the step failed without one.
    public let code: Int32

    /// - Parameters: as the properties say.
    public init(_ step: Step, call: String, code: Int32) {
        self.step = step
        self.call = call
        self.code = code
    }

    /// Most bytes of a report of one.
    static let reportBytesMax = 2048

    /// A failed system call at a step.
    public init(_ step: Step, _ error: SystemError) { self.init(step, call: error.call, code: error.code) }

    /// A sentence with the cause, and the next step where there is one.
    public var description: String {
        let cause = code == 0 ? call : SystemError(code, call).description
        let what =
            switch step {
            case .cgroup: "its cgroup could not be made"
            case .clone: "its process could not be cloned"
            case .userRange: "its range of user ids could not be set"
            case .image: "its image could not be mounted (the images folder must be on ext4, xfs, btrfs or tmpfs)"
            case .writableLayer: "its writable layer could not be made"
            case .attachRoot: "its root could not be put in place"
            case .devices: "its /dev could not be made"
            case .proc: "its /proc could not be made"
            case .pivot: "its root could not be entered"
            case .network: "its loopback interface could not be started"
            case .identity: "its privileges could not be dropped"
            case .command: "its command could not be started"
            case .initProcess: "its init could not be started"
            case .handshake: "its set-up was cut short"
            case .mounts: "a mount of its policy could not be made"
            case .clock: "its time namespace could not be made"
            case .terminal: "its terminal could not be made"
            case .landlock: "its Landlock rules could not be put on"
            case .limits: "its limits could not be set"
            }
        return "the sandbox was not started: \(what): \(cause)"
    }
}

/// Runs a step of the set-up and names it in the error.
@inline(__always)
func step<Value: ~Copyable>(
    _ step: SandboxFailure.Step, _ work: () throws(SystemError) -> Value
) throws(SandboxFailure) -> Value {
    do { return try work() } catch { throw SandboxFailure(step, error) }
}

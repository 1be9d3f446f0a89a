import Glibc
import Linux
import Model
import Sandbox

/// What the command line of `plane-warden` asks for.
public enum WardenCommand {
    case help
    case version
    /// Serve a drone.
    case serve(WardenConfiguration)
    /// Remove what a killed warden left.
    case clean(WardenConfiguration)
    /// Run the one command of the plan that the descriptor holds.
    case run(WardenConfiguration, planDescriptor: Int32)

    /// The text of `--help`.
    public static let usage = """
        usage: plane-warden serve [--state DIR] [--drone-user UID] [--pool N] [--blank N] [--allow-missing-controllers]
               plane-warden run --plan-descriptor N [--state DIR] [--allow-missing-controllers]
               plane-warden clean [--state DIR]

        The root process of a drone: starts each backend in a sandbox and ends it at its lease's deadline.
        `serve` listens on DIR/run/warden.sock for the drone. `run` is what `plane run` calls.
        `clean` removes the cgroups and the socket that a killed warden left, as the next `serve` would.

          --state DIR                     images, policies and run folder (default /var/lib/plane)
          --drone-user UID                who may connect, and who compiles policies (default 63180)
          --plane PATH                    the plane executable (default: beside this one)
          --pool N                        sandboxes kept ready of each image that is in use, 0 to 64 (default 2); serve only
          --blank N                       sandboxes kept ready that are of no image yet (default 2, or 0 with --pool 0)
          --allow-missing-controllers     start although cgroup v2 lacks memory, cpu or pids; their limits do not hold
          --end-with-parent               end when the process that started it does
        """

    /// Reads the words after the program's name.
    public init(_ words: ArraySlice<String>) throws(WardenUsageError) {
        guard let first = words.first else { throw WardenUsageError("say what to do: serve, run or clean") }
        if first == "--help" || first == "help" || first == "-h" {
            self = .help
            return
        }
        if first == "version" || first == "--version" {
            self = .version
            return
        }
        guard ["serve", "run", "clean"].contains(first) else {
            throw WardenUsageError("\"\(first)\" is not a command; use serve, run or clean")
        }
        var options = try Options(words.dropFirst())
        if first != "serve", options.poolSize != nil || options.blankSize != nil {
            throw WardenUsageError("--pool and --blank belong to serve")
        }
        if first != "run" {
            guard options.planDescriptor == nil else { throw WardenUsageError("--plan-descriptor belongs to run") }
            let configuration = try options.configuration()
            self = first == "serve" ? .serve(configuration) : .clean(configuration)
        } else {
            guard let descriptor = options.planDescriptor else {
                throw WardenUsageError("run needs --plan-descriptor N")
            }
            self = .run(try options.configuration(), planDescriptor: descriptor)
        }
    }

    private struct Options {
        var statePath = "/var/lib/plane"
        var droneUser: UInt32 = 63180
        var planePath: String?
        var controllers = WardenConfiguration.ControllerDemand.required
        var lifetime = WardenConfiguration.Lifetime.own
        var planDescriptor: Int32?
        var poolSize: UInt32?
        var blankSize: UInt32?

        init(_ words: ArraySlice<String>) throws(WardenUsageError) {
            var rest = words
            while let flag = rest.popFirst() {
                switch flag {
                case "--state": statePath = try Self.value(of: flag, &rest)
                case "--drone-user": droneUser = try Self.number(of: flag, &rest)
                case "--plane": planePath = try Self.value(of: flag, &rest)
                case "--plan-descriptor": planDescriptor = Int32(try Self.number(of: flag, &rest))
                case "--pool": poolSize = try Self.number(of: flag, &rest)
                case "--blank": blankSize = try Self.number(of: flag, &rest)
                case "--allow-missing-controllers": controllers = .optional
                case "--end-with-parent": lifetime = .ofParent
                default: throw WardenUsageError("\"\(flag)\" is not a flag here; see plane-warden --help")
                }
            }
            for (flag, size) in [("--pool", poolSize), ("--blank", blankSize)] {
                guard let size, size > 64 else { continue }
                throw WardenUsageError("\(flag) \(size): at most 64 sandboxes are kept ready of each kind")
            }
            guard statePath.hasPrefix("/"), !statePath.contains(where: { ",:\\".contains($0) }) else {
                throw WardenUsageError("--state \(statePath): give an absolute path without comma, colon or backslash")
            }
        }

        private static func value(of flag: String, _ rest: inout ArraySlice<String>) throws(WardenUsageError) -> String
        {
            guard let value = rest.popFirst() else { throw WardenUsageError("\(flag) needs a value") }
            return value
        }

        private static func number(of flag: String, _ rest: inout ArraySlice<String>) throws(WardenUsageError) -> UInt32
        {
            let text = try value(of: flag, &rest)
            guard let number = UInt32(text), number < UInt32(Int32.max) else {
                throw WardenUsageError("\(flag) \(text): give a number")
            }
            return number
        }

        mutating func configuration() throws(WardenUsageError) -> WardenConfiguration {
            guard droneUser != 0 else {
                throw WardenUsageError("--drone-user 0: the drone must not be root; give it a user of its own")
            }
            let plane: String
            if let planePath {
                plane = planePath
            } else {
                do throws(SystemError) {
                    let own = try CurrentProcess.executablePath()
                    plane = own.prefix(through: own.lastIndex(of: "/") ?? own.startIndex) + "plane"
                } catch { throw WardenUsageError("cannot find the plane executable (\(error)); give --plane PATH") }
            }
            return WardenConfiguration(
                statePath: statePath, droneUser: droneUser, planePath: plane, controllers: controllers,
                lifetime: lifetime, poolSize: Int(poolSize ?? 2),
                blankSize: Int(blankSize ?? min(poolSize ?? 2, 2)))
        }
    }
}

/// A command line that was not understood.
public struct WardenUsageError: Error, CustomStringConvertible {
    public let description: String
    init(_ sentence: String) { description = sentence }
}

/// The program's way into being a sandbox's pid 1.
public enum InitEntry {
    /// Runs the init; its second word is the command's pid. Never returns.
    public static func run(_ words: [String]) -> Never {
        guard words.count == 2, let command = Int32(words[1]), getpid() == 1 else {
            CurrentProcess.exitImmediately(125)
        }
        InitProcess.run(command: command)
    }
}

import Glibc
import HTTP
import Linux
import Model

/// Lets a drone take no new backends.
struct DrainCommand: Subcommand {
    static let syntax = CommandSyntax(
        "drain", .words(1...1, "DRONE"),
        purpose: """
            let a drone take no new backends, so that its machine can be maintained

            Those that it has go on, unless --terminate or --deadline asks them to end, each with its policy's grace
            period; their keys are free then, and connects start successors on other drones. The drone stays drained
            over restarts until plane undrain. With --wait this returns when the drone has no backend left.

            Examples:
              plane drain dr-host7 --deadline 10m --wait
              plane drain dr-host7 --terminate --wait --timeout 1m
            """,
        flags: [terminate, deadline, wait, timeout, ListedDrones.cluster, .json] + ControllerAPI.flags)

    private static let terminate = Flag("--terminate", .bare, "ask its backends to end now")
    private static let deadline = Flag(
        "--deadline", .value("TIME", default: nil), "ask those to end that are left after so long: 90s, 10m, 1h30m")
    private static let wait = Flag("--wait", .bare, "return when no backend is left on it")
    private static let timeout = Flag(
        "--timeout", .value("TIME", default: nil), "with --wait: give up after so long (default never)")

    private let api: ControllerAPI
    private let drone: DroneName
    private let cluster: ClusterName?
    private let body: JSONValue
    private let waiting: Waiting
    private let form: OutputForm

    private enum Waiting {
        case none
        /// Nil without an end.
        case until(seconds: Int64?)
    }

    init(_ arguments: Arguments) throws(UsageError) {
        api = try ControllerAPI(arguments)
        drone = try DroneOperand.parse(arguments)
        cluster = try ListedDrones.cluster(arguments)
        form = OutputForm(arguments)
        var members: [String: JSONValue] = [:]
        if arguments.isGiven(Self.terminate) { members["terminate"] = .bool(true) }
        if let seconds = try DurationFlag.seconds(arguments, Self.deadline) {
            members["deadline_seconds"] = .integer(seconds)
        }
        body = .object(members)
        let limit = try DurationFlag.seconds(arguments, Self.timeout)
        if limit != nil, !arguments.isGiven(Self.wait) { throw arguments.wrong("--timeout is for --wait; say both") }
        waiting = arguments.isGiven(Self.wait) ? .until(seconds: limit) : .none
    }

    func run() throws -> Int32 {
        let found = try ListedDrones.find(drone, in: cluster, api)
        let answer = try api.post("/ctrl/c/\(found.cluster)/d/\(drone)/drain", body)
        let updated = answer.members?["updated"] == .bool(true)
        if case .text = form {
            StandardOutput.say(
                updated ? "\(drone) takes no new backends" : "\(drone) was taking no new backends already")
        }
        var left = found.backends
        if case .until(let seconds) = waiting { left = try waitUntilEmpty(limit: seconds) }
        switch form {
        case .text:
            if case .until = waiting { StandardOutput.say("\(drone) has no backends left") }
        case .json:
            let members: [String: JSONValue] = [
                "drone": .string(drone.text), "updated": .bool(updated), "backends": .integer(left),
            ]
            StandardOutput.say(JSONValue.object(members).text)
        }
        return 0
    }

    private func waitUntilEmpty(limit: Int64?) throws -> Int64 {
        let began = BootInstant.now
        let progress = ProgressLine()
        defer { progress.clear() }
        var failures = 0
        while true {
            do {
                let left = try ListedDrones.find(drone, in: cluster, api).backends
                failures = 0
                if left == 0 { return 0 }
                progress.show(
                    "\(drone): \(left) \(left == 1 ? "backend" : "backends") left, "
                        + "\(ElapsedTime.text(since: began)) so far")
                if let limit, BootInstant.now - began >= .seconds(limit) {
                    throw WaitOver(left: left, limit: limit)
                }
            } catch let over as WaitOver {
                throw CommandFailure(
                    "\(drone) still has \(over.left) \(over.left == 1 ? "backend" : "backends") after \(over.limit) s; "
                        + "it stays drained. plane ls --drone \(drone) shows them, --terminate asks them to end")
            } catch {
                // A controller that restarts is back in a moment.
                failures += 1
                if failures == 5 { throw error }
            }
            sleep(1)
        }
    }

    private struct WaitOver: Error {
        let left: Int64
        let limit: Int64
    }
}

/// Lets a drone take backends again.
struct UndrainCommand: Subcommand {
    static let syntax = CommandSyntax(
        "undrain", .words(1...1, "DRONE"),
        purpose: """
            let a drone take backends again

            Backends that a drain asked to end still end.
            """,
        flags: [ListedDrones.cluster, .json] + ControllerAPI.flags)

    private let api: ControllerAPI
    private let drone: DroneName
    private let cluster: ClusterName?
    private let form: OutputForm

    init(_ arguments: Arguments) throws(UsageError) {
        api = try ControllerAPI(arguments)
        drone = try DroneOperand.parse(arguments)
        cluster = try ListedDrones.cluster(arguments)
        form = OutputForm(arguments)
    }

    func run() throws -> Int32 {
        let found = try ListedDrones.find(drone, in: cluster, api)
        let answer = try api.post("/ctrl/c/\(found.cluster)/d/\(drone)/undrain", .null)
        switch form {
        case .json: StandardOutput.say(answer.text)
        case .text:
            let updated = answer.members?["updated"] == .bool(true)
            StandardOutput.say(updated ? "\(drone) takes backends again" : "\(drone) was taking backends already")
        }
        return 0
    }
}

/// A drone's name as the one operand.
enum DroneOperand {
    static func parse(_ arguments: Arguments) throws(UsageError) -> DroneName {
        do throws(InvalidValue) {
            return try DroneName(arguments.operands[0])
        } catch {
            throw arguments.wrong("DRONE: \(error.problem)")
        }
    }
}

import HTTP
import Model

/// Ends a backend.
struct TerminateCommand: Subcommand {
    static let syntax = CommandSyntax(
        "terminate", .words(1...1, "BACKEND"),
        purpose: """
            end a backend, and wait until it has ended

            Its command gets SIGTERM and its policy's grace period, unless --hard.
            """,
        flags: [hard, immediate, .json] + ControllerAPI.flags)

    private static let hard = Flag("--hard", .bare, "kill it at once")
    private static let immediate = Flag("--immediate", .bare, "do not wait for its end")

    private let api: ControllerAPI
    private let backend: BackendID
    private let kind: TerminationKind
    private let waits: Bool
    private let form: OutputForm

    init(_ arguments: Arguments) throws(UsageError) {
        api = try ControllerAPI(arguments)
        backend = try BackendOperand.parse(arguments)
        kind = arguments.isGiven(Self.hard) ? .hard : .soft
        waits = !arguments.isGiven(Self.immediate)
        form = OutputForm(arguments)
    }

    func run() throws -> Int32 {
        _ = try api.post("/ctrl/b/\(backend)/\(kind.rawValue)-terminate", .null)
        if waits {
            _ = try StatusFollower.follow(
                api.url("/pub/b/\(backend)/status-stream"),
                show: { if $0.status >= .terminating { form.show($0) } },
                until: { $0.status == .terminated })
        }
        return 0
    }
}

/// A backend's id as the one operand.
enum BackendOperand {
    static func parse(_ arguments: Arguments) throws(UsageError) -> BackendID {
        do throws(InvalidValue) {
            return try BackendID(arguments.operands[0])
        } catch {
            throw arguments.wrong("BACKEND: \(error.problem)")
        }
    }
}

import Glibc
import Policy

/// What plane-warden starts, as an unprivileged child, to turn JSON into plans.
struct PolicyCompileCommand: Subcommand {
    static let syntax = CommandSyntax(
        "policy compile",
        purpose: """
            write the compiled plan of every image to standard output, for plane-warden

            An image whose manifest or policy is wrong gets a sentence on standard error and no plan; the others keep
            theirs. Images and policies must belong to root.
            """,
        flags: [images, policies])

    private static let images = Flag("--images", .required("DIR"), "folder of images")
    private static let policies = Flag("--policies", .required("DIR"), "folder of policies; may be missing")

    private let images: String
    private let policies: String

    init(_ arguments: Arguments) throws(UsageError) {
        images = arguments.required(Self.images)
        policies = arguments.required(Self.policies)
    }

    func run() throws -> Int32 {
        guard isatty(STDOUT_FILENO) == 0 else {
            throw CommandFailure("the plans are binary; send them to a file or a program, not to a terminal")
        }
        let compiled = try PlanCompiler.compile(imagesPath: images, policiesPath: policies, trust: .rootOwned)
        for error in compiled.errors { StandardError.say("plane: \(error)") }
        StandardOutput.write(PlanCompiler.encode(compiled.plans))
        return 0
    }
}

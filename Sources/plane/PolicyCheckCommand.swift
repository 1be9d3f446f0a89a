import Linux
import Policy

/// Says of policy files whether they are right.
struct PolicyCheckCommand: Subcommand {
    static let syntax = CommandSyntax(
        "policy check", .words(1...1000, "FILE…"),
        purpose: """
            say whether policy files are right, and what is wrong

            What is allowed and probably not meant is warned about on standard error. Exit status: 1 when a file is
            wrong, else 0.
            """,
        flags: [])

    private let files: [String]

    init(_ arguments: Arguments) throws(UsageError) { files = arguments.operands }

    func run() throws -> Int32 {
        var status: Int32 = 0
        for file in files {
            do throws(CommandFailure) {
                for warning in PolicyWarning.all(in: try PolicySource.read(file)) {
                    StandardError.say("plane: warning: policy \(file): \(warning)")
                }
                StandardOutput.say("\(file): right")
            } catch {
                StandardError.say("plane: \(error)")
                status = 1
            }
        }
        return status
    }
}

/// A policy file that somebody named on the command line.
enum PolicySource {
    static func read(_ path: String) throws(CommandFailure) -> PolicyDocument {
        let text: [UInt8]
        do throws(SystemError) {
            text = try File.read(path, limit: PolicyFile.bytesMax)
        } catch {
            throw CommandFailure("policy \(path) cannot be read: \(error)")
        }
        do throws(PolicyError) {
            return try PolicyFile.parse(text, name: path)
        } catch {
            throw CommandFailure("\(error)")
        }
    }
}

import Glibc

/// The command line: `plane SUBCOMMAND …`. Exit status 0 is success, 1 a failure with a sentence on standard error, 2 a
/// command line that was not understood.
@main
struct Plane {
    /// In the order in which `plane --help` shows them.
    static var commands: [CommandEntry] {
        [
            .command(DevCommand.self),
            .command(ConnectCommand.self),
            .command(ListCommand.self),
            .command(StatusCommand.self),
            .command(KeysCommand.self),
            .command(TerminateCommand.self),
            .command(RevokeCommand.self),
            .command(DronesCommand.self),
            .command(DrainCommand.self),
            .command(UndrainCommand.self),
            .command(ReplCommand.self),
            .command(RunCommand.self),
            .group(
                "image", "build, import, list, inspect and remove images",
                [
                    ImageBuildCommand.self, ImageImportCommand.self, ImageListCommand.self, ImageInspectCommand.self,
                    ImageRemoveCommand.self,
                ]),
            .group(
                "policy", "check, explain, compare and compile policies",
                [
                    PolicyCheckCommand.self, PolicyExplainCommand.self, PolicyDiffCommand.self,
                    PolicyCompileCommand.self,
                ]),
            .group(
                "bench", "measure how fast this is on this machine",
                [BenchSpawnCommand.self, BenchControllerCommand.self]),
            .command(ControllerCommand.self),
            .command(DroneCommand.self),
            .command(DoctorCommand.self),
            .command(VersionCommand.self),
        ]
    }

    static func main() {
        let words = Array(CommandLine.arguments.dropFirst())
        do {
            exit(try CommandChoice(words, in: commands).run())
        } catch let error as UsageError {
            StandardError.write("plane: \(error.sentence)\n\(error.hint)\n")
            exit(2)
        } catch {
            StandardError.write("plane: \(error)\n")
            exit(1)
        }
    }
}

import Glibc
import Model
import Warden

/// The root executable. It is three programs in one file, told apart by its name and first word: the init of every
/// sandbox, the warden that serves a drone, and the runner of a single command.
@main
struct PlaneWarden {
    static func main() {
        let words = CommandLine.arguments
        if words.first == "plane-init" { InitEntry.run(words) }
        do {
            switch try WardenCommand(words.dropFirst()) {
            case .help: print(WardenCommand.usage)
            case .version: print("plane-warden \(planeVersion)")
            case .serve(let configuration): try WardenServer(configuration).run()
            case .clean(let configuration): try WardenServer.clean(configuration)
            case .run(let configuration, let planDescriptor):
                exit(try SingleRun.run(planDescriptor: planDescriptor, configuration))
            }
        } catch {
            let line = Array("plane-warden: \(error)\n".utf8)
            _ = line.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
            exit(error is WardenUsageError ? 2 : 1)
        }
    }
}

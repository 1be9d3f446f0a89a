import Glibc
import Linux
import Model
import Sandbox

/// The plans of all images, compiled by `plane policy compile` in an unprivileged child: JSON and libseccomp stay out
/// of the process that has privileges.
struct PlanLibrary {
    private(set) var images: [ImageName: SandboxImage] = [:]
    private var stamp: [Int64] = []
    private let configuration: WardenConfiguration

    init(_ configuration: WardenConfiguration) { self.configuration = configuration }

    /// The image, after compiling anew when a file was added or changed since the last time.
    mutating func image(_ name: ImageName) -> SandboxImage? {
        reloadIfChanged()
        return images[name]
    }

    /// Compiles all plans if the folders have changed.
    mutating func reloadIfChanged() {
        let current = [configuration.imagesPath, configuration.policiesPath].map { File.status($0)?.modified ?? 0 }
        if current != stamp {
            stamp = current
            reload()
        }
    }

    /// Compiles all plans. What was there stays when the compiler fails.
    mutating func reload() {
        do {
            var reader = WireReader(try compile())
            var loaded: [ImageName: SandboxImage] = [:]
            for _ in 0..<(try reader.readCount(limit: 1024)) {
                let plan = try SandboxPlan(from: &reader)
                loaded[plan.image] = try SandboxImage(plan)
            }
            images = loaded
        } catch {
            WardenLog.write("policies were not loaded: \(error)")
        }
    }

    private func compile() throws(SystemError) -> [UInt8] {
        let output = try Pipe()
        let configuration = configuration
        let writing = output.writing.raw
        switch try Clone.process(namespaces: [], cgroup: nil) {
        case .child:
            Self.runCompiler(configuration, output: writing)
        case .parent(_, let process):
            let (reading, writing) = output.split()
            _ = Descriptor(owning: writing)
            let bytes = try Descriptor(owning: reading).readAll(limit: 64 << 20)
            let status = try process.reap()
            guard status == .exited(code: 0) else { throw SystemError(ECHILD, "plane policy compile, which \(status)") }
            return bytes
        }
    }

    private static func runCompiler(_ configuration: WardenConfiguration, output: Int32) -> Never {
        do throws(SystemError) {
            if dup2(output, 1) < 0 { throw SystemError(errno, "dup2") }
            let null = try File.open("/dev/null", O_RDONLY)
            if dup2(null.raw, 0) < 0 { throw SystemError(errno, "dup2") }
            try CurrentProcess.becomeUser(configuration.droneUser, group: configuration.droneUser)
            Signals.resetForExec()
        } catch {
            WardenLog.write("the policy compiler was not started: \(error)")
            CurrentProcess.exitImmediately(127)
        }
        let words: [String] = [
            configuration.planePath, "policy", "compile", "--images", configuration.imagesPath, "--policies",
            configuration.policiesPath,
        ]
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
        var environment: [UnsafeMutablePointer<CChar>?] = [strdup("SWIFT_BACKTRACE=enable=no"), nil]
        arguments.append(nil)
        if let path = arguments[0] { execve(path, &arguments, &environment) }
        WardenLog.write(
            "the policy compiler was not started: \(SystemError(errno, "execve \(configuration.planePath)"))")
        CurrentProcess.exitImmediately(127)
    }
}

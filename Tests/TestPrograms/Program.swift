import Glibc
public import Linux

/// Programs that tests start, and wait for.
public enum Program {
    /// A product of this build, which lies beside the test bundle.
    public static func built(_ name: String) -> String {
        let own = (try? CurrentProcess.executablePath()) ?? ""
        return own.prefix(through: own.lastIndex(of: "/") ?? own.startIndex) + name
    }

    /// Starts a program that goes on; the caller ends and reaps it.
    public static func start(_ words: [String]) throws -> ProcessDescriptor {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        return try ProcessDescriptor(ofChild: spawn(words, &actions))
    }

    private static func spawn(_ words: [String], _ actions: inout posix_spawn_file_actions_t) throws -> pid_t {
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        var environment: [UnsafeMutablePointer<CChar>?] = [strdup("PATH=/usr/bin:/bin"), nil]
        defer { (arguments + environment).forEach { free($0) } }
        var pid: pid_t = 0
        let failed = posix_spawn(&pid, words[0], &actions, nil, &arguments, &environment)
        guard failed == 0 else { throw SystemError(failed, "posix_spawn \(words[0])") }
        return pid
    }

    /// Runs to the end. - Parameter descriptors: the program's numbers and our own for them.
    public static func run(
        _ words: [String], descriptors: [Int32: Int32] = [:]
    ) throws -> (Linux.ExitStatus, output: String, errors: String) {
        let output = try Linux.Pipe()
        let errors = try Linux.Pipe()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output.writing.raw, 1)
        posix_spawn_file_actions_adddup2(&actions, errors.writing.raw, 2)
        for (number, own) in descriptors { posix_spawn_file_actions_adddup2(&actions, own, number) }
        let process = try ProcessDescriptor(ofChild: spawn(words, &actions))
        let (outputEnd, outputStart) = output.split()
        let (errorsEnd, errorsStart) = errors.split()
        close(outputStart)
        close(errorsStart)
        let reader = Descriptor(owning: outputEnd)
        let errorReader = Descriptor(owning: errorsEnd)
        let text = try reader.readAll(limit: 64 << 20)
        let errorText = try errorReader.readAll(limit: 64 << 20)
        return (
            try process.reap(), String(decoding: text, as: UTF8.self), String(decoding: errorText, as: UTF8.self)
        )
    }
}
